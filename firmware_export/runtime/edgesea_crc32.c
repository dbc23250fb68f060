/* SPDX-FileCopyrightText: edgesea authors
   SPDX-License-Identifier: Apache-2.0 */
/* edgesea_crc32: bit by bit, without a table. */
#include "edgesea_crc32.h"

uint32_t edgesea_crc32(uint32_t crc, const void *bytes, size_t count)
{
    const uint8_t *byte = (const uint8_t *)bytes;

    crc = ~crc;
    while (count-- > 0) {
        crc ^= *byte++;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1u) ? 0xedb88320u : 0u);
        }
    }
    return ~crc;
}
