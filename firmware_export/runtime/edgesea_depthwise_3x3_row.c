/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_depthwise_3x3_row where 3x3 is a kernel like any other: in portable C, and for Arm's vector extension. */
#include "edgesea_kernels.h"

#if EDGESEA_PATH != EDGESEA_PATH_DSP

void edgesea_depthwise_3x3_row(const void *op, const edgesea_window *window, void *out, void *scratch)
{
    edgesea_depthwise_paired_row(op, window, out, scratch);
}

#endif
