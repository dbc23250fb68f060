/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_pointwise_row for Arm's DSP extension: a pixel is widened once for all output channels. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH == EDGESEA_PATH_DSP

/* Gathering a 1x1 kernel's only column costs next to nothing there. */
void edgesea_pointwise_row(const void *op, const edgesea_window *window, void *out, void *scratch)
{
    edgesea_conv_row(op, window, out, scratch);
}

#endif
