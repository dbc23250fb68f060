/* edgesea_pointwise_row: one row of a 1x1 convolution with stride 1, in portable C. */
#include "edgesea_kernels.h"
#include "edgesea_requantize.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

void edgesea_pointwise_row(const void *constant, const edgesea_window *window, void *result, void *scratch)
{
    const edgesea_conv *op = (const edgesea_conv *)constant;
    const int8_t *in = (const int8_t *)window->rows[0];
    int8_t *out = (int8_t *)result;
    const int depth = op->in_channels;
    const int depth4 = (depth + 3) & ~3;

    (void)scratch;
    for (int x = 0; x < op->out_width; x++) {
        const int8_t *weights = (const int8_t *)op->weights;
        for (int c = 0; c < op->out_channels; c++) {
            int32_t sum = op->channels[c].bias;
            for (int k = 0; k < depth; k++) {
                sum += in[k] * weights[k];
            }
            *out++ = edgesea_finish(op, c, sum);
            weights += depth4;
        }
        in += depth;
    }
}

#endif
