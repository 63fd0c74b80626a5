/* Codes to values (S4.4): one product in float32 with one rounding, then the output's type. Built
 * with -ffp-contract=off, the same bits come out on every machine. */
#include "eens_vector.h"

#if !defined(EENS_SMALL) /* eens_values_small.c */

/* Codes worked on at a time: enough for a full vector loop. */
#define CHUNK 16u

/* The scales of one chunk's positions, spread out so that one loop serves every shape. */
typedef struct scale_window {
    const eens_file *file;
    uint64_t offset;   /* of the tensor's scales */
    uint32_t channels; /* 1: one scale for all */
    uint32_t inner;    /* positions of a channel in a row */
    uint32_t channel;  /* of the next position */
    uint32_t left;     /* positions of that channel from there on, at least 1 */
    bool is_uniform;   /* every entry is the scale of that channel */
    float scales[CHUNK];
} scale_window;

static float load_float(const uint8_t *bytes) {
    uint32_t word = eens_load32(bytes);
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

/* Positions of a channel in a row: at least 1, as the tensor has elements and so no dim is 0. */
static uint32_t inner_of(const eens_tensor *tensor) {
    uint32_t inner = 1;
    if (tensor->scale_count == 1) {
        return UINT32_MAX; /* more than there are positions: the channel never ends */
    }
    for (unsigned axis = tensor->channel_axis + 1u; axis < tensor->ndim; axis++) {
        inner *= tensor->dims[axis];
    }
    return inner;
}

static void window_begin(scale_window *window, const eens_file *file, const eens_tensor *tensor,
                         uint32_t first) {
    window->file = file;
    window->offset = file->scales_offset + 4 * (uint64_t)tensor->scale_index;
    window->channels = tensor->scale_count;
    window->inner = inner_of(tensor);
    window->is_uniform = false;
    window->channel = first / window->inner % window->channels;
    window->left = window->inner - first % window->inner;
}

/* Past count positions, all of the window's channel. */
static void window_pass(scale_window *window, uint32_t count) {
    window->left -= count;
    if (window->left == 0) {
        window->left = window->inner;
        window->channel = window->channel + 1 == window->channels ? 0 : window->channel + 1;
        window->is_uniform = false;
    }
}

/* Fills entries from at on with scales of channels that lie in a row; returns the next entry, or 0
 * if the storage could not be read. */
static uint32_t window_fill(scale_window *window, uint32_t at, uint32_t count) {
    uint8_t buffer[4 * CHUNK];
    uint32_t rest = count - at;
    uint32_t wanted = 1 + (rest > window->left ? (rest - window->left - 1) / window->inner + 1 : 0);
    uint32_t there = window->channels - window->channel;
    uint32_t part = wanted < there ? wanted : there; /* at most rest, as inner is at least 1 */
    const uint8_t *bytes = eens_view(
        window->file, window->offset + 4 * (uint64_t)window->channel, 4 * part, buffer);
    if (bytes == NULL) {
        return 0;
    }
#if EENS_LITTLE_ENDIAN
    if (window->inner == 1) { /* the scales as they lie */
        memcpy(window->scales + at, bytes, 4 * part);
        window->channel = part == there ? 0 : window->channel + part;
        return at + part;
    }
#endif
    for (uint32_t i = 0; i < part; i++) {
        float scale = load_float(bytes + 4 * i);
        uint32_t run = count - at < window->left ? count - at : window->left;
        for (uint32_t end = at + run; at < end; at++) {
            window->scales[at] = scale;
        }
        window_pass(window, run);
    }
    return at;
}

/* Brings the window to the next count positions. */
static bool window_next(scale_window *window, uint32_t count) {
    if (window->left >= count) {
        if (!window->is_uniform) {
            uint8_t buffer[4];
            const uint8_t *bytes = eens_view(
                window->file, window->offset + 4 * (uint64_t)window->channel, 4, buffer);
            if (bytes == NULL) {
                return false;
            }
            float scale = load_float(bytes);
            for (uint32_t i = 0; i < CHUNK; i++) {
                window->scales[i] = scale;
            }
            window->is_uniform = true;
        }
        window_pass(window, count);
        return true;
    }
    window->is_uniform = false;
    for (uint32_t at = 0; at < count;) {
        at = window_fill(window, at, count);
        if (at == 0) {
            return false;
        }
    }
    return true;
}

#if defined(EENS_VECTOR)

/* Codes that the kernels turn into values at once, with one scale or with scales that lie in a row;
 * returns how many it was, a multiple of 16, and 0 if there are none or the storage failed. */
static uint32_t spread_vector(scale_window *window, eens_grid grid, const int8_t *codes,
                              uint32_t count, void *output) {
    bool each = window->inner == 1 && window->channels != 1;
    uint32_t row = each ? window->channels - window->channel : window->left;
    uint32_t part = (count < row ? count : row) & ~15u;
    uint8_t buffer[64];
    if (each && window->file->data == NULL && part > 16) {
        part = 16; /* as many scales as the buffer has room for */
    }
    const uint8_t *scales = part == 0 ? NULL
                                      : eens_view(window->file,
                                                  window->offset + 4 * (uint64_t)window->channel,
                                                  each ? 4 * (size_t)part : 4, buffer);
    if (scales == NULL) {
        return 0;
    }
    if (each) {
        eens_scale_each(grid, scales, codes, part, output);
        window->channel = part == row ? 0 : window->channel + part;
    } else {
        eens_scale_all(grid, load_float(scales), codes, part, output);
        window_pass(window, part);
    }
    return part;
}

uint32_t eens_scale_run(const eens_tensor *tensor) {
    return inner_of(tensor);
}

uint32_t eens_scale_at(const eens_job *job, uint32_t at, float *scale) {
    scale_window window;
    uint8_t buffer[4];
    window_begin(&window, job->file, job->tensor, job->block.first + at);
    const uint8_t *bytes =
        eens_view(job->file, window.offset + 4 * (uint64_t)window.channel, 4, buffer);
    if (bytes == NULL) {
        return 0;
    }
    *scale = load_float(bytes);
    return window.left;
}

#endif

static inline void multiply(float *restrict values, const int8_t *restrict codes,
                            const float *restrict scales, int32_t zero_point) {
    for (uint32_t i = 0; i < CHUNK; i++) {
        values[i] = scales[i] * (float)(codes[i] - zero_point);
    }
}

/* values in the output's type, from element number at on. */
static void put_values(uint8_t *output, uint8_t type, uint32_t at, const float *values,
                       uint32_t count) {
    union {
        uint16_t halves[CHUNK];
        uint64_t doubles[CHUNK / 2];
    } converted;
    if (type == EENS_FLOAT32) {
        memcpy(output + 4 * (size_t)at, values, 4 * count);
    } else if (type == EENS_DOUBLE) {
        for (uint32_t done = 0; done < count; done += CHUNK / 2) {
            uint32_t part = count - done < CHUNK / 2 ? count - done : CHUNK / 2;
            eens_to_double(values + done, part, converted.doubles);
            memcpy(output + 8 * (size_t)(at + done), converted.doubles, 8 * part);
        }
    } else {
        if (type == EENS_FLOAT16) {
            eens_to_float16(values, count, converted.halves);
        } else {
            eens_to_bfloat16(values, count, converted.halves);
        }
        memcpy(output + 2 * (size_t)at, converted.halves, 2 * count);
    }
}

static void spread_int16(uint8_t way, const int8_t *codes, uint32_t count, int16_t *output) {
    int8_t chunk[CHUNK];
    uint32_t at = 0;
#if defined(EENS_VECTOR)
    if (way != EENS_BY_SCALAR) {
        at = count & ~15u;
        eens_widen(codes, at, output);
    }
#else
    (void)way;
#endif
    for (; at < count; at += CHUNK) {
        uint32_t part = count - at < CHUNK ? count - at : CHUNK;
        memcpy(chunk, codes + at, part); /* before the values run over them */
        for (uint32_t i = 0; i < part; i++) {
            output[at + i] = chunk[i];
        }
    }
}

/* The next codes, at most CHUNK; false: the storage could not be read. */
static bool spread_chunk(scale_window *window, const eens_job *job, const int8_t *codes,
                         uint32_t at, uint32_t count, void *output) {
    float values[CHUNK];
    int8_t chunk[CHUNK] = {0};
    int32_t zero_point = job->tensor->zero_point;
    if (!window_next(window, count)) {
        return false;
    }
    if (count == CHUNK) {
        memcpy(chunk, codes + at, CHUNK);
        if (job->type == EENS_FLOAT32) {
            multiply((float *)output + at, chunk, window->scales, zero_point);
            return true;
        }
    } else {
        memcpy(chunk, codes + at, count);
    }
    multiply(values, chunk, window->scales, zero_point);
    put_values(output, job->type, at, values, count);
    return true;
}

/* In place: a value of b bytes written at element i ends at byte b (i + 1), and the first code not
 * yet read is byte (b - 1) count + i + 1, never before that, as i + 1 <= count. */
eens_status eens_spread(const eens_job *job, uint32_t first, uint32_t count, const int8_t *codes,
                        void *output) {
    scale_window window;
    uint32_t part;
    if (job->type == EENS_INT8) {
        if (codes != output) {
            memcpy(output, codes, count);
        }
        return EENS_OK;
    }
    if (job->type == EENS_INT16) {
        spread_int16(job->way, codes, count, output);
        return EENS_OK;
    }
    if (count == 0) {
        return EENS_OK;
    }
#if defined(EENS_VECTOR)
    bool in_place = (uintptr_t)codes - (uintptr_t)output < job->element * (size_t)count;
    eens_grid grid = {job->tensor->zero_point, job->type, in_place ? EENS_BY_VECTOR : job->way};
    bool vector = job->way != EENS_BY_SCALAR &&
                  (job->type == EENS_FLOAT32 || job->type == EENS_FLOAT16);
#endif
    window_begin(&window, job->file, job->tensor, job->block.first + first);
    for (uint32_t at = 0; at < count; at += part) {
#if defined(EENS_VECTOR)
        uint8_t *here = (uint8_t *)output + job->element * (size_t)at;
        part = vector ? spread_vector(&window, grid, codes + at, count - at, here) : 0;
        if (part != 0) {
            continue;
        }
#endif
        part = count - at < CHUNK ? count - at : CHUNK;
        if (!spread_chunk(&window, job, codes, at, part, output)) {
            return EENS_ERR_READ;
        }
    }
    return EENS_OK;
}

#endif
