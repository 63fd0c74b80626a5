/* Sections (S11): a chain behind the last block. */
#include "eens_internal.h"

#define CRITICAL_FLAG 1u

eens_status eens_section_load(const eens_file *file, uint64_t offset, uint32_t index,
                              eens_section *section) {
    uint8_t buffer[EENS_SECTION_BYTES];
    if (offset > file->size || file->size - offset < EENS_SECTION_BYTES) {
        return EENS_ERR_SECTION;
    }
    const uint8_t *bytes = eens_view(file, offset, EENS_SECTION_BYTES, buffer);
    if (bytes == NULL) {
        return EENS_ERR_READ;
    }
    uint32_t flags = eens_load32(bytes + 4);
    memcpy(section->type, bytes, 4);
    section->critical = (uint8_t)(flags & CRITICAL_FLAG);
    section->size = eens_load64(bytes + 8);
    section->crc = eens_load32(bytes + 16);
    section->offset = offset + EENS_SECTION_BYTES;
    section->index = index;
    for (unsigned i = 0; i < 4; i++) {
        bool capital = bytes[i] >= 'A' && bytes[i] <= 'Z';
        if (!capital && (bytes[i] < '0' || bytes[i] > '9')) {
            return EENS_ERR_SECTION;
        }
    }
    if ((flags & ~CRITICAL_FLAG) != 0 || section->size > file->size - section->offset) {
        return EENS_ERR_SECTION;
    }
    return EENS_OK;
}

/* Types whose meaning version 1.0 defines. The reserved ones are not among them: a file that
 * insists on a signature, say, is refused, because nothing here can check it. */
static bool is_known(const char *type) {
    static const char known[] = "METASKLFSKLCDGST";
    for (size_t i = 0; i + 4 < sizeof known; i += 4) {
        if (memcmp(type, known + i, 4) == 0) {
            return true;
        }
    }
    return false;
}

/* Walks the chain again instead of keeping 64 types: files have few sections. */
static eens_status look_for(const eens_file *file, const char *type, uint32_t count,
                            eens_section *section) {
    uint64_t offset = file->sections_offset;
    for (uint32_t i = 0; i < count; i++) {
        eens_status status = eens_section_load(file, offset, i, section);
        if (status != EENS_OK) {
            return status;
        }
        if (memcmp(section->type, type, 4) == 0) {
            return EENS_OK;
        }
        offset = section->offset + section->size;
    }
    return EENS_ERR_NOT_FOUND;
}

eens_status eens_sections_check(const eens_file *file, eens_where *where) {
    uint64_t offset = file->sections_offset;
    eens_section section;
    eens_section earlier;
    for (uint32_t i = 0; i < file->section_count; i++) {
        where->section = (int32_t)i;
        eens_status status = eens_section_load(file, offset, i, &section);
        if (status != EENS_OK) {
            return status;
        }
        status = look_for(file, section.type, i, &earlier);
        if (status != EENS_ERR_NOT_FOUND) {
            return status == EENS_OK ? EENS_ERR_SECTION : status;
        }
        if (section.critical) {
            status = look_for(file, "SIGN", i, &earlier);
            if (status == EENS_OK || !is_known(section.type)) {
                return EENS_ERR_CRITICAL;
            }
            if (status != EENS_ERR_NOT_FOUND) {
                return status;
            }
        }
        offset = section.offset + section.size;
    }
    where->section = -1;
    return offset == file->size ? EENS_OK : EENS_ERR_SECTION;
}

eens_status eens_section_at(const eens_file *file, uint32_t index, eens_section *section) {
    if (file == NULL || section == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    if (index >= file->section_count) {
        return EENS_ERR_NOT_FOUND;
    }
    uint64_t offset = file->sections_offset;
    for (uint32_t i = 0;; i++) {
        eens_status status = eens_section_load(file, offset, i, section);
        if (status != EENS_OK || i == index) {
            return status;
        }
        offset = section->offset + section->size;
    }
}

eens_status eens_section_find(const eens_file *file, const char *type, eens_section *section) {
    if (file == NULL || type == NULL || section == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    return look_for(file, type, file->section_count, section);
}

eens_status eens_section_read(const eens_file *file, const eens_section *section, uint64_t offset,
                              void *buffer, size_t size) {
    if (file == NULL || section == NULL || (buffer == NULL && size != 0) ||
        offset > section->size || size > section->size - offset) {
        return EENS_ERR_ARGUMENT;
    }
    if (size == 0) {
        return EENS_OK;
    }
    const uint8_t *bytes = eens_view(file, section->offset + offset, size, buffer);
    if (bytes == NULL) {
        return EENS_ERR_READ;
    }
    if (bytes != (const uint8_t *)buffer) {
        memcpy(buffer, bytes, size);
    }
    return EENS_OK;
}

eens_status eens_section_check(const eens_file *file, const eens_section *section) {
    uint32_t crc = 0;
    if (file == NULL || section == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    eens_status status =
        eens_crc_part(file, section->offset - EENS_SECTION_BYTES, EENS_SECTION_BYTES - 4, &crc);
    if (status == EENS_OK) {
        status = eens_crc_part(file, section->offset, section->size, &crc);
    }
    if (status != EENS_OK) {
        return status;
    }
    return crc == section->crc ? EENS_OK : EENS_ERR_SECTION_CHECKSUM;
}
