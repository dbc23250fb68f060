/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* sensor.h: the program that a board runs: sound in, one line of JSON an event out.
 *
 * It is the same on every board. It takes the model from sensor_model.h, a generated file, and two functions from the
 * board, which are declared here and written by whoever knows the board (sensor_semihosting.c is the one for emulated
 * cores). The board's main() sets up clocks and microphone and calls sensor_run().
 *
 * A model with a head or a memory says what it hears, when a class begins to be heard:
 *     {"event":"jackhammer","confidence":0.9312,"samples":15600,"level_db":-31.4}
 * confidence is the pooled score, cut to four digits; samples: how many have been heard up to the end of the frame;
 * level_db: of the sound since the last decision, 0 being a square wave of full scale. The event "unknown" is a sound
 * unlike all that the memory holds.
 *
 * Any other model, and after `raw 1` this one too, says its embedding with every decision:
 *     {"samples":15600,"scale":0.0235294,"zero_point":-128,"embedding":[-128,17,...]}
 * An embedding's real value is scale * (integer - zero_point). Similarity of two embeddings is that of the real values,
 * never of the integers.
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

/* Where SENSOR_HAS_STORAGE is defined, the board also gives `const edgesea_storage sensor_storage`, see
 * edgesea_memory.h, in which what is learned survives a reset. */

/* Listens and decides until the sound ends. Returns 0, or 1 if the model could not be run. */
int sensor_run(void);

/* Answers a request of the serial line, see docs/serial-protocol.md: status, raw, memory. To be called from
 * sensor_read, between two decisions.
 *   answer  `size` bytes, 120 or more
 * Returns the reason why not, or NULL where the answer is written. */
const char *sensor_ask(const char *text, char *answer, size_t size);

#ifdef __cplusplus
}
#endif

#endif
