/* The head (S12, 1 to 6): magic, header, checksum, tables. */
#include "eens_entropy.h"

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
static eens_status load_header(const uint8_t *header, eens_file *file, eens_head *head) {
    const uint32_t most = 1u << 24;
    file->minor = (uint16_t)eens_load16(header + 10);
    file->section_count = eens_load32(header + 20);
    file->member_count = (uint16_t)eens_load16(header + 32);
    file->profile = header[34];
    file->tensor_count = eens_load32(header + 36);
    file->tables_size = eens_load32(header + 52);
    file->block_count = eens_load32(header + 56);
    uint32_t names_size = eens_load32(header + 40);
    head->scale_count = eens_load32(header + 44);
    file->table_count = eens_load32(header + 48);
    if (file->section_count > 64 || file->member_count < 1 ||
        file->member_count > EENS_MAX_MEMBERS || file->profile > 1 || header[35] != 0 ||
        file->tensor_count > 65535 || names_size > most || head->scale_count > most ||
        file->table_count > 1024 || file->tables_size > most || file->block_count > most ||
        eens_load32(header + 60) != 0) {
        return EENS_ERR_HEADER;
    }
    file->names_offset = EENS_HEADER_BYTES + EENS_RECORD_BYTES * file->tensor_count;
    file->scales_offset = file->names_offset + names_size;
    file->tables_offset = file->scales_offset + 4 * head->scale_count;
    file->index_offset = file->tables_offset + file->tables_size;
    head->data_end = file->index_offset + EENS_ENTRY_BYTES * file->block_count;
    return head->data_end <= file->size ? EENS_OK : EENS_ERR_HEADER;
}

/* S12, 5. data_end is still the end of the head. */
static eens_status check_head_crc(const eens_file *file, uint8_t *header, const eens_head *head) {
    uint32_t stated = eens_load32(header + 16);
    memset(header + 16, 0, 4);
    uint32_t crc = eens_crc_update(false, 0, header, EENS_HEADER_BYTES);
    eens_status status =
        eens_crc_part(file, EENS_HEADER_BYTES, head->data_end - EENS_HEADER_BYTES, &crc);
    if (status != EENS_OK) {
        return status;
    }
    return crc == stated ? EENS_OK : EENS_ERR_HEAD_CHECKSUM;
}

/* S12, 6. The sum of at most 1024 sizes needs 42 bits; one above 2^24 is too large by itself. */
static eens_status check_tables(const eens_file *file) {
    eens_cursor cursor;
    uint32_t left = file->tables_size;
    if (8 * file->table_count > left) {
        return EENS_ERR_TABLE;
    }
    left -= 8 * file->table_count;
    eens_cursor_begin(&cursor, file, file->tables_offset, 8 * file->table_count);
    for (uint32_t i = 0; i < file->table_count; i++) {
        const uint8_t *entry = eens_take(&cursor, 8);
        if (entry == NULL) {
            return EENS_ERR_READ;
        }
        /* The kind in the lowest byte; the three above it are 0. */
        if (eens_load32(entry) - 1 > 254 || eens_load32(entry + 4) > left) {
            return EENS_ERR_TABLE;
        }
        left -= eens_load32(entry + 4);
    }
    return left == 0 ? EENS_OK : EENS_ERR_TABLE;
}

eens_status eens_head_check(eens_file *file, eens_head *head) {
    uint8_t header[EENS_HEADER_BYTES];
    size_t part = file->size < sizeof header ? (size_t)file->size : sizeof header;
    if (!eens_fetch(file, 0, part, header)) {
        return EENS_ERR_READ;
    }
    eens_status status = check_start(header, file->size);
    if (status == EENS_OK) {
        status = load_header(header, file, head);
    }
    if (status == EENS_OK) {
        status = check_head_crc(file, header, head);
    }
    if (status == EENS_OK) {
        status = check_tables(file);
    }
#if !defined(EENS_NO_ENTROPY)
    if (status == EENS_OK && file->minor != 0) {
        status = eens_bodies_check(file);
    }
#endif
    return status;
}
