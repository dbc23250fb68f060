/* edgesea_add: sums and differences of two tensors, in portable C. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

/* An operand on the common scale, where one is 2^20. */
static int32_t raise(const edgesea_pairwise *op, int side, int8_t value)
{
    const int32_t raised = (value - op->zero[side]) * (1 << 20);
    return op->sign[side] * edgesea_scale_twice(raised, op->multiplier[side], op->shift[side]);
}

void edgesea_add(const edgesea_pairwise *op, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *second = op->constant ? op->constant : b;
    uint32_t j = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        const int32_t sum = raise(op, 0, a[i]) + raise(op, 1, second[j]);
        out[i] = edgesea_clamp(edgesea_scale_twice(sum, op->out_multiplier, op->out_shift), op->out_zero, op->low,
                               op->high);
        j = j + 1 == op->period ? 0 : j + 1;
    }
}

#endif
