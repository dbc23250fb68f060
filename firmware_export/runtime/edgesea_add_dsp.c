/* edgesea_add for Arm's DSP extension: one rounding multiplication where portable C takes 64-bit arithmetic. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* round(2 * value * multiplier / 2^32) + more */
static inline int32_t multiply_add(int32_t value, int32_t multiplier, int32_t more)
{
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(value * 2), "r"(multiplier), "r"(more));
    return result;
}

/* How a value is scaled: (multiply_add(value, multiplier, half) - (value < 0 and down)) >> right, which rounds halves
 * away from zero. With nothing to shift there is nothing to round: half and down are 0 then. */
typedef struct scale {
    int32_t multiplier;
    int32_t half;
    int32_t down;
    int32_t right;
} scale;

static scale scale_of(int32_t multiplier, int shift)
{
    const int right = -shift;
    const scale result = {multiplier, (int32_t)((1U << right) >> 1), right > 0 ? -1 : 0, right};
    return result;
}

static inline int32_t apply(const scale *s, int32_t value)
{
    return multiply_add(value, s->multiplier, s->half + ((value >> 31) & s->down)) >> s->right;
}

void edgesea_add(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    const scale scale_a = scale_of(op->multiplier[0], op->shift[0]), scale_b = scale_of(op->multiplier[1], op->shift[1]);
    const scale scale_out = scale_of(op->out_multiplier, op->out_shift);
    const int32_t zero_a = op->zero[0], zero_b = op->zero[1], zero = op->out_zero;
    const int32_t sign_a = op->sign[0], sign_b = op->sign[1], low = op->low, high = op->high;
    const int8_t *const end = a + op->count;

    while (a < end) {
        const int8_t *run = (uint32_t)(end - a) > op->period ? a + op->period : end;
        const int8_t *other = second;
        while (a < run) {
            const int32_t x = apply(&scale_a, (*a++ - zero_a) * (1 << 20));
            const int32_t y = apply(&scale_b, (*other++ - zero_b) * (1 << 20));
            const int32_t value = apply(&scale_out, sign_a * x + sign_b * y) + zero;
            *out++ = (int8_t)(value < low ? low : value > high ? high : value);
        }
    }
}

#endif
