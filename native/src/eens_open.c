/* Opening (S12): everything that is structural is checked here, in the order of the spec. */
#include "eens_internal.h"

/* What the header says and what the records so far have used of it. */
typedef struct head_walk {
    uint32_t crc;
    uint32_t names_size;
    uint32_t scale_count;
    uint32_t table_count;
    uint32_t tables_size;
    uint32_t names_used;
    uint32_t scales_used;
    uint32_t blocks_used;
    uint32_t previous_size; /* of the name before; 0 before the first */
    uint64_t data_end;      /* of the tensor before */
} head_walk;

/* S12, 1 to 3. header holds the first 64 bytes, or all there are. */
static eens_status check_start(const uint8_t *header, uint64_t size) {
    static const uint8_t magic[8] = {0x8A, 0x45, 0x45, 0x4E, 0x53, 0x0D, 0x0A, 0x1A};
    if (memcmp(header, magic, size < sizeof magic ? (size_t)size : sizeof magic) != 0) {
        return EENS_ERR_MAGIC;
    }
    if (size < EENS_HEADER_BYTES) {
        return EENS_ERR_TRUNCATED;
    }
    if (eens_load32(header + 12) != 0x0A0B0C0Du) {
        return EENS_ERR_BYTE_ORDER;
    }
    if (eens_load16(header + 8) != 1) {
        return EENS_ERR_VERSION;
    }
    uint64_t stated = eens_load64(header + 24);
    if (stated != size) {
        return stated > size ? EENS_ERR_TRUNCATED : EENS_ERR_TRAILING;
    }
    return EENS_OK;
}

/* S12, 4. The sums cannot wrap: the largest head is below 2^28. */
static eens_status load_header(const uint8_t *header, eens_file *file, head_walk *walk) {
    const uint32_t most = 1u << 24;
    file->minor = (uint16_t)eens_load16(header + 10);
    file->section_count = eens_load32(header + 20);
    file->member_count = (uint16_t)eens_load16(header + 32);
    file->profile = header[34];
    file->tensor_count = eens_load32(header + 36);
    file->block_count = eens_load32(header + 56);
    walk->crc = eens_load32(header + 16);
    walk->names_size = eens_load32(header + 40);
    walk->scale_count = eens_load32(header + 44);
    walk->table_count = eens_load32(header + 48);
    walk->tables_size = eens_load32(header + 52);
    if (file->section_count > 64 || file->member_count < 1 ||
        file->member_count > EENS_MAX_MEMBERS || file->profile > 1 || header[35] != 0 ||
        file->tensor_count > 65535 || walk->names_size > most || walk->scale_count > most ||
        walk->table_count > 1024 || walk->tables_size > most || file->block_count > most ||
        eens_load32(header + 60) != 0) {
        return EENS_ERR_HEADER;
    }
    file->names_offset = EENS_HEADER_BYTES + EENS_RECORD_BYTES * file->tensor_count;
    file->scales_offset = file->names_offset + walk->names_size;
    file->index_offset = file->scales_offset + 4 * walk->scale_count + walk->tables_size;
    walk->data_end = (uint64_t)file->index_offset + (uint64_t)EENS_ENTRY_BYTES * file->block_count;
    return walk->data_end <= file->size ? EENS_OK : EENS_ERR_HEADER;
}

/* S12, 5. data_end is still the end of the head. */
static eens_status check_head_crc(const eens_file *file, uint8_t *header, const head_walk *walk) {
    memset(header + 16, 0, 4);
    uint32_t crc = eens_crc_update(false, 0, header, EENS_HEADER_BYTES);
    eens_status status =
        eens_crc_part(file, EENS_HEADER_BYTES, walk->data_end - EENS_HEADER_BYTES, &crc);
    if (status != EENS_OK) {
        return status;
    }
    return crc == walk->crc ? EENS_OK : EENS_ERR_HEAD_CHECKSUM;
}

