/* Bit streams of equal fields into bytes (S7.2), 16 at a time. */
#include "eens_vector.h"

#if defined(EENS_NEON)

#include <arm_neon.h>

#include "eens_unpack_windows.h"

static const uint8_t windows[9][16] = {
    {0}, {EENS_WINDOWS(1)}, {EENS_WINDOWS(2)}, {EENS_WINDOWS(3)}, {EENS_WINDOWS(4)},
    {EENS_WINDOWS(5)}, {EENS_WINDOWS(6)}, {EENS_WINDOWS(7)}, {EENS_WINDOWS(8)},
};

static const int16_t rises[9][8] = {
    {0}, {EENS_RISES(1)}, {EENS_RISES(2)}, {EENS_RISES(3)}, {EENS_RISES(4)},
    {EENS_RISES(5)}, {EENS_RISES(6)}, {EENS_RISES(7)}, {EENS_RISES(8)},
};

/* Sixteen fields, each at the top of its byte: 2 w bytes and the one behind, so at most 17, whose
 * last only fills bits of a lane that are shifted out (TBL gives 0 for it). */
static inline uint8x16_t raised16(uint8x16_t bytes, uint8x16_t low, uint8x16_t high,
                                  int16x8_t rise) {
    uint16x8_t first = vshlq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(bytes, low)), rise);
    uint16x8_t second = vshlq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(bytes, high)), rise);
    return vuzp2q_u8(vreinterpretq_u8_u16(first), vreinterpretq_u8_u16(second));
}

/* Fields that can be taken 16 at a time, each time reading 16 bytes. */
static inline uint32_t groups16(uint32_t size, uint32_t count, uint32_t width) {
    uint32_t within = size < 16 ? 0 : (size - 16) / (2 * width) + 1;
    return 16 * (count / 16 < within ? count / 16 : within);
}

uint32_t eens_unpack_signed(const uint8_t *stream, uint32_t size, uint32_t count, uint32_t width,
                            int8_t *codes) {
    uint8x16_t low = vld1q_u8(windows[width]);
    uint8x16_t high = vaddq_u8(low, vdupq_n_u8((uint8_t)width));
    int16x8_t rise = vld1q_s16(rises[width]);
    int8x16_t fall = vdupq_n_s8((int8_t)((int32_t)width - 8));
    uint32_t done = groups16(size, count, width);
    for (uint32_t i = 0; i < done; i += 16, stream += 2 * width) {
        uint8x16_t raised = raised16(vld1q_u8(stream), low, high, rise);
        vst1q_s8(codes + i, vshlq_s8(vreinterpretq_s8_u8(raised), fall));
    }
    return done;
}

uint32_t eens_unpack_unsigned(const uint8_t *stream, uint32_t size, uint32_t count, uint32_t width,
                              uint8_t *fields) {
    uint8x16_t low = vld1q_u8(windows[width]);
    uint8x16_t high = vaddq_u8(low, vdupq_n_u8((uint8_t)width));
    int16x8_t rise = vld1q_s16(rises[width]);
    int8x16_t fall = vdupq_n_s8((int8_t)((int32_t)width - 8));
    uint32_t done = groups16(size, count, width);
    for (uint32_t i = 0; i < done; i += 16, stream += 2 * width) {
        uint8x16_t raised = raised16(vld1q_u8(stream), low, high, rise);
        vst1q_u8(fields + i, vshlq_u8(raised, fall));
    }
    return done;
}

/* Two bits, as most files have: four fields of a byte go to the lowest bits of four, and what stands
 * above them there makes room for the numbers. */
static uint32_t unpack_two_below(const uint8_t *stream, uint32_t count, int8_t *codes) {
    static const uint8_t bytes_of[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    static const int8_t falls[16] = {0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6};
    uint8x16_t from = vld1q_u8(bytes_of);
    int8x16_t fall = vld1q_s8(falls);
    uint32_t done = count / 64 * 64;
    for (uint32_t i = 0; i < done; i += 64, stream += 16) {
        uint8x16_t bytes = vld1q_u8(stream);
        EENS_UNROLL
        for (uint32_t k = 0; k < 4; k++) {
            uint8x16_t at = vaddq_u8(from, vdupq_n_u8((uint8_t)(4 * k)));
            uint8x16_t fields = vshlq_u8(vqtbl1q_u8(bytes, at), fall);
            uint8_t *out = (uint8_t *)codes + i + 16 * k;
            vst1q_u8(out, vsliq_n_u8(fields, vld1q_u8(out), 2));
        }
    }
    return done;
}

uint32_t eens_unpack_below(const uint8_t *stream, uint32_t size, uint32_t count, uint32_t width,
                           int8_t *codes) {
    if (width == 2) {
        return unpack_two_below(stream, count, codes);
    }
    uint8x16_t low = vld1q_u8(windows[width]);
    uint8x16_t high = vaddq_u8(low, vdupq_n_u8((uint8_t)width));
    int16x8_t rise = vld1q_s16(rises[width]);
    int8x16_t fall = vdupq_n_s8((int8_t)((int32_t)width - 8));
    int8x16_t up = vdupq_n_s8((int8_t)width);
    uint32_t done = groups16(size, count, width);
    for (uint32_t i = 0; i < done; i += 16, stream += 2 * width) {
        uint8x16_t raised = raised16(vld1q_u8(stream), low, high, rise);
        int8x16_t numbers = vshlq_s8(vld1q_s8(codes + i), up);
        vst1q_s8(codes + i, vorrq_s8(numbers, vreinterpretq_s8_u8(vshlq_u8(raised, fall))));
    }
    return done;
}

#endif
