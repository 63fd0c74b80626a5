/* Checks of the decoder on files: test_edgeens FILE STATUS [FILE STATUS ...]
 *                                 test_edgeens @LIST, a file with a line FILE STATUS each
 *
 * STATUS is the number (S12) that the library gives when it opens the file, compares the checksums
 * of its sections and decodes every tensor; 0 for a good file. What only a reader of JSON or
 * SHA-256 can see is a good file here. Each file is read from memory and through the callback. The
 * line before the last is a checksum of all decoded values, those of coder split apart, which a small
 * build does not have: the same from every build and machine.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "../src/eens_internal.h"

#define GUARD 64u
#define GUARD_BYTE 0xA5

static unsigned long passed;
static unsigned long failed;
static uint32_t decoded; /* CRC-32C of all values but those of coder split, in little-endian */
static uint32_t of_split; /* and of those */
static const char *subject = "library";

#define CHECK(claim) check((claim) != 0, #claim, __LINE__)

static void check(int holds, const char *claim, int line) {
    if (holds) {
        passed++;
        return;
    }
    failed++;
    printf("%s: line %d: %s does not hold\n", subject, line, claim);
}

/* Memory with guards around it, for outputs. */
typedef struct room {
    uint8_t *all;
    uint8_t *bytes;
    size_t size;
} room;

static void *grab(size_t size) {
    void *memory = malloc(size != 0 ? size : 1);
    if (memory == NULL) {
        printf("out of memory\n");
        exit(2);
    }
    return memory;
}

static room make_room(size_t size) {
    room made;
    made.size = size;
    made.all = grab(size + 2 * GUARD);
    made.bytes = made.all + GUARD;
    memset(made.all, GUARD_BYTE, size + 2 * GUARD);
    return made;
}

static int is_guarded(const room *given) {
    for (size_t i = 0; i < GUARD; i++) {
        if (given->all[i] != GUARD_BYTE || given->bytes[given->size + i] != GUARD_BYTE) {
            return 0;
        }
    }
    return 1;
}

/* A storage that fails after so many reads, or gives other bytes then, once; -1: never. */
typedef struct storage {
    const uint8_t *data;
    size_t size;
    long reads_left;
    bool changes;
    uint32_t random;
} storage;

/* Some bytes more, some less. */
static void change(storage *from, uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        from->random = from->random * 1664525u + 1013904223u;
        bytes[i] ^= (uint8_t)(from->random >> 30 == 0 ? from->random >> 20 : 0);
    }
}

static int read_storage(void *context, uint64_t offset, void *buffer, size_t size) {
    storage *from = context;
    if (offset > from->size || size > from->size - offset) {
        check(0, "a read stays within the file", __LINE__);
        return 1;
    }
    if (from->reads_left == 0 && !from->changes) {
        return 1;
    }
    memcpy(buffer, from->data + offset, size);
    if (from->reads_left == 0) {
        change(from, buffer, size);
    }
    from->reads_left -= from->reads_left >= 0;
    return 0;
}

static eens_status decode(const eens_file *file, const eens_tensor *tensor,
                          const eens_request *request, const room *output) {
    size_t needed = 0;
    eens_status status = eens_workspace_size(file, tensor, &needed);
    if (status != EENS_OK) {
        return status;
    }
    void *workspace = grab(needed); /* no guards: sanitizers are to see what is read behind it */
    status = eens_decode(file, tensor, request, workspace, needed,
                         output != NULL ? output->bytes : NULL,
                         output != NULL ? output->size : 0, NULL);
    if (needed != 0 && request->block_count == tensor->block_count &&
        request->member == EENS_ALL_MEMBERS) {
        CHECK(eens_decode(file, tensor, request, workspace, needed - 1, NULL, 0, NULL) != EENS_OK);
    }
    free(workspace);
    return status;
}

static room room_for(const eens_file *file, const eens_tensor *tensor,
                     const eens_request *request) {
    size_t size = 0;
    CHECK(eens_output_size(file, tensor, request, &size) == EENS_OK);
    return make_room(size);
}

static eens_request whole(const eens_tensor *tensor, int32_t format) {
    eens_request request = {0, tensor->block_count, EENS_ALL_MEMBERS, format, 0};
    return request;
}