/* S12, 6. */
static eens_status check_tables(const eens_file *file, const head_walk *walk) {
    uint8_t buffer[8];
    uint64_t offset = file->index_offset - walk->tables_size;
    uint64_t sum = 8u * walk->table_count;
    if (sum > walk->tables_size) {
        return EENS_ERR_TABLE;
    }
    for (uint32_t i = 0; i < walk->table_count; i++) {
        const uint8_t *entry = eens_view(file, offset + 8 * i, 8, buffer);
        if (entry == NULL) {
            return EENS_ERR_READ;
        }
        if (entry[0] == 0 || entry[1] != 0 || entry[2] != 0 || entry[3] != 0) {
            return EENS_ERR_TABLE;
        }
        sum += eens_load32(entry + 4);
    }
    return sum == walk->tables_size ? EENS_OK : EENS_ERR_TABLE;
}

/* S12, 7.1. */
static eens_status check_name(const eens_file *file, const eens_tensor *tensor, head_walk *walk) {
    if (tensor->name_offset != walk->names_used || tensor->name_size < 1 ||
        tensor->name_size > EENS_MAX_NAME ||
        tensor->name_size > walk->names_size - walk->names_used) {
        return EENS_ERR_NAME;
    }
    eens_status status =
        eens_name_check(file, tensor->name_offset, tensor->name_size, walk->previous_size);
    walk->names_used += tensor->name_size;
    walk->previous_size = tensor->name_size;
    return status;
}

/* Whether scale_count is one of the numbers that S4.4 allows. */
static bool scale_count_fits(const eens_tensor *tensor) {
    if (tensor->bits == 0) {
        return tensor->scale_count == 0;
    }
    if (tensor->scale_count == 1) {
        return true;
    }
    return tensor->channel_axis != EENS_NO_AXIS && tensor->scale_count != 0 &&
           tensor->scale_count == tensor->dims[tensor->channel_axis];
}

/* S12, 7.3. */
static eens_status check_scales(const eens_file *file, const eens_tensor *tensor,
                                head_walk *walk) {
    uint8_t buffer[64];
    if (tensor->scale_index != walk->scales_used || !scale_count_fits(tensor) ||
        tensor->scale_count > walk->scale_count - walk->scales_used) {
        return EENS_ERR_SCALE;
    }
    uint64_t offset = file->scales_offset + 4 * (uint64_t)tensor->scale_index;
    for (uint32_t at = 0; at < tensor->scale_count; at += 16) {
        uint32_t part = tensor->scale_count - at < 16 ? tensor->scale_count - at : 16;
        const uint8_t *scales = eens_view(file, offset + 4 * (uint64_t)at, 4 * part, buffer);
        if (scales == NULL) {
            return EENS_ERR_READ;
        }
        for (uint32_t i = 0; i < part; i++) {
            /* Sign and exponent in one number: 1 to 246 means positive and normal (S4.4). */
            uint32_t exponent = eens_load32(scales + 4 * i) >> 23;
            if (exponent < 1 || exponent > 246) {
                return EENS_ERR_SCALE;
            }
        }
    }
    walk->scales_used += tensor->scale_count;
    return EENS_OK;
}

/* S12, 7.4. */
static eens_status check_blocks(const eens_file *file, const eens_tensor *tensor, head_walk *walk,
                                eens_where *where) {
    uint8_t buffer[64];
    uint32_t begin = 0;
    if (tensor->first_block != walk->blocks_used || tensor->data_offset != walk->data_end ||
        tensor->block_count > file->block_count - walk->blocks_used) {
        return EENS_ERR_INDEX;
    }
    uint64_t offset = file->index_offset + (uint64_t)EENS_ENTRY_BYTES * tensor->first_block;
    for (uint32_t at = 0; at < tensor->block_count; at += 8) {
        uint32_t part = tensor->block_count - at < 8 ? tensor->block_count - at : 8;
        const uint8_t *entries = eens_view(file, offset + (uint64_t)EENS_ENTRY_BYTES * at,
                                           EENS_ENTRY_BYTES * part, buffer);
        if (entries == NULL) {
            return EENS_ERR_READ;
        }
        for (uint32_t i = 0; i < part; i++) {
            uint32_t end = eens_load32(entries + EENS_ENTRY_BYTES * i);
            where->block = (int32_t)(at + i);
            eens_status status = eens_block_check(file, tensor, at + i, begin, end);
            if (status != EENS_OK) {
                return status;
            }
            begin = end;
        }
    }
    where->block = -1;
    walk->blocks_used += tensor->block_count;
    walk->data_end += begin;
    return EENS_OK;
}

