/* clock.h - the two clocks. Never compare one with the other. */
#ifndef REEVE_BACKEND_UTILS_CLOCK_H
#define REEVE_BACKEND_UTILS_CLOCK_H

#include "common/types.h"

struct wall_ms clock_wall(void);
struct mono_ms clock_mono(void);
/* now + ms; ms <= 0 gives 0, which everywhere means "no limit". */
struct mono_ms clock_deadline(int64_t ms);
/* Milliseconds left, at least 0; -1 for no limit; capped to what poll(2) takes. */
int clock_left(struct mono_ms deadline);
/* "2026-11-05 13:45:01.123 UTC"; out has CLOCK_TEXT_LEN + 1 bytes. */
#define CLOCK_TEXT_LEN 27
void clock_text(char *out, struct wall_ms t);

#endif
