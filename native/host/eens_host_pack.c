/* Code streams of the coder entropy (S10.1): symbols counted, measured and packed. */
#include "edgeens_host.h"

/* A run of positions that become one bit stream: a part of a block, or a block without parts. */
typedef struct part {
    const eens_host_copy *copy;
    size_t first, end; /* positions in the copy */
} part;

typedef void part_visitor(const part *here, void *state);

/* Call *visit* for every part in the order of the file. */
static void each_part(const eens_host_copy *copy, part_visitor *visit, void *state) {
    for (size_t start = 0; start < copy->elements; start += copy->block_positions) {
        size_t left = copy->elements - start;
        size_t n = left < copy->block_positions ? left : copy->block_positions;
        size_t quarter = n < copy->split_from ? n : 12 * ((n + 47) / 48);
        for (size_t at = 0; at < n; at += quarter) {
            size_t end = n - at < quarter ? n : at + quarter;
            part here = {copy, start + at, start + end};
            visit(&here, state);
        }
    }
}

/* The symbol of the group at *position; moves past it. Codes behind the end count as low. */
static inline uint32_t next_symbol(const part *here, size_t *position) {
    const eens_host_copy *copy = here->copy;
    uint32_t symbol = 0, weight = 1;
    for (uint32_t i = 0; i < copy->group && *position < here->end; i++, (*position)++) {
        symbol += weight * (uint32_t)(copy->codes[*position] - copy->low);
        weight *= copy->values;
    }
    return symbol;
}

/* A stretch of one row, so that the row's class is looked up once for it. */
typedef struct stretch {
    const int8_t *codes;
    const uint8_t *classes; /* of its columns */
    size_t length;
    uint32_t row_class;
} stretch;

static stretch row_stretch(const part *here, size_t position) {
    const eens_host_copy *copy = here->copy;
    size_t row = position / copy->columns, column = position % copy->columns;
    size_t in_row = copy->columns - column, left = here->end - position;
    stretch found = {copy->codes + position, copy->column_classes + column,
                     in_row < left ? in_row : left, copy->row_classes[row]};
    return found;
}

static inline uint32_t table_of(const eens_host_copy *copy, const stretch *row, size_t i) {
    uint32_t sum = row->row_class + row->classes[i];
    return sum < copy->tables ? sum : copy->tables - 1;
}

static void count_part(const part *here, void *state) {
    const eens_host_copy *copy = here->copy;
    uint64_t *counts = state;
    if (copy->row_classes == NULL) {
        for (size_t position = here->first; position < here->end;)
            counts[next_symbol(here, &position)]++;
        return;
    }
    for (size_t position = here->first; position < here->end;) {
        stretch row = row_stretch(here, position);
        for (size_t i = 0; i < row.length; i++)
            counts[table_of(copy, &row, i) * copy->values + (uint32_t)(row.codes[i] - copy->low)]++;
        position += row.length;
    }
}

void eens_host_count(const eens_host_copy *copy, uint64_t *counts) {
    each_part(copy, count_part, counts);
}

typedef struct measuring {
    const uint32_t *words;
    uint32_t *sizes;
} measuring;

static void measure_part(const part *here, void *state) {
    const eens_host_copy *copy = here->copy;
    measuring *to = state;
    uint64_t bits = 0;
    if (copy->row_classes == NULL) {
        for (size_t position = here->first; position < here->end;)
            bits += to->words[next_symbol(here, &position)] >> 16;
    } else {
        for (size_t position = here->first; position < here->end;) {
            stretch row = row_stretch(here, position);
            for (size_t i = 0; i < row.length; i++) {
                uint32_t symbol = (uint32_t)(row.codes[i] - copy->low);
                bits += to->words[table_of(copy, &row, i) * copy->values + symbol] >> 16;
            }
            position += row.length;
        }
    }
    *to->sizes++ = (uint32_t)((bits + 7) / 8); /* a block has at most 2^20 positions */
}

void eens_host_measure(const eens_host_copy *copy, const uint32_t *words, uint32_t *part_sizes) {
    measuring to = {words, part_sizes};
    each_part(copy, measure_part, &to);
}

typedef struct writer {
    const uint32_t *words;
    const uint32_t *sizes; /* of the part that comes next, and on */
    uint8_t *out;
    uint64_t bits; /* the lowest *held* are not written yet; held < 32 between symbols */
    uint32_t held;
} writer;

static void put_u32(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static inline void put_word(writer *to, uint32_t word) {
    to->bits |= (uint64_t)(word & 0xFFFF) << to->held;
    to->held += word >> 16;
    if (to->held >= 32) {
        put_u32(to->out, (uint32_t)to->bits);
        to->out += 4;
        to->bits >>= 32;
        to->held -= 32;
    }
}

static void close_stream(writer *to) {
    for (; to->held > 0; to->held -= to->held < 8 ? to->held : 8) {
        *to->out++ = (uint8_t)to->bits;
        to->bits >>= 8;
    }
}

static void pack_codes(const part *here, writer *to) {
    const eens_host_copy *copy = here->copy;
    writer local = *to; /* so that the bits stay in registers */
    if (copy->row_classes == NULL) {
        for (size_t position = here->first; position < here->end;)
            put_word(&local, local.words[next_symbol(here, &position)]);
    } else {
        for (size_t position = here->first; position < here->end;) {
            stretch row = row_stretch(here, position);
            for (size_t i = 0; i < row.length; i++) {
                uint32_t symbol = (uint32_t)(row.codes[i] - copy->low);
                put_word(&local, local.words[table_of(copy, &row, i) * copy->values + symbol]);
            }
            position += row.length;
        }
    }
    close_stream(&local);
    *to = local;
}

static void pack_part(const part *here, void *state) {
    const eens_host_copy *copy = here->copy;
    writer *to = state;
    size_t start = here->first - here->first % copy->block_positions;
    size_t left = copy->elements - start;
    size_t n = left < copy->block_positions ? left : copy->block_positions;
    if (here->first == start && n >= copy->split_from) {
        for (int i = 0; i < 3; i++, to->out += 4)
            put_u32(to->out, to->sizes[i]);
    }
    pack_codes(here, to);
    to->sizes++;
}

void eens_host_pack(const eens_host_copy *copy, const uint32_t *words, const uint32_t *part_sizes,
                    uint8_t *out) {
    writer to = {words, part_sizes, out, 0, 0};
    each_part(copy, pack_part, &to);
}

void eens_host_magnitudes(const int8_t *codes, size_t rows, size_t columns, uint64_t *row_sums,
                          uint64_t *column_sums) {
    for (size_t row = 0; row < rows; row++, codes += columns) {
        uint64_t sum = 0;
        for (size_t i = 0; i < columns; i++) {
            uint32_t magnitude = (uint32_t)(codes[i] < 0 ? -codes[i] : codes[i]);
            sum += magnitude;
            column_sums[i] += magnitude;
        }
        row_sums[row] = sum;
    }
}

void eens_host_count_levels(const int8_t *codes, size_t rows, size_t columns,
                            const uint8_t *row_levels, const uint8_t *column_levels_of,
                            size_t column_levels, uint64_t *counts) {
    for (size_t row = 0; row < rows; row++, codes += columns) {
        uint64_t *of_row = counts + row_levels[row] * column_levels * 256;
        for (size_t i = 0; i < columns; i++)
            of_row[(size_t)column_levels_of[i] * 256 + (uint8_t)(codes[i] + 128)]++;
    }
}
