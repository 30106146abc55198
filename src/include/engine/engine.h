/* engine.h - what all engines share: the version of everything they encode. */
#ifndef REEVE_ENGINE_ENGINE_H
#define REEVE_ENGINE_ENGINE_H

/* Bumped when a row, command or leaf changes meaning; a data directory with a newer one is refused. */
#define REEVE_FORMAT_VERSION 3
extern const unsigned reeve_format_version;

#endif