/* Every block, of every member, has the bytes that the whole has there. */
static void check_parts(const eens_file *file, const eens_tensor *tensor, const room *all,
                        size_t element) {
    for (uint32_t block = 0; block < tensor->block_count; block++) {
        for (int32_t member = 0; member < file->member_count; member++) {
            eens_request request = {block, 1, member, EENS_AS_VALUES, 0};
            size_t first = (size_t)block * tensor->block_positions;
            size_t copy = tensor->copies == 1 ? 0 : (size_t)member;
            room part = room_for(file, tensor, &request);
            CHECK(decode(file, tensor, &request, &part) == EENS_OK);
            CHECK(is_guarded(&part));
            CHECK(memcmp(part.bytes, all->bytes + (copy * tensor->elements + first) * element,
                         part.size) == 0);
            free(part.all);
        }
    }
}

/* Copies that stand apart leave what is between them alone. */
static void check_stride(const eens_file *file, const eens_tensor *tensor, const room *all,
                         size_t element) {
    eens_request request = whole(tensor, EENS_AS_VALUES);
    size_t copy = tensor->elements * element;
    size_t gap = 3 * element;
    request.stride = tensor->elements + 3u;
    room apart = room_for(file, tensor, &request);
    CHECK(apart.size == (tensor->copies - 1u) * (copy + gap) + copy);
    CHECK(decode(file, tensor, &request, &apart) == EENS_OK);
    CHECK(is_guarded(&apart));
    for (size_t i = 0; i < tensor->copies; i++) {
        const uint8_t *begin = apart.bytes + i * (copy + gap);
        CHECK(memcmp(begin, all->bytes + i * copy, copy) == 0);
        for (size_t k = copy; i + 1 < tensor->copies && k < copy + gap; k++) {
            CHECK(begin[k] == GUARD_BYTE);
        }
    }
    free(apart.all);
}

/* Codes turned into values one by one, as int16, and at once are the same. */
static void check_codes(const eens_file *file, const eens_tensor *tensor, const room *all,
                        size_t element) {
    eens_request request = whole(tensor, EENS_AS_INT8);
    room codes = room_for(file, tensor, &request);
    CHECK(decode(file, tensor, &request, &codes) == EENS_OK);
    request.format = EENS_AS_INT16;
    room wide = room_for(file, tensor, &request);
    CHECK(decode(file, tensor, &request, &wide) == EENS_OK);
    for (size_t i = 0; i < codes.size; i++) {
        int16_t code;
        memcpy(&code, wide.bytes + 2 * i, 2);
        CHECK(code == (int8_t)codes.bytes[i]);
    }
    for (uint32_t i = 0; i < tensor->elements; i++) {
        uint64_t value = 0;
        CHECK(eens_dequantize(file, tensor, (const int8_t *)codes.bytes + i, i, 1, EENS_AS_VALUES,
                              &value, element) == EENS_OK);
        CHECK(memcmp(&value, all->bytes + i * element, element) == 0);
    }
    free(codes.all);
    free(wide.all);
}

static void note_values(uint32_t *checksum, const room *values, size_t element) {
    for (size_t i = 0; i < values->size; i++) {
        size_t mirrored = i - i % element + (element - 1 - i % element);
        *checksum = eens_crc32c(*checksum, values->bytes + (EENS_LITTLE_ENDIAN ? i : mirrored), 1);
    }
}

/* A build with switches (README.md) refuses some tensors, a small one those of coder split, and neither
 * can see all that is wrong with a file. */
#if defined(EENS_NO_SHARED) || defined(EENS_NO_DRAWN) || defined(EENS_NO_JOINT) || \
    defined(EENS_NO_FILTER) || defined(EENS_ONLY_FLOAT32)
#define HAS_SWITCHES 1
#else
#define HAS_SWITCHES 0
#endif

#if defined(EENS_SMALL)
#define IS_SMALL 1
#else
#define IS_SMALL 0
#endif

static bool has_left_out; /* a tensor of the file that is looked at */

