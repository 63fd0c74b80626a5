/* libFuzzer target: opens a container and decodes all of it, from memory and through the callback.
 * Checksums are made right first, so that a mutation reaches what lies behind them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "../src/eens_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void store32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(value >> 8 * i);
    }
}

static void seal_head(uint8_t *data, size_t size, const eens_file *file) {
    size_t head = (size_t)file->index_offset + (size_t)EENS_ENTRY_BYTES * file->block_count;
    if (head >= EENS_HEADER_BYTES && head <= size) { /* the offsets are 0 in a refused header */
        store32(data + 16, 0);
        store32(data + 16, eens_crc32c(0, data, head));
    }
}

/* The checksums of the lanes, as far as they lie in the block; returns the bytes of the common part.
 * An entry of the common part is a CRC, or with codewords a size and a CRC. */
static uint32_t seal_lanes(uint8_t *bytes, const eens_tensor *tensor, const eens_block *block) {
    bool sized = tensor->coder != EENS_FIXED;
    uint32_t entry = sized ? 8 : 4;
    uint32_t lanes = eens_lane_count(tensor);
    uint64_t at = (uint64_t)entry * lanes;
    for (uint32_t j = 0; j < lanes; j++) {
        uint8_t *crc = bytes + entry * (j + 1) - 4;
        uint32_t size = sized ? eens_load32(crc - 4) : eens_lane_bytes(tensor, block->count);
        if (size > block->size - at) {
            break;
        }
        store32(crc, eens_crc32c(0, bytes + at, size));
        at += size;
    }
    return entry * lanes;
}

static void seal_blocks(uint8_t *data, const eens_file *file) {
    for (uint32_t i = 0; i < file->tensor_count; i++) {
        eens_tensor tensor;
        if (eens_tensor_at(file, i, &tensor) != EENS_OK || !eens_is_supported(&tensor)) {
            continue;
        }
        bool has_lanes = tensor.method != EENS_SHARED && tensor.method != EENS_JOINT;
        for (uint32_t k = 0; k < tensor.block_count; k++) {
            eens_block block;
            eens_block_at(file, &tensor, k, &block);
            uint8_t *bytes = data + block.offset;
            uint32_t common = has_lanes ? seal_lanes(bytes, &tensor, &block) : block.size;
            store32(data + file->index_offset + EENS_ENTRY_BYTES * (tensor.first_block + k) + 4,
                    eens_crc32c(0, bytes, common));
        }
    }
}

static int read_memory(void *context, uint64_t offset, void *buffer, size_t size) {
    const eens_file *memory = context;
    if (offset > memory->size || size > memory->size - offset) {
        abort();
    }
    memcpy(buffer, memory->data + offset, size);
    return 0;
}

/* Everything, in one format; the two ways of reading have to agree. */
static void decode_both(const eens_file *memory, const eens_file *stored, const eens_tensor *tensor,
                        const eens_request *request) {
    size_t size = 0;
    size_t needed = 0;
    size_t needed_less = 0;
    if (eens_output_size(memory, tensor, request, &size) != EENS_OK ||
        eens_workspace_size(memory, tensor, &needed_less) != EENS_OK ||
        eens_workspace_size(stored, tensor, &needed) != EENS_OK) {
        return;
    }
    void *output = calloc(1, size + 1);
    void *other = calloc(1, size + 1);
    void *less = malloc(needed_less);
    void *workspace = malloc(needed);
    eens_status status =
        eens_decode(memory, tensor, request, less, needed_less, output, size, NULL);
    if (status != eens_decode(memory, tensor, request, less, needed_less, NULL, 0, NULL) ||
        status != eens_decode(stored, tensor, request, workspace, needed, other, size, NULL) ||
        (status == EENS_OK && memcmp(output, other, size) != 0)) {
        abort();
    }
    free(output);
    free(other);
    free(less);
    free(workspace);
}

static void read_all(eens_file *memory) {
    eens_file stored;
    if (eens_open_reader(read_memory, memory, memory->size, 1u << 20, &stored, NULL) != EENS_OK) {
        abort();
    }
    for (uint32_t i = 0; i < memory->section_count; i++) {
        eens_section section;
        if (eens_section_at(memory, i, &section) != EENS_OK ||
            eens_section_check(memory, &section) != eens_section_check(&stored, &section)) {
            abort();
        }
    }
    for (uint32_t i = 0; i < memory->tensor_count; i++) {
        eens_tensor tensor;
        if (eens_tensor_at(memory, i, &tensor) != EENS_OK) {
            abort();
        }
        for (int32_t format = 0; format <= EENS_AS_FLOAT16; format++) {
            eens_request request = {0, tensor.block_count, EENS_ALL_MEMBERS, format, 0};
            decode_both(memory, &stored, &tensor, &request);
            request.member = memory->member_count - 1;
            decode_both(memory, &stored, &tensor, &request);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    eens_file file = {0};
    uint8_t *copy = malloc(size);
    if (copy == NULL || size == 0) {
        free(copy);
        return 0;
    }
    memcpy(copy, data, size);
    eens_open(copy, size, 1u << 20, &file, NULL);
    seal_head(copy, size, &file);
    if (eens_open(copy, size, 1u << 20, &file, NULL) == EENS_OK) {
        read_all(&file); /* with what checksums the blocks have */
        seal_blocks(copy, &file);
        seal_head(copy, size, &file);
        if (eens_open(copy, size, 1u << 20, &file, NULL) != EENS_OK) {
            abort();
        }
        read_all(&file);
    }
    free(copy);
    return 0;
}
