/* edgesea_depthwise_paired_row in portable C: nothing to gain from pairs. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_PLAIN

void edgesea_depthwise_paired_row(const void *op, const edgesea_window *window, void *out, void *scratch)
{
    edgesea_depthwise_row(op, window, out, scratch);
}

#endif
