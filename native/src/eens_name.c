/* Names (S4.1): read in pieces, so a name of 1024 bytes costs no buffer of that size. */
#include "eens_internal.h"

/* Where a UTF-8 reader stands. */
typedef struct utf8_state {
    uint32_t wanted; /* bytes that must still follow */
    uint32_t size;   /* of the character, less one */
    uint32_t point;  /* the code point so far */
} utf8_state;

/* Well-formed UTF-8 without control characters (Unicode, table 3-7: nothing overlong, no
 * surrogates, nothing above U+10FFFF). */
static bool next_byte(utf8_state *state, uint32_t byte) {
    if (state->wanted == 0) {
        if (byte < 0x80) {
            return byte >= 0x20 && byte != 0x7F;
        }
        state->wanted = state->size = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
        state->point = byte & 0x3Fu >> state->wanted;
        return byte - 0xC2 < 0x33; /* below C2: overlong */
    }
    state->point = state->point << 6 | (byte & 0x3F);
    if (byte >> 6 != 2 || --state->wanted != 0) {
        return byte >> 6 == 2;
    }
    /* In three bytes stand points of 11 bits and more, in four of 16. */
    return state->point >> (5 * state->size + 1) != 0 && state->point >> 11 != 0xD800u >> 11 &&
           state->point < 0x110000;
}

/* The sign of (a - b): of the first bytes that differ, else of the sizes. */
static eens_status compare(eens_cursor *a, size_t size, eens_cursor *b, size_t other_size,
                           int *order) {
    size_t common = size < other_size ? size : other_size;
#if defined(EENS_NO_READER)
    *order = memcmp(a->next, b->next, common);
#else
    *order = 0;
    for (size_t i = 0; i < common && *order == 0; i++) {
        int32_t one = eens_take(a);
        int32_t other = eens_take(b);
        if (one < 0 || other < 0) {
            return EENS_ERR_READ;
        }
        *order = one - other;
    }
#endif
    if (*order == 0) {
        *order = size < other_size ? -1 : size > other_size;
    }
    return EENS_OK;
}

/* Well-formed to its end. */
static eens_status check_bytes(const eens_file *file, uint32_t start, uint32_t size) {
    eens_cursor cursor;
    utf8_state state = {0, 0, 0};
    eens_cursor_begin(&cursor, file, start, size);
    for (uint32_t i = 0; i < size; i++) {
        int32_t byte = eens_take(&cursor);
        if (byte < 0) {
            return EENS_ERR_READ;
        }
        if (!next_byte(&state, (uint32_t)byte)) {
            return EENS_ERR_NAME;
        }
    }
    return state.wanted == 0 ? EENS_OK : EENS_ERR_NAME;
}

eens_status eens_name_check(const eens_file *file, uint32_t offset, uint32_t size,
                            uint32_t previous_size) {
    eens_cursor cursor;
    eens_cursor before;
    uint32_t start = file->names_offset + offset;
    int order = 1;
    eens_status status = check_bytes(file, start, size);
    if (status == EENS_OK && previous_size != 0) {
        /* The names lie one behind the other, so the one before begins previous_size earlier. */
        eens_cursor_begin(&cursor, file, start, size);
        eens_cursor_begin(&before, file, start - previous_size, previous_size);
        status = compare(&cursor, size, &before, previous_size, &order);
    }
    return status == EENS_OK && order <= 0 ? EENS_ERR_NAME : status;
}

eens_status eens_name_compare(const eens_file *file, uint32_t offset, uint32_t size,
                              const uint8_t *other, size_t other_size, int *order) {
    eens_cursor cursor;
    eens_cursor name;
    eens_cursor_begin(&cursor, file, file->names_offset + offset, size);
    name.next = other;
    name.ready = UINT32_MAX; /* never asked for more than it has */
    return compare(&cursor, size, &name, other_size, order);
}
