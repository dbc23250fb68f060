/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_path.h: which implementation of the kernels this build uses, and the few things compilers differ in.
 *
 * A kernel has one portable file, edgesea_NAME.c, and may have edgesea_NAME_dsp.c and edgesea_NAME_mve.c beside it.
 * All of them are handed to the compiler; the path chosen here decides which of them is not empty. Every path gives
 * the same bytes.
 *
 *   EDGESEA_PATH_PLAIN   any C99 compiler
 *   EDGESEA_PATH_DSP     Arm's DSP extension: Cortex-M4, M7, M33 with DSP
 *   EDGESEA_PATH_MVE     Arm's vector extension on integers: Cortex-M55, M85
 *
 * Define EDGESEA_PATH as one of them to overrule the choice, the same in every file of a build.
 */
#ifndef EDGESEA_PATH_H
#define EDGESEA_PATH_H

#define EDGESEA_PATH_PLAIN 0
#define EDGESEA_PATH_DSP 1
#define EDGESEA_PATH_MVE 2

#ifndef EDGESEA_PATH
/* The fast paths hold GNU assembly in Thumb-2, for little-endian cores: a 32-bit Cortex-A takes the plain path. */
#if !defined(__GNUC__) || !defined(__thumb2__) || defined(__ARM_BIG_ENDIAN) || __ARM_ARCH_PROFILE != 'M'
#define EDGESEA_PATH EDGESEA_PATH_PLAIN
#elif defined(__ARM_FEATURE_MVE)
#define EDGESEA_PATH EDGESEA_PATH_MVE
#elif defined(__ARM_FEATURE_DSP)
#define EDGESEA_PATH EDGESEA_PATH_DSP
#else
#define EDGESEA_PATH EDGESEA_PATH_PLAIN
#endif
#endif

/* 1: GCC compiles the kernels for size, whatever -O says, and those of the DSP path have fewer variants; a few
 * percent slower.
 * 0: they are what -O makes of them. --optimize chooses; the same in every file of a build. */
#ifndef EDGESEA_OPTIMIZE_SIZE
#define EDGESEA_OPTIMIZE_SIZE 0
#endif
#if EDGESEA_OPTIMIZE_SIZE && defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif

/* Weights and buffers start at addresses that word and vector loads take. */
#if defined(__GNUC__) || defined(__clang__)
#define EDGESEA_ALIGNED __attribute__((aligned(16)))
#else
#define EDGESEA_ALIGNED
#endif

/* Called with an operator's number just before its work begins, row by row where operators take turns, and with -1
 * at the end of an inference. Build with -DEDGESEA_PROFILE_HOOK to receive the calls in a function of your own. */
#ifdef EDGESEA_PROFILE_HOOK
#ifdef __cplusplus
extern "C"
#endif
void edgesea_profile(int op);
#define EDGESEA_PROFILE(op) edgesea_profile(op)
#else
#define EDGESEA_PROFILE(op) ((void)0)
#endif

#endif