static bool is_left_out(const eens_file *file, const eens_tensor *tensor) {
    eens_request request = whole(tensor, EENS_AS_VALUES);
    bool can_be = HAS_SWITCHES || (IS_SMALL && tensor->coder == EENS_SPLIT);
    return can_be && eens_decode(file, tensor, &request, NULL, 0, NULL, 0, NULL) ==
                         EENS_ERR_UNSUPPORTED;
}

static eens_status check_tensor(const eens_file *file, uint32_t index, room *all) {
    eens_tensor tensor;
    eens_tensor found;
    char name[EENS_MAX_NAME + 1];
    CHECK(eens_tensor_at(file, index, &tensor) == EENS_OK);
    CHECK(eens_tensor_name(file, &tensor, name, sizeof name) == EENS_OK);
    CHECK(eens_find(file, name, tensor.name_size, &found) == EENS_OK && found.index == index);
    eens_request request = whole(&tensor, EENS_AS_VALUES);
    size_t element = eens_dtype_bytes(tensor.dtype);
    if (is_left_out(file, &tensor)) {
        has_left_out = true;
        *all = make_room(0);
        return EENS_OK;
    }
    *all = room_for(file, &tensor, &request);
    eens_status status = decode(file, &tensor, &request, all);
    CHECK(is_guarded(all));
    CHECK(decode(file, &tensor, &request, NULL) == status);
    if (status != EENS_OK) {
        return status;
    }
    if (all->size != 0) {
        room less = make_room(all->size - 1);
        CHECK(decode(file, &tensor, &request, &less) == EENS_ERR_OUTPUT);
        free(less.all);
    }
    note_values(tensor.coder == EENS_SPLIT ? &of_split : &decoded, all, element);
    check_parts(file, &tensor, all, element);
    check_stride(file, &tensor, all, element);
    if (tensor.bits != 0) {
        check_codes(file, &tensor, all, element);
    }
    return EENS_OK;
}

static eens_status check_sections(const eens_file *file) {
    for (uint32_t i = 0; i < file->section_count; i++) {
        eens_section section;
        eens_section found;
        CHECK(eens_section_at(file, i, &section) == EENS_OK);
        CHECK(eens_section_find(file, section.type, &found) == EENS_OK && found.index == i);
        room payload = make_room((size_t)section.size);
        CHECK(eens_section_read(file, &section, 0, payload.bytes, payload.size) == EENS_OK);
        CHECK(is_guarded(&payload));
        free(payload.all);
        eens_status status = eens_section_check(file, &section);
        if (status != EENS_OK) {
            return status;
        }
    }
    return EENS_OK;
}

/* Both ways of reading, side by side; the first status that is not OK ends it. */
static eens_status check_opened(const eens_file *memory, const eens_file *stored) {
    eens_status status = check_sections(memory);
    CHECK(check_sections(stored) == status);
    for (uint32_t i = 0; i < memory->tensor_count && status == EENS_OK; i++) {
        room one;
        room other;
        status = check_tensor(memory, i, &one);
        CHECK(check_tensor(stored, i, &other) == status);
        CHECK(status != EENS_OK || memcmp(one.bytes, other.bytes, one.size) == 0);
        free(one.all);
        free(other.all);
    }
    return status;
}

#define MOST_BYTES ((size_t)1 << 20) /* that a damaged record may ask for */

static eens_status decode_once(const eens_file *file, const eens_tensor *tensor) {
    eens_request request = whole(tensor, EENS_AS_VALUES);
    size_t size = 0, needed = 0;
    eens_status status = eens_output_size(file, tensor, &request, &size);
    if (status == EENS_OK) {
        status = eens_workspace_size(file, tensor, &needed);
    }
    if (status != EENS_OK || size > MOST_BYTES || needed > MOST_BYTES) {
        return status;
    }
    room output = make_room(size);
    room workspace = make_room(needed);
    status = eens_decode(file, tensor, &request, workspace.bytes, needed, output.bytes, size, NULL);
    CHECK(is_guarded(&output) && is_guarded(&workspace));
    free(workspace.all);
    free(output.all);
    return status;
}

/* A storage that breaks at any moment gives READ, and nothing else; one that was different once may give anything,
 * but nothing is read or written where it should not be. */
