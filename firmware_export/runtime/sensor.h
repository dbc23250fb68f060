/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor.h: the program that a board runs: sound in, one line of JSON a decision out.
 *
 * sensor.c is the same on every board. It takes the model from sensor_model.h, a generated file, and two functions
 * from the board, which are declared here and written by whoever knows the board (sensor_semihosting.c is the one for
 * emulated cores). The board's main() sets up clocks and microphone and calls sensor_run().
 *
 * A line is
 *     {"samples":15600,"scale":0.0235294,"zero_point":-128,"embedding":[-128,17,...]}
 * samples: how many have been heard up to the end of the patch. An embedding's real value is
 * scale * (integer - zero_point). Similarity of two embeddings is that of the real values, never of the integers.
 */
#ifndef SENSOR_H
#define SENSOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Given by the board: waits for sound and writes 1 to `count` samples of 16 bits at SENSOR_SAMPLE_RATE, one channel.
 * Returns how many; 0 ends the program. */
size_t sensor_read(int16_t *pcm, size_t count);

/* Given by the board: sends a piece of a line. Lines end in "\n". */
void sensor_write(const char *text);

/* Listens and decides until the sound ends. Returns 0, or 1 if the model could not be run. */
int sensor_run(void);

#ifdef __cplusplus
}
#endif

#endif
