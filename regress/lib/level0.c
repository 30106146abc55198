/* level0.c - makes a server of an older program: one that knows no level of the state (engine/region.h G6). */
#include "engine/region.h"

const uint32_t region_level_max = 0;