static void check_broken_storage(storage *from, bool changes) {
    from->changes = changes;
    for (long reads = 0; reads < 100000; reads++) {
        eens_file file;
        from->reads_left = reads;
        eens_status status = eens_open_reader(read_storage, from, from->size, 0, &file, NULL);
        for (uint32_t i = 0; status == EENS_OK && i < file.tensor_count; i++) {
            eens_tensor tensor;
            status = eens_tensor_at(&file, i, &tensor);
            if (status == EENS_OK) {
                status = decode_once(&file, &tensor);
            }
        }
        CHECK(changes || status == EENS_OK || status == EENS_ERR_READ);
        if (from->reads_left > 0) {
            return; /* all was read before */
        }
    }
}

static void check_file(const char *path, int expected) {
    eens_file memory;
    eens_file stored;
    FILE *stream = fopen(path, "rb");
    subject = path;
    if (stream == NULL || fseek(stream, 0, SEEK_END) != 0) {
        check(0, "the file can be read", __LINE__);
        return;
    }
    size_t size = (size_t)ftell(stream);
    uint8_t *data = grab(size);
    rewind(stream);
    CHECK(fread(data, 1, size, stream) == size);
    fclose(stream);
    storage from = {data, size, -1, false, 1};
    has_left_out = false;
    eens_status status = eens_open(data, size, 0, &memory, NULL);
#if defined(EENS_NO_READER)
    CHECK(eens_open_reader(read_storage, &from, size, 0, &stored, NULL) == EENS_ERR_UNSUPPORTED);
    stored = memory;
#else
    CHECK(eens_open_reader(read_storage, &from, size, 0, &stored, NULL) == status);
#endif
    if (status == EENS_OK) {
        status = check_opened(&memory, &stored);
    }
    if (status == EENS_OK && size < 8192 && !HAS_SWITCHES && !has_left_out) {
        check_broken_storage(&from, false);
        check_broken_storage(&from, true);
    }
    if ((HAS_SWITCHES || has_left_out) && expected != EENS_OK && status == EENS_OK) {
        status = (eens_status)expected; /* what is wrong lies in what was left out */
    }
    if ((int)status != expected) {
        printf("%s: status %d (%s), not %d\n", path, (int)status, eens_strerror(status), expected);
    }
    CHECK((int)status == expected);
    free(data);
}

/* The CRC's test vector (S1), and the instruction against the table at every alignment. */
static void check_crc(void) {
    uint8_t bytes[2100];
    CHECK(eens_crc32c(0, "123456789", 9) == 0xE3069283u);
    CHECK(eens_crc32c(eens_crc32c(0, "1234", 4), "56789", 5) == 0xE3069283u);
    CHECK(eens_crc32c(0, NULL, 0) == 0);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * i + 31 * i + 7);
    }
    for (size_t at = 0; at < 16 && eens_crc_is_fast(1u << 20); at++) {
        for (size_t size = 0; size <= 2000; size += size < 900 ? 1 : 37) {
            CHECK(eens_crc_update(true, 5, bytes + at, size) ==
                  eens_crc_update(false, 5, bytes + at, size));
        }
    }
}

/* For machines whose arguments cannot be long: the same from a file. */
static void check_list(const char *path) {
    char name[256];
    int expected = 0;
    unsigned long files = 0;
    FILE *list = fopen(path, "r");
    subject = path;
    while (list != NULL && fscanf(list, "%255s %d", name, &expected) == 2) {
        check_file(name, expected);
        files++;
    }
    CHECK(files != 0);
    if (list != NULL) {
        fclose(list);
    }
}

int main(int count, char **arguments) {
    check_crc();
    CHECK(strcmp(eens_strerror(EENS_OK), "ok") == 0);
    if (count == 2 && arguments[1][0] == '@') {
        check_list(arguments[1] + 1);
        count--;
    }
    for (int i = 1; i + 1 < count; i += 2) {
        check_file(arguments[i], atoi(arguments[i + 1]));
    }
    printf("decoded %08lx", (unsigned long)decoded);
    if (!IS_SMALL) {
        printf(", of coder split %08lx", (unsigned long)of_split);
    }
    printf("\n");
    printf("%lu passed, %lu failed\n", passed, failed);
    return failed != 0 || count % 2 == 0;
}
