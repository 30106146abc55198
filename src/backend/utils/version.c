/* version.c - what the server calls itself. */
#include "backend/utils/version.h"

const char reeve_version[] = "0.1";
/* The leading number is what drivers take for feature checks; the tests use PostgreSQL 15's. */
const char reeve_server_version[] = "15.0 (reeve 0.1)";
