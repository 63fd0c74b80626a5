/* The head (S12, 1 to 6): magic, header, checksum, tables. */
#include "eens_entropy.h"

#define ENTRY_BYTES 8u /* of the directory of tables */

/* The struct begins as the file does, so that on little-endian machines reading is copying. */
_Static_assert(offsetof(eens_file, names_offset) == EENS_HEADER_BYTES,
               "eens_file begins with the layout of a header");

/* Every field to the byte order of this machine. */
static void order_fields(eens_file *file) {
    eens_to_machine_order(&file->major, 2, 2);
    eens_to_machine_order(&file->byte_order, 3, 4);
    eens_to_machine_order(&file->size, 1, 8);
    eens_to_machine_order(&file->member_count, 1, 2);
    eens_to_machine_order(&file->tensor_count, 7, 4);
}

/* S12, 1 to 3. */
static eens_status load_header(eens_file *file, uint32_t *crc) {
    static const uint8_t magic[8] = {0x8A, 0x45, 0x45, 0x4E, 0x53, 0x0D, 0x0A, 0x1A};
    eens_offset size = (eens_offset)file->size;
    size_t part = size < EENS_HEADER_BYTES ? (size_t)size : EENS_HEADER_BYTES;
    if (!eens_fetch(file, 0, part, file)) {
        return EENS_ERR_READ;
    }
    if (memcmp(file->magic, magic, part < sizeof magic ? part : sizeof magic) != 0) {
        return EENS_ERR_MAGIC;
    }
    if (part < EENS_HEADER_BYTES) {
        return EENS_ERR_TRUNCATED;
    }
    uint32_t stated = file->head_crc;
    file->head_crc = 0;
    *crc = eens_crc_update(false, 0, (const uint8_t *)file, EENS_HEADER_BYTES);
    file->head_crc = stated;
    order_fields(file);
    if (file->byte_order != 0x0A0B0C0Du) {
        return EENS_ERR_BYTE_ORDER;
    }
    if (file->major != 1) {
        return EENS_ERR_VERSION;
    }
    if (file->size == size) {
        return EENS_OK;
    }
    return file->size > size ? EENS_ERR_TRUNCATED : EENS_ERR_TRAILING;
}

/* S12, 4. The sums cannot wrap: the largest head is below 2^28. */
static eens_status check_header(eens_file *file, eens_head *head) {
    const uint32_t most = 1u << 24;
    if (file->section_count > 64 || file->member_count - 1u >= EENS_MAX_MEMBERS ||
        (file->profile >> 1 | file->reserved_35) != 0 || file->tensor_count > 65535 ||
        file->names_size > most || file->scale_count > most || file->table_count > 1024 ||
        file->tables_size > most || file->block_count > most || file->reserved_60 != 0) {
        return EENS_ERR_HEADER;
    }
    file->names_offset = EENS_HEADER_BYTES + EENS_RECORD_BYTES * file->tensor_count;
    file->scales_offset = file->names_offset + file->names_size;
    file->tables_offset = file->scales_offset + 4 * file->scale_count;
    file->index_offset = file->tables_offset + file->tables_size;
    head->data_end = file->index_offset + EENS_ENTRY_BYTES * file->block_count;
    return head->data_end <= (eens_offset)file->size ? EENS_OK : EENS_ERR_HEADER;
}

/* S12, 5. data_end is still the end of the head; crc that of the header. */
static eens_status check_head_crc(const eens_file *file, const eens_head *head, uint32_t crc) {
    eens_status status =
        eens_crc_part(file, EENS_HEADER_BYTES, head->data_end - EENS_HEADER_BYTES, &crc);
    return status == EENS_OK && crc != file->head_crc ? EENS_ERR_HEAD_CHECKSUM : status;
}

/* S12, 6. The sum of at most 1024 sizes needs 42 bits; one above 2^24 is too large by itself. A newer
 * kind has its own rules; no tensor that is decoded here may name it. */
static eens_status check_tables(const eens_file *file) {
    uint32_t left = file->tables_size;
    if (ENTRY_BYTES * file->table_count > left) {
        return EENS_ERR_TABLE;
    }
    left -= ENTRY_BYTES * file->table_count;
    for (uint32_t i = 0; i < file->table_count; i++) {
        uint32_t entry[2]; /* the kind and three bytes that are 0; the size */
        if (!eens_fetch_words(file, file->tables_offset + ENTRY_BYTES * i, 2, entry)) {
            return EENS_ERR_READ;
        }
        if (entry[0] - 1 > 254 || entry[1] > left) {
            return EENS_ERR_TABLE;
        }
#if !defined(EENS_NO_ENTROPY)
        eens_table table = {file->index_offset - left, entry[1], (uint8_t)entry[0]};
        eens_status status = file->minor != 0 ? eens_body_check(file, &table) : EENS_OK;
        if (status != EENS_OK) {
            return status;
        }
#endif
        left -= entry[1];
    }
    return left == 0 ? EENS_OK : EENS_ERR_TABLE;
}

eens_status eens_head_check(eens_file *file, eens_head *head) {
    uint32_t crc = 0; /* of the header, head_crc taken as zero; then of the head */
    eens_status status = load_header(file, &crc);
    if (status == EENS_OK) {
        status = check_header(file, head);
    }
    if (status == EENS_OK) {
        status = check_head_crc(file, head, crc);
    }
    if (status == EENS_OK) {
        status = check_tables(file);
    }
    return status;
}
