/* Names (S4.1): read in pieces, so a name of 1024 bytes costs no buffer of that size. */
#include "eens_internal.h"

#define PIECE 16u

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

static int sign_of_sizes(size_t size, size_t other) {
    return size < other ? -1 : size > other;
}

/* The names lie one behind the other, so the one before starts previous_size bytes earlier. */
static eens_status compare_with_previous(const eens_file *file, uint64_t start, uint32_t size,
                                         uint32_t previous_size, int *order) {
    uint8_t buffer[PIECE];
    uint8_t other[PIECE];
    uint32_t common = size < previous_size ? size : previous_size;
    *order = 0;
    for (uint32_t at = 0; at < common && *order == 0; at += PIECE) {
        uint32_t part = common - at < PIECE ? common - at : PIECE;
        const uint8_t *a = eens_view(file, start + at, part, buffer);
        const uint8_t *b = eens_view(file, start - previous_size + at, part, other);
        if (a == NULL || b == NULL) {
            return EENS_ERR_READ;
        }
        *order = memcmp(a, b, part);
    }
    if (*order == 0) {
        *order = sign_of_sizes(size, previous_size);
    }
    return EENS_OK;
}

eens_status eens_name_check(const eens_file *file, uint32_t offset, uint32_t size,
                            uint32_t previous_size) {
    uint8_t buffer[PIECE];
    utf8_state state = {0, 0x80, 0xBF};
    uint64_t start = (uint64_t)file->names_offset + offset;
    int order = 1;
    for (uint32_t at = 0; at < size; at += PIECE) {
        uint32_t part = size - at < PIECE ? size - at : PIECE;
        const uint8_t *bytes = eens_view(file, start + at, part, buffer);
        if (bytes == NULL) {
            return EENS_ERR_READ;
        }
        for (uint32_t i = 0; i < part; i++) {
            if (!next_byte(&state, bytes[i])) {
                return EENS_ERR_NAME;
            }
        }
    }
    if (state.wanted != 0) {
        return EENS_ERR_NAME;
    }
    if (previous_size != 0) {
        eens_status status = compare_with_previous(file, start, size, previous_size, &order);
        if (status != EENS_OK) {
            return status;
        }
    }
    return order > 0 ? EENS_OK : EENS_ERR_NAME;
}

eens_status eens_name_compare(const eens_file *file, uint32_t offset, uint32_t size,
                              const uint8_t *other, size_t other_size, int *order) {
    uint8_t buffer[PIECE];
    size_t common = size < other_size ? size : other_size;
    *order = 0;
    for (size_t at = 0; at < common && *order == 0; at += PIECE) {
        size_t part = common - at < PIECE ? common - at : PIECE;
        const uint8_t *bytes =
            eens_view(file, (uint64_t)file->names_offset + offset + at, part, buffer);
        if (bytes == NULL) {
            return EENS_ERR_READ;
        }
        *order = memcmp(bytes, other + at, part);
    }
    if (*order == 0) {
        *order = sign_of_sizes(size, other_size);
    }
    return EENS_OK;
}
