/* row_id.c - see the header */
#include "row_id.h"

#include <string.h>

/* splitmix64, twice. */
void row_id(uint8_t id[16], uint64_t seed, uint64_t node, uint64_t nth)
{
    uint64_t number = (seed << 52) ^ node << 32 ^ nth;
    for (int half = 0; half < 2; half++) {
        uint64_t z = number * 2 + (uint64_t) half + 0x9e3779b97f4a7c15ull;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        memcpy(id + 8 * half, &z, 8);
    }
}
