/* level_max.c - what this program knows. Alone in its file, so that a test can link an older program. */
#include "engine/region.h"

const uint32_t region_level_max = REGION_LEVEL_NEWEST;
