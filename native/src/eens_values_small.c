/* Codes to values (S4.4) in a small build: eens_values.c and eens_floats.c in one, value by value. */
#include "eens_internal.h"

#if defined(EENS_SMALL)

#if defined(EENS_ONLY_FLOAT32)

static void put_value(uint8_t *output, uint8_t type, float value) {
    (void)type;
    memcpy(output, &value, 4);
}

#else

/* The highest bits of a magnitude, without shift of them, rounded to nearest, ties to even. */
EENS_APART uint32_t rounded(uint32_t magnitude, uint32_t shift) {
    return (magnitude + (1u << (shift - 1)) - 1 + (magnitude >> shift & 1)) >> shift;
}

static uint32_t to_float16(uint32_t magnitude) {
    if (magnitude >= 0x47800000u) { /* 65536 and more: infinity */
        return 0x7C00u;
    }
    if (magnitude >= 0x38800000u) { /* exponent bias 127 to 15; rounding may carry up to infinity */
        return rounded(magnitude - 0x38000000u, 13);
    }
    uint32_t shift = 126 - (magnitude >> 23); /* below 2^-14: a multiple of 2^-24 */
    return shift > 24 ? 0 /* below 2^-25, half of the smallest */
                      : rounded((magnitude & 0x7FFFFFu) | 0x800000u, shift);
}

static void put_value(uint8_t *output, uint8_t type, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    uint32_t sign = bits & 0x80000000u;
    if (type == EENS_FLOAT32) {
        memcpy(output, &bits, 4);
    } else if (type == EENS_DOUBLE) { /* exact: 0, or a normal number (a code times a normal scale) */
        uint32_t high = magnitude != 0 ? (magnitude >> 3) + ((1023u - 127u) << 20) : 0;
        uint64_t wide = (uint64_t)(high | sign) << 32 | magnitude << 29;
        memcpy(output, &wide, 8);
    } else {
        uint32_t half = type == EENS_FLOAT16 ? to_float16(magnitude) : rounded(magnitude, 16);
        uint16_t two = (uint16_t)(half | sign >> 16);
        memcpy(output, &two, 2);
    }
}

#endif

/* Positions of a channel in a row; the tensor has elements, so no dim is 0. */
static uint32_t inner_of(const eens_tensor *tensor) {
    uint32_t inner = 1;
    if (tensor->scale_count == 1) {
        return UINT32_MAX; /* more than there are positions: the channel never ends */
    }
    for (uint32_t axis = tensor->channel_axis + 1u; axis < tensor->ndim; axis++) {
        inner *= tensor->dims[axis];
    }
    return inner;
}

/* In place: a value of b bytes written at element i ends at byte b (i + 1), and the first code not
 * yet read is byte (b - 1) count + i + 1, never before that, as i + 1 <= count. */
eens_status eens_spread(const eens_job *job, uint32_t at, uint32_t count, const int8_t *codes,
                        void *output) {
    const eens_tensor *tensor = job->tensor;
    uint8_t *element = output;
    uint32_t inner = inner_of(tensor);
    uint32_t position = job->block.first + at;
    uint32_t scales = job->file->scales_offset + 4 * tensor->scale_index;
    uint32_t channel = position / inner; /* whose scale comes next */
    uint32_t skip = position % inner;
    uint32_t left = 0; /* positions of the channel before */
    float scale = 0;
    for (uint32_t i = 0; i < count; i++, element += job->element) {
        int16_t code = codes[i];
        if (job->type == EENS_INT8) {
            *element = (uint8_t)code;
            continue;
        }
        if (job->type == EENS_INT16) {
            memcpy(element, &code, 2);
            continue;
        }
        if (left == 0) {
            uint32_t word;
            if (!eens_fetch_words(job->file, scales + 4 * (channel % tensor->scale_count), 1, &word)) {
                return EENS_ERR_READ;
            }
            memcpy(&scale, &word, 4);
            left = inner - skip;
            skip = 0;
            channel++;
        }
        left--;
        put_value(element, job->type, scale * (float)(code - tensor->zero_point));
    }
    return EENS_OK;
}

#endif
