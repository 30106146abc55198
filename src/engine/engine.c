/* engine.c - the version of the engines' formats, linked into every program. */
#include "engine/engine.h"

const unsigned reeve_format_version = REEVE_FORMAT_VERSION;
