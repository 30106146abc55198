/* edit_int.h - the states of an authority's generation, shared by edits and checks. */
#ifndef ENGINE_ATTEST_EDIT_INT_H
#define ENGINE_ATTEST_EDIT_INT_H

#include "engine/attest.h"

/* May a generation go from that state to this in one version? */
bool authority_edge(enum authority_state from, enum authority_state to);

#endif
