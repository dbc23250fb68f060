/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_protocol.h: a workbench asks over the serial line, the board answers. The whole protocol is described in
 * edgesea's docs/serial-protocol.md.
 *
 * Typical use:
 *
 *     static edgesea_protocol protocol;        // the caller owns all memory; a static one begins as zeros
 *
 *     edgesea_board_start();
 *     for (;;) {
 *         edgesea_protocol_poll(&protocol);    // returns soon where nothing was asked
 *     }
 *
 * A program that does something else too calls edgesea_protocol_poll now and then, for instance while it waits for
 * sound; a request that runs the model keeps it for as long as that takes. Answers are whole lines that begin with
 * "<" and requests whole lines that begin with ">", so the program may write lines of its own in between.
 *
 * A request and its answer carry a sequence number and a CRC-32:
 *
 *     >002a infer 4*4ce1902a
 *     <002a infer 9d3c1a00 5e6f7a8b 1f4d2 1f4d0 1f4d1 1f4d2*ce3796fa
 *
 * What is no whole, sound line is passed over without an answer. The same line again gets the same answer again,
 * and nothing is done twice.
 */
#ifndef EDGESEA_PROTOCOL_H
#define EDGESEA_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "edgesea_path.h"
#include "firmware_model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EDGESEA_PROTOCOL_VERSION 1
#define EDGESEA_PROTOCOL_LINE 192 /* bytes of the longest line, its end included */
#define EDGESEA_PROTOCOL_CHUNK 64 /* bytes of an input or output in one line */
#define EDGESEA_PROTOCOL_RUNS 16  /* inferences, or steps of a profile, in one answer */

/* Answers requests that are not the protocol's own, such as the sensor program's: writes up to `size` bytes of answer, a
 * closing zero included, and returns NULL, or a word that says why not. */
typedef const char *(*edgesea_protocol_further)(const char *request, char *answer, size_t size);

/* All that the protocol keeps. Between two polls the program may use `arena` for other work. */
typedef struct edgesea_protocol {
    uint32_t arena[(FIRMWARE_ARENA_BYTES + 3) / 4 + (FIRMWARE_ARENA_BYTES == 0)] EDGESEA_ALIGNED;
    int8_t input[FIRMWARE_INPUT_BYTES] EDGESEA_ALIGNED;
    int8_t output[FIRMWARE_OUTPUT_BYTES] EDGESEA_ALIGNED;
    char request[EDGESEA_PROTOCOL_LINE]; /* from after ">" on */
    char answer[EDGESEA_PROTOCOL_LINE];  /* the last one, whole, to be given again */
    int listening;                       /* ">" was there, the line's end not yet */
    int request_length;
    int answer_length;     /* 0: nobody has said hello yet */
    uint32_t sequence;     /* of the last request that was answered */
    uint32_t request_crc;
    edgesea_protocol_further further; /* NULL for none; to be set before the first poll */
} edgesea_protocol;

/* Takes what has arrived on the serial line, up to one request or EDGESEA_PROTOCOL_LINE bytes, and answers. */
void edgesea_protocol_poll(edgesea_protocol *protocol);

#ifdef __cplusplus
}
#endif

#endif
