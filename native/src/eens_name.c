/* Names (S4.1): read in pieces, so a name of 1024 bytes costs no buffer of that size. */
#include "eens_internal.h"

/* Where a UTF-8 reader stands: bytes that must still follow, and what the next may be. */
typedef struct utf8_state {
    uint8_t wanted;
    uint8_t low;
    uint8_t high;
} utf8_state;

/* Well-formed UTF-8 without control characters (Unicode, table 3-7: nothing overlong, no
 * surrogates, nothing above U+10FFFF). */
static bool next_byte(utf8_state *state, uint8_t byte) {
    if (state->wanted != 0) {
        bool fits = byte >= state->low && byte <= state->high;
        state->wanted--;
        state->low = 0x80;
        state->high = 0xBF;
        return fits;
    }
    if (byte < 0x80) {
        return byte >= 0x20 && byte != 0x7F;
    }
    if (byte < 0xC2 || byte > 0xF4) {
        return false;
    }
    state->wanted = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    state->low = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
    state->high = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
    return true;
}

/* The sign of (a - b): of the first bytes that differ, else of the sizes. */
static eens_status compare(eens_cursor *a, size_t size, eens_cursor *b, size_t other_size,
                           int *order) {
    size_t common = size < other_size ? size : other_size;
    for (size_t i = 0; i < common; i++) {
        const uint8_t *one = eens_take(a, 1);
        const uint8_t *other = eens_take(b, 1);
        if (one == NULL || other == NULL) {
            return EENS_ERR_READ;
        }
        *order = *one - *other;
        if (*order != 0) {
            return EENS_OK;
        }
    }
    *order = size < other_size ? -1 : size > other_size;
    return EENS_OK;
}

/* Well-formed to its end. */
static eens_status check_bytes(const eens_file *file, uint32_t start, uint32_t size) {
    eens_cursor cursor;
    utf8_state state = {0, 0x80, 0xBF};
    eens_cursor_begin(&cursor, file, start, size);
    for (uint32_t i = 0; i < size; i++) {
        const uint8_t *byte = eens_take(&cursor, 1);
        if (byte == NULL) {
            return EENS_ERR_READ;
        }
        if (!next_byte(&state, *byte)) {
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
