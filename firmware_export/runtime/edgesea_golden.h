/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_golden.h: does the model give on this board what TensorFlow Lite's reference kernels gave, to the bit?
 *
 * The golden vectors are constants in a generated file, inputs and the outputs that they must give; firmware_model.h
 * names them. Typical use, once at the start:
 *
 *     edgesea_golden_report(edgesea_golden_run(arena, output));
 *
 * writes one of
 *     edgesea golden PASS 4 of 4 street_sounds c901a637...
 *     edgesea golden FAIL 3 of 4 street_sounds c901a637...
 */
#ifndef EDGESEA_GOLDEN_H
#define EDGESEA_GOLDEN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs every golden vector and returns how many of the FIRMWARE_GOLDEN_COUNT gave the right output, every byte of it.
 * arena   FIRMWARE_ARENA_BYTES, aligned to 4
 * output  FIRMWARE_OUTPUT_BYTES; both are free again afterwards */
int edgesea_golden_run(void *arena, int8_t *output);

/* Writes the verdict on `passed` vectors, the model's name and its SHA-256 as a line to the board. */
void edgesea_golden_report(int passed);

#ifdef __cplusplus
}
#endif

#endif
