/*
 * catalog.h - the relations of schema sys and pg_catalog, and what a query needs to read them
 */
#ifndef REEVE_BACKEND_CATALOG_CATALOG_H
#define REEVE_BACKEND_CATALOG_CATALOG_H

#include "backend/executor/query.h"
#include "backend/tcop/session.h"

/*
 * Fills env for a query of this session: tables, settings, functions, rights,
 * interrupts. Everything borrowed from the session lives as long as it.
 */
void catalog_query_env(struct session *s, struct arena *arena, const struct query_params *params, struct query_env *env);

/* All relations, NULL-terminated list and its length. */
extern const struct vtable *const catalog_tables[];
extern const int catalog_ntables;

#endif
