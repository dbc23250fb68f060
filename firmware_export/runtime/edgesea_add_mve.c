/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_add for Arm's vector extension: four elements at a time. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_MVE

#include <arm_mve.h>

/* edgesea_scale_twice for shift <= 0. With nothing to shift there is nothing to round. */
static inline int32x4_t scale(int32x4_t value, int32_t multiplier, int shift)
{
    int32x4_t scaled = vqrdmulhq_n_s32(value, multiplier);
    if (shift < 0) {
        scaled = vaddq_n_s32(vaddq_s32(scaled, vshrq_n_s32(value, 31)), 1 << (-shift - 1));
        scaled = vshlq_r_s32(scaled, shift);
    }
    return scaled;
}

void edgesea_add(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    const int32_t multiplier_a = op->multiplier[0], multiplier_b = op->multiplier[1], multiplier = op->out_multiplier;
    const int32_t zero_a = op->zero[0], zero_b = op->zero[1], sign_a = op->sign[0], sign_b = op->sign[1];
    const int shift_a = op->shift[0], shift_b = op->shift[1], shift = op->out_shift;
    const int32x4_t low = vdupq_n_s32(op->low), high = vdupq_n_s32(op->high);
    int32_t left = (int32_t)op->count;

    while (left > 0) {
        const int8_t *other = second;
        int32_t run = left < (int32_t)op->period ? left : (int32_t)op->period;
        left -= run;
        for (; run > 0; run -= 4) {
            const mve_pred16_t inside = vctp32q((uint32_t)run);
            const int32_t step = run < 4 ? run : 4;
            const int32x4_t x = vshlq_n_s32(vsubq_n_s32(vldrbq_z_s32(a, inside), zero_a), 20);
            const int32x4_t y = vshlq_n_s32(vsubq_n_s32(vldrbq_z_s32(other, inside), zero_b), 20);
            const int32x4_t sum = vaddq_s32(vmulq_n_s32(scale(x, multiplier_a, shift_a), sign_a),
                                            vmulq_n_s32(scale(y, multiplier_b, shift_b), sign_b));
            const int32x4_t value = vaddq_n_s32(scale(sum, multiplier, shift), op->out_zero);
            vstrbq_p_s32(out, vminq_s32(vmaxq_s32(value, low), high), inside);
            a += step;
            other += step;
            out += step;
        }
    }
}

#endif
