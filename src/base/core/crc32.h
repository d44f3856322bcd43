/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* CRC-32 of IEEE 802.3, as zlib and GUID partition tables have it. */
#include <stddef.h>
#include <stdint.h>

/* crc32_add() - go on from the CRC of what came before; 0: nothing did */
uint32_t crc32_add(uint32_t crc, const void *bytes, size_t len);
