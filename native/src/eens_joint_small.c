/* The predictors of joint tensors (S10.3) in a small build: position by position. eens_joint.c is the
 * default. */
#include "eens_entropy.h"

#if !defined(EENS_NO_JOINT) && defined(EENS_SMALL)

/* Predictors 0 to 2: of member m, from those before it. */
static int32_t predicted(uint8_t predictor, uint32_t m, int32_t first, int32_t sum) {
    if (predictor == EENS_FIRST_MEMBER) {
        return first;
    }
    if (predictor == EENS_RUNNING_MEAN) { /* raised by 128 m: the dividend is not negative */
        return (int32_t)((uint32_t)(2 * sum + 257 * (int32_t)m) / (2 * m)) - 128;
    }
    return 0;
}

/* Predictor 3, at one position, whose residuals lie apart. They have the order in which the list grows:
 * a list and the differences behind it become the next list, from which the last entry of an odd number
 * is taken over. */
static void undo_transform(uint32_t members, size_t apart, int8_t *residuals) {
    int8_t list[EENS_MAX_MEMBERS];
    uint32_t steps = 0;
    while (members > 1u << steps) {
        steps++;
    }
    while (steps-- != 0) {
        uint32_t size = (members + (1u << steps) - 1) >> steps;
        uint32_t lower = (size + 1) / 2;
        for (uint32_t i = 0; i < size; i++) {
            int32_t l = residuals[i / 2 * apart];
            if (i + 1 < size || i % 2 != 0) {
                int32_t d = residuals[(lower + i / 2) * apart];
                int32_t half = (int32_t)((uint32_t)(d + 256) >> 1) - 128; /* floor of d / 2 */
                l += (i % 2 != 0 ? d : 0) - half;
            }
            list[i] = (int8_t)(uint8_t)l;
        }
        for (uint32_t i = 0; i < size; i++) {
            residuals[i * apart] = list[i];
        }
    }
}

uint32_t eens_joint_row(const eens_tensor *tensor, uint32_t member) {
    (void)tensor;
    return member;
}

void eens_unpredict(const eens_tensor *tensor, uint32_t count, int8_t *codes) {
    for (uint32_t i = 0; i < count; i++, codes++) {
        int32_t sum = 0;
        if (tensor->predictor == EENS_TRANSFORM) {
            undo_transform(tensor->copies, count, codes);
            continue;
        }
        for (uint32_t m = 1; m < tensor->copies; m++) {
            int8_t *code = codes + (size_t)m * count;
            sum += code[-(ptrdiff_t)count];
            *code = (int8_t)(uint8_t)(*code + predicted(tensor->predictor, m, codes[0], sum));
        }
    }
}

#endif
