/* Drawn members (S9), 16 positions at a time. */
#include "eens_vector.h"

#if !defined(EENS_NO_DRAWN) && defined(EENS_NEON)

#include <arm_neon.h>

/* The numbers of eens_split in all lanes. */
typedef struct split_rows {
    int16x8_t twice_largest, twice_levels, factor, shift, limit_whole, limit_factor;
} split_rows;

static inline split_rows rows_of(const eens_split *split) {
    split_rows rows = {vdupq_n_s16(split->twice_largest), vdupq_n_s16(split->twice_levels),
                       vdupq_n_s16(split->factor),        vdupq_n_s16((int16_t)-split->shift),
                       vdupq_n_s16(split->limit_whole),   vdupq_n_s16(split->limit_factor)};
    return rows;
}

/* g, and the limits into memory, of eight parents. */
static inline int16x8_t split8(split_rows rows, int16x8_t parents, uint32_t *limits) {
    uint16x8_t ones = vdupq_n_u16(0xFFFF);
    int16x8_t product = vmulq_s16(parents, rows.twice_largest);
    int16x8_t high = vqdmulhq_s16(vsubq_s16(product, vdupq_n_s16(1)), rows.factor);
    int16x8_t lower = vshlq_s16(high, rows.shift);
    int16x8_t rest = vmlsq_s16(product, lower, rows.twice_levels);
    int16x8_t limit = vmlaq_s16(vqdmulhq_s16(rest, rows.limit_factor), rest, rows.limit_whole);
    vst1q_u32(limits, vreinterpretq_u32_u16(vzip1q_u16(ones, vreinterpretq_u16_s16(limit))));
    vst1q_u32(limits + 4, vreinterpretq_u32_u16(vzip2q_u16(ones, vreinterpretq_u16_s16(limit))));
    return lower;
}

uint32_t eens_split_codes(const eens_split *split, const int8_t *parents, uint32_t count,
                          uint32_t *limits, int8_t *lower) {
    split_rows rows = rows_of(split);
    uint8x16_t most = vdupq_n_u8(0);
    for (uint32_t i = 0; i < count; i += 16) {
        int8x16_t codes = vld1q_s8(parents + i);
        most = vmaxq_u8(most, vreinterpretq_u8_s8(vabsq_s8(codes)));
        int16x8_t first = split8(rows, vmovl_s8(vget_low_s8(codes)), limits + i);
        int16x8_t second = split8(rows, vmovl_high_s8(codes), limits + i + 8);
        vst1q_s8(lower + i,
                 vuzp1q_s8(vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(second)));
    }
    return vmaxvq_u8(most);
}

/* The values of eight codes g and of g + 1; the rounded product is that of the scalar code. */
static inline void put_values8(int16x8_t codes, float scale, float *lower, float *upper) {
    float32x4_t one = vdupq_n_f32(1);
    float32x4_t first = vcvtq_f32_s32(vmovl_s16(vget_low_s16(codes)));
    float32x4_t second = vcvtq_f32_s32(vmovl_high_s16(codes));
    vst1q_f32(lower, vmulq_n_f32(first, scale));
    vst1q_f32(lower + 4, vmulq_n_f32(second, scale));
    vst1q_f32(upper, vmulq_n_f32(vaddq_f32(first, one), scale));
    vst1q_f32(upper + 4, vmulq_n_f32(vaddq_f32(second, one), scale));
}

uint32_t eens_split_values(const eens_split *split, const int8_t *parents, uint32_t count,
                           uint32_t *limits, float *lower, float *upper) {
    split_rows rows = rows_of(split);
    uint8x16_t most = vdupq_n_u8(0);
    float scale = split->scale;
    for (const int8_t *end = parents + count; parents < end; parents += 16) {
        int8x16_t codes = vld1q_s8(parents);
        most = vmaxq_u8(most, vreinterpretq_u8_s8(vabsq_s8(codes)));
        int16x8_t first = split8(rows, vmovl_s8(vget_low_s8(codes)), limits);
        int16x8_t second = split8(rows, vmovl_high_s8(codes), limits + 8);
        put_values8(first, scale, lower, upper);
        put_values8(second, scale, lower + 8, upper + 8);
        limits += 16;
        lower += 16;
        upper += 16;
    }
    return vmaxvq_u8(most);
}

