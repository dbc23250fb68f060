/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_protocol_profile.h: what the protocol says of the build, and the cycles of each step of the model.
 *
 * Steps are told apart in builds with -DEDGESEA_PROFILE_HOOK, in every file of the build; others have none. The hook
 * makes an inference a little longer, by a call for each step, in a stream for each row.
 */
#ifndef EDGESEA_PROTOCOL_PROFILE_H
#define EDGESEA_PROTOCOL_PROFILE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many steps can be told apart: FIRMWARE_STEPS, or 0 in a build without the hook. */
int edgesea_protocol_steps(void);

/* What step 0 .. edgesea_protocol_steps() - 1 does, such as "CONV_2D". */
const char *edgesea_protocol_step_name(int step);

/* The next inference is the one whose steps are counted. */
void edgesea_protocol_profile_start(void);

/* Cycles of a step in the inference that followed edgesea_protocol_profile_start. */
uint32_t edgesea_protocol_step_cycles(int step);

/* The compiler's name and version, and how it was told to optimise. */
const char *edgesea_protocol_compiler(void);

#ifdef __cplusplus
}
#endif

#endif
