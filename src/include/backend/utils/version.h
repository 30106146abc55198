/* version.h - what the server calls itself. */
#ifndef REEVE_BACKEND_UTILS_VERSION_H
#define REEVE_BACKEND_UTILS_VERSION_H

extern const char reeve_version[];
extern const char reeve_server_version[];

#endif
