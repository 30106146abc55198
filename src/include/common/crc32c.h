/*
 * crc32c.h - CRC-32C (Castagnoli, RFC 3720 appendix B.4), against accidents, not against anybody
 *
 * crc is what the bytes before gave, 0 at the beginning; so
 * crc32c(crc32c(0, a), b) is the sum of a followed by b.
 * crc32c() takes the instruction where the CPU has it.
 */
#ifndef REEVE_COMMON_CRC32C_H
#define REEVE_COMMON_CRC32C_H

#include "common/types.h"

uint32_t crc32c(uint32_t crc, const void *p, size_t len);

/* The two ways of crc32c(), which tests hold against each other. The second only where the CPU has it. */
uint32_t crc32c_table(uint32_t crc, const void *p, size_t len);
uint32_t crc32c_instruction(uint32_t crc, const void *p, size_t len);
bool crc32c_has_instruction(void);

#endif
