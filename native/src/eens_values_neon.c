/* Codes to values (S4.4), 16 at a time: the scalar code's one product, in the same order. Denormals
 * stay what they are on 64-bit ARM; products are 0 or normal, float16 may be denormal. */
#include "eens_vector.h"

#if defined(EENS_NEON)

#include <arm_neon.h>

/* A code less a zero point of -128 to 127 takes 9 bits. */
static inline float32x4x4_t differences(int8x16_t codes, int8x16_t zero_point) {
    int16x8_t low = vsubl_s8(vget_low_s8(codes), vget_low_s8(zero_point));
    int16x8_t high = vsubl_high_s8(codes, zero_point);
    float32x4x4_t all = {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
                     vcvtq_f32_s32(vmovl_high_s16(low)),
                     vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                     vcvtq_f32_s32(vmovl_high_s16(high))}};
    return all;
}

static inline void store(void *output, uint32_t at, float32x4x4_t all, bool is_half) {
    if (!is_half) {
        vst1q_f32_x4((float *)output + at, all);
        return;
    }
    EENS_UNROLL
    for (uint32_t k = 0; k < 4; k++) {
        /* To nearest, ties to even: the mode that the product was rounded in too. */
        vst1_u16((uint16_t *)output + at + 4 * k,
                 vreinterpret_u16_f16(vcvt_f16_f32(all.val[k])));
    }
}

/* Written out: a loop is not unrolled by -O2, and then the values go through memory. */
static inline float32x4x4_t times(float32x4x4_t all, float scale) {
    float32x4x4_t scaled = {{vmulq_n_f32(all.val[0], scale), vmulq_n_f32(all.val[1], scale),
                        vmulq_n_f32(all.val[2], scale), vmulq_n_f32(all.val[3], scale)}};
    return scaled;
}

EENS_ALWAYS_INLINE void scale_all(int8x16_t zero_point, float scale, const int8_t *codes,
                                  uint32_t count, bool is_half, void *output) {
    for (uint32_t i = 0; i < count; i += 16) {
        float32x4x4_t all = differences(vld1q_s8(codes + i), zero_point);
        store(output, i, times(all, scale), is_half);
    }
}

EENS_ALWAYS_INLINE void scale_each(int8x16_t zero_point, const uint8_t *scales,
                                   const int8_t *codes, uint32_t count, bool is_half,
                                   void *output) {
    for (uint32_t i = 0; i < count; i += 16) {
        float32x4x4_t all = differences(vld1q_s8(codes + i), zero_point);
        EENS_UNROLL
        for (uint32_t k = 0; k < 4; k++) {
            const uint8_t *bytes = scales + 4 * (size_t)i + 16 * k;
            float32x4_t scale = vreinterpretq_f32_u8(vld1q_u8(bytes));
            all.val[k] = vmulq_f32(scale, all.val[k]);
        }
        store(output, i, all, is_half);
    }
}

void eens_scale_all(eens_grid grid, float scale, const int8_t *codes, uint32_t count,
                    void *output) {
    int8x16_t zero_point = vdupq_n_s8((int8_t)grid.zero_point);
    if (grid.type == EENS_FLOAT32) {
        scale_all(zero_point, scale, codes, count, false, output);
    } else {
        scale_all(zero_point, scale, codes, count, true, output);
    }
}

void eens_scale_each(eens_grid grid, const uint8_t *scales, const int8_t *codes, uint32_t count,
                     void *output) {
    int8x16_t zero_point = vdupq_n_s8((int8_t)grid.zero_point);
    if (grid.type == EENS_FLOAT32) {
        scale_each(zero_point, scales, codes, count, false, output);
    } else {
        scale_each(zero_point, scales, codes, count, true, output);
    }
}

void eens_widen(const int8_t *codes, uint32_t count, int16_t *output) {
    for (uint32_t i = 0; i < count; i += 16) {
        int8x16_t both = vld1q_s8(codes + i);
        vst1q_s16(output + i, vmovl_s8(vget_low_s8(both)));
        vst1q_s16(output + i + 8, vmovl_high_s8(both));
    }
}

#endif