/* S12, 7. */
static eens_status check_tensor(const eens_file *file, uint32_t index, uint64_t limit,
                                head_walk *walk, eens_where *where) {
    uint8_t buffer[EENS_RECORD_BYTES];
    eens_tensor tensor;
    const uint8_t *record =
        eens_view(file, eens_record_offset(index), EENS_RECORD_BYTES, buffer);
    if (record == NULL) {
        return EENS_ERR_READ;
    }
    eens_record_load(record, index, &tensor);
    eens_status status = check_name(file, &tensor, walk);
    if (status == EENS_OK) {
        status = eens_record_check(record, file, walk->table_count, &tensor);
    }
    if (status == EENS_OK) {
        status = check_scales(file, &tensor, walk);
    }
    if (status == EENS_OK) {
        status = check_blocks(file, &tensor, walk, where);
    }
    if (status != EENS_OK) {
        return status;
    }
    uint64_t size = (uint64_t)tensor.copies * tensor.elements * eens_dtype_bytes(tensor.dtype);
    return limit != 0 && size > limit ? EENS_ERR_LIMIT : EENS_OK;
}

/* S12, 7 to 9. */
static eens_status check_tensors(eens_file *file, uint64_t limit, head_walk *walk,
                                 eens_where *where) {
    for (uint32_t i = 0; i < file->tensor_count; i++) {
        where->tensor = (int32_t)i;
        eens_status status = check_tensor(file, i, limit, walk, where);
        if (status != EENS_OK) {
            return status;
        }
    }
    where->tensor = -1;
    file->sections_offset = walk->data_end;
    if (walk->names_used != walk->names_size) {
        return EENS_ERR_NAME;
    }
    if (walk->scales_used != walk->scale_count) {
        return EENS_ERR_SCALE;
    }
    return walk->blocks_used == file->block_count ? EENS_OK : EENS_ERR_INDEX;
}

/* S12, 1 to 6: apart from the rest so that the header's 64 bytes leave the stack. */
static eens_status open_head(eens_file *file, head_walk *walk) {
    uint8_t header[EENS_HEADER_BYTES];
    size_t part = file->size < sizeof header ? (size_t)file->size : sizeof header;
    const uint8_t *bytes = eens_view(file, 0, part, header);
    if (bytes == NULL) {
        return EENS_ERR_READ;
    }
    if (bytes != header && part != 0) {
        memcpy(header, bytes, part);
    }
    eens_status status = check_start(header, file->size);
    if (status == EENS_OK) {
        status = load_header(header, file, walk);
    }
    if (status == EENS_OK) {
        status = check_head_crc(file, header, walk);
    }
    return status == EENS_OK ? check_tables(file, walk) : status;
}

static eens_status open_file(eens_file *file, uint64_t limit, eens_where *where) {
    eens_where ignored;
    head_walk walk;
    memset(&walk, 0, sizeof walk);
    where = where != NULL ? where : &ignored;
    where->tensor = where->block = where->section = -1;
    eens_status status = open_head(file, &walk);
    if (status == EENS_OK) {
        status = check_tensors(file, limit, &walk, where);
    }
    return status == EENS_OK ? eens_sections_check(file, where) : status;
}

eens_status eens_open(const void *data, size_t size, uint64_t tensor_limit, eens_file *file,
                      eens_where *where) {
    if (file == NULL || data == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    memset(file, 0, sizeof *file);
    file->data = data;
    file->size = size;
    return open_file(file, tensor_limit, where);
}

eens_status eens_open_reader(eens_read_fn read, void *context, uint64_t size,
                             uint64_t tensor_limit, eens_file *file, eens_where *where) {
    if (file == NULL || read == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    memset(file, 0, sizeof *file);
    file->read = read;
    file->context = context;
    file->size = size;
    return open_file(file, tensor_limit, where);
}
