/* Sections (S11): a chain behind the last block. */
#include "eens_internal.h"

_Static_assert(offsetof(eens_section, index) == EENS_SECTION_BYTES,
               "eens_section begins with the layout of a header");

/* The section whose header stands at offset. Of its flags only the lowest may be set. */
static eens_status load_section(const eens_file *file, eens_offset offset, uint32_t index,
                                eens_section *section) {
    eens_offset left = (eens_offset)file->size - offset; /* sections before end within the file */
    if (left < EENS_SECTION_BYTES) {
        return EENS_ERR_SECTION;
    }
    /* The struct begins as the header does. */
    if (!eens_fetch(file, offset, EENS_SECTION_BYTES, section)) {
        return EENS_ERR_READ;
    }
    eens_to_machine_order(&section->critical, 1, 4);
    eens_to_machine_order(&section->size, 1, 8);
    eens_to_machine_order(&section->crc, 1, 4);
    section->offset = offset + EENS_SECTION_BYTES;
    section->index = index;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t letter = (uint8_t)section->type[i];
        if (letter - 'A' > 'Z' - 'A' && letter - '0' > 9) {
            return EENS_ERR_SECTION;
        }
    }
    bool fits = section->critical <= 1 && section->size <= left - EENS_SECTION_BYTES;
    return fits ? EENS_OK : EENS_ERR_SECTION;
}

/* A type as one number. */
static uint32_t word_of(const char *type) {
    uint32_t word;
    memcpy(&word, type, 4);
    return word;
}

/* Types whose meaning version 1.0 defines. The reserved ones are not among them: a file that
 * insists on a signature, say, is refused, because nothing here can check it. */
static bool is_known(uint32_t type) {
    static const char known[] = "METASKLFSKLCDGST";
    for (size_t i = 0; i + 4 < sizeof known; i += 4) {
        if (word_of(known + i) == type) {
            return true;
        }
    }
    return false;
}

/* The first of count sections that has this type, or the last of them if type is 0. Walks the chain
 * each time instead of keeping 64 types: files have few sections. */
static eens_status look_for(const eens_file *file, uint32_t type, uint32_t count,
                            eens_section *section) {
    eens_offset offset = (eens_offset)file->sections_offset;
    for (uint32_t i = 0; i < count; i++) {
        eens_status status = load_section(file, offset, i, section);
        if (status != EENS_OK) {
            return status;
        }
        if (type != 0 ? word_of(section->type) == type : i + 1 == count) {
            return EENS_OK;
        }
        offset = (eens_offset)(section->offset + section->size);
    }
    return EENS_ERR_NOT_FOUND;
}

eens_status eens_sections_check(const eens_file *file, eens_where *where) {
    eens_offset end = (eens_offset)file->sections_offset;
    bool is_signed = false;
    for (uint32_t i = 0; i < file->section_count; i++) {
        eens_section section;
        eens_section earlier;
        where->section = (int32_t)i;
        eens_status status = load_section(file, end, i, &section);
        if (status != EENS_OK) {
            return status;
        }
        uint32_t type = word_of(section.type);
        status = look_for(file, type, i, &earlier);
        if (status != EENS_ERR_NOT_FOUND) {
            return status == EENS_OK ? EENS_ERR_SECTION : status;
        }
        if (section.critical != 0 && (is_signed || !is_known(type))) {
            return EENS_ERR_CRITICAL;
        }
        is_signed |= type == word_of("SIGN");
        end = (eens_offset)(section.offset + section.size);
    }
    where->section = -1;
    return end == (eens_offset)file->size ? EENS_OK : EENS_ERR_SECTION;
}

eens_status eens_section_at(const eens_file *file, uint32_t index, eens_section *section) {
    if (file == NULL || section == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    return index < file->section_count ? look_for(file, 0, index + 1, section)
                                       : EENS_ERR_NOT_FOUND;
}

eens_status eens_section_find(const eens_file *file, const char *type, eens_section *section) {
    if (file == NULL || type == NULL || section == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    return look_for(file, word_of(type), file->section_count, section);
}

eens_status eens_section_read(const eens_file *file, const eens_section *section, uint64_t offset,
                              void *buffer, size_t size) {
    if (file == NULL || section == NULL || (buffer == NULL && size != 0) ||
        offset > section->size || size > section->size - offset) {
        return EENS_ERR_ARGUMENT;
    }
    return eens_fetch(file, (eens_offset)(section->offset + offset), size, buffer) ? EENS_OK
                                                                                   : EENS_ERR_READ;
}

eens_status eens_section_check(const eens_file *file, const eens_section *section) {
    uint32_t crc = 0;
    if (file == NULL || section == NULL) {
        return EENS_ERR_ARGUMENT;
    }
    eens_status status =
        eens_crc_part(file, (eens_offset)section->offset - EENS_SECTION_BYTES,
                      EENS_SECTION_BYTES - 4, &crc);
    if (status == EENS_OK) {
        status = eens_crc_part(file, (eens_offset)section->offset, (eens_offset)section->size,
                               &crc);
    }
    if (status != EENS_OK) {
        return status;
    }
    return crc == section->crc ? EENS_OK : EENS_ERR_SECTION_CHECKSUM;
}
