/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_add: sums and differences of two tensors, in portable C. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

/* edgesea_scale_twice for shift <= 0, with what does not depend on the value worked out once. With nothing to shift there
 * is nothing to round: half and down are 0 then. */
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
    const int32_t high = (int32_t)(((int64_t)value * s->multiplier + (1 << 30)) >> 31);
    return (high + s->half + ((value >> 31) & s->down)) >> s->right;
}

void edgesea_add(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    const scale scale_a = scale_of(op->multiplier[0], op->shift[0]), scale_b = scale_of(op->multiplier[1], op->shift[1]);
    const scale scale_out = scale_of(op->out_multiplier, op->out_shift);
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        /* Operands on the common scale, where one is 2^20. */
        const int32_t x = apply(&scale_a, (a[i] - op->zero[0]) * (1 << 20));
        const int32_t y = apply(&scale_b, (second[j] - op->zero[1]) * (1 << 20));
        out[i] = edgesea_clamp(apply(&scale_out, op->sign[0] * x + op->sign[1] * y), op->out_zero, op->low, op->high);
        j = j + 1 == op->period ? 0 : j + 1;
    }
}

#endif