/* e M + s of the next four positions. */
typedef struct words {
    uint32x4_t next;
    uint32x4_t step;
} words;

static inline words words_of(eens_draw draw, uint32_t first) {
    static const uint32_t lanes[4] = {0, 1, 2, 3};
    uint32x4_t positions = vaddq_u32(vdupq_n_u32(first), vld1q_u32(lanes));
    words made = {vmlaq_n_u32(vdupq_n_u32(draw.offset), positions, draw.multiplier),
                  vdupq_n_u32(4 * draw.multiplier)};
    return made;
}

/* x before mix's last step, which leaves the upper half, the odd member's word, as it is. */
static inline uint32x4_t mixed(words *from) {
    uint32x4_t x = from->next;
    from->next = vaddq_u32(x, from->step);
    x = veorq_u32(x, vshrq_n_u32(x, 16));
    x = vmulq_u32(x, vdupq_n_u32(0x7FEB352Du));
    x = veorq_u32(x, vshrq_n_u32(x, 15));
    return vmulq_u32(x, vdupq_n_u32(0x846CA68Bu));
}

/* The last step, upside down: the even member's word in the upper half. What the lower halves hold
 * does not matter, as those of the limits are ones. */
static inline uint32x4_t even_words(uint32x4_t x) {
    return veorq_u32(x, vshlq_n_u32(x, 16));
}

void eens_draw_values(eens_draw draw, uint32_t first, uint32_t count, const uint32_t *limits,
                      const float *lower, const float *upper, bool streamed, float *even,
                      float *odd) {
    words from = words_of(draw, first);
    (void)streamed;
    for (const uint32_t *end = limits + count; limits < end; limits += 16) {
        uint32x4x4_t limit = vld1q_u32_x4(limits);
        float32x4x4_t low = vld1q_f32_x4(lower);
        float32x4x4_t high = vld1q_f32_x4(upper);
        float32x4_t evens[4];
        float32x4_t odds[4];
        EENS_UNROLL
        for (uint32_t k = 0; k < 4; k++) {
            uint32x4_t x = mixed(&from);
            uint32x4_t is_upper = vcgeq_u32(limit.val[k], even_words(x));
            evens[k] = vbslq_f32(is_upper, high.val[k], low.val[k]);
            is_upper = vcgeq_u32(limit.val[k], x);
            odds[k] = vbslq_f32(is_upper, high.val[k], low.val[k]);
        }
        EENS_UNROLL
        for (uint32_t k = 0; k < 4; k++) { /* in a row, so that they are stored in pairs */
            vst1q_f32(even + 4 * k, evens[k]);
        }
        EENS_UNROLL
        for (uint32_t k = 0; k < 4; k++) {
            vst1q_f32(odd + 4 * k, odds[k]);
        }
        lower += 16;
        upper += 16;
        even += 16;
        odd += 16;
    }
}

/* The lowest byte of each lane. */
static inline int8x16_t narrowed(const uint32x4_t *lanes) {
    uint16x8_t low = vuzp1q_u16(vreinterpretq_u16_u32(lanes[0]), vreinterpretq_u16_u32(lanes[1]));
    uint16x8_t high = vuzp1q_u16(vreinterpretq_u16_u32(lanes[2]), vreinterpretq_u16_u32(lanes[3]));
    return vreinterpretq_s8_u8(
        vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high)));
}

void eens_draw_codes(eens_draw draw, uint32_t first, uint32_t count, const uint32_t *limits,
                     const int8_t *lower, int8_t *even, int8_t *odd) {
    words from = words_of(draw, first);
    for (uint32_t i = 0; i < count; i += 16) {
        uint32x4x4_t limit = vld1q_u32_x4(limits + i);
        int8x16_t low = vld1q_s8(lower + i);
        uint32x4_t evens[4];
        uint32x4_t odds[4];
        EENS_UNROLL
        for (uint32_t k = 0; k < 4; k++) { /* all ones, -1, where the code is g + 1 */
            uint32x4_t x = mixed(&from);
            evens[k] = vcgeq_u32(limit.val[k], even_words(x));
            odds[k] = vcgeq_u32(limit.val[k], x);
        }
        vst1q_s8(even + i, vsubq_s8(low, narrowed(evens)));
        vst1q_s8(odd + i, vsubq_s8(low, narrowed(odds)));
    }
}

#endif
