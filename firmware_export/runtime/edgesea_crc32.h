/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_crc32.h: the checksum of lines and records. */
#ifndef EDGESEA_CRC32_H
#define EDGESEA_CRC32_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* CRC-32 as in zip and Ethernet: begin with 0, hand in what came out to go on. */
uint32_t edgesea_crc32(uint32_t crc, const void *bytes, size_t count);

#ifdef __cplusplus
}
#endif

#endif
