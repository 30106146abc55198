/*
 * cat_int.h - what the files of this folder share
 *
 * Each relation is one scan function over one snapshot. Rows are made of the
 * engines' rows and documents; nothing is computed that a reader could not
 * compute from them.
 */
#ifndef REEVE_CATALOG_CAT_INT_H
#define REEVE_CATALOG_CAT_INT_H

#include <stdio.h>
#include <stdlib.h>

#include "backend/catalog/catalog.h"
#include "backend/catalog/env.h"
#include "backend/catalog/snap.h"
#include "common/text.h"

/* A scan's own state: the snapshot, and documents too large for the stack (in s->arena). */
struct cat {
    struct vscan *s;
    struct snap sn;
    struct attest_object *o;
    uint8_t whole_kind;                 /* enum grant_kind that may_see() has looked at, 0: none yet */
    bool whole;                         /* SELECT on all of that kind */
};
enum reeve_err cat_open(struct cat *c, struct vscan *s) REEVE_MUST_CHECK;
/* What this server has, unconfirmed: for relations by which one looks why the ring does not answer. */
enum reeve_err cat_open_local(struct cat *c, struct vscan *s) REEVE_MUST_CHECK;
void cat_close(struct cat *c);
/* SELECT on the object, or on all of its kind. Who holds only single objects sees only these rows. */
bool cat_may_see(struct cat *c, enum grant_kind kind, const struct name *object);
void *cat_alloc(struct cat *c, size_t size, enum reeve_err *err);

/* The next live object of a type by name; NOT_FOUND at the end. The object is c->o. */
enum reeve_err cat_next_object(struct cat *c, enum attest_type type, struct name *after) REEVE_MUST_CHECK;
/* End of an iteration is success. */
static inline enum reeve_err cat_end(enum reeve_err err) { return err == REEVE_E_NOT_FOUND ? REEVE_OK : err; }

static inline struct datum d_name(const struct name *n) { return n->len ? d_text(name_slice(n)) : d_null(); }
/* Formatted into the row's arena. */
struct datum d_fmt(struct vscan *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct datum d_hex(struct vscan *s, const void *p, size_t len);
/* A JSON object of a node's labels. */
struct datum d_labels(struct vscan *s, const struct labels *l);
struct datum d_names(struct vscan *s, const struct name *v, unsigned n);

/* "active", "retired"; "prepared", "tainted". */
const char *cat_gen_state(uint8_t state);
const char *cat_auth_state(uint8_t state);
/* What an update makes of its object, as JSON in the row's arena; NULL for a deletion. docs: attested_docs_size() bytes. */
struct attested_docs;
size_t attested_docs_size(void);
struct datum attested_json(struct vscan *s, struct attested_docs *docs, const struct update *u);

/* Counts of what the nodes say about one object. */
struct deploy_counts { uint32_t current, previous, older, unknown, targets; };

#define RELATION(var, sch, nm, cols, key, fn, noun) \
    const struct vtable var = { sch, nm, cols, VCOLUMNS(cols), key, fn, false, noun }

#endif
