/*
 * shire.h - a region on top of the attest tests' world, for the tests of engine/region
 *
 * One store in strict mode holds both; commands are applied one by one, each
 * in a transaction of its own. Results are kept decoded.
 */
#ifndef REEVE_UNIT_REGION_SHIRE_H
#define REEVE_UNIT_REGION_SHIRE_H

#include "../attest/world.h"
#include "engine/region.h"

#define RESULTS_MAX 1024

struct item { enum reeve_err err; char message[512]; uint8_t data[16]; size_t data_len; };
struct shire {
    struct world w;
    struct region r;
    uint64_t index, seq;
    struct wr cmd, out;
    size_t n_ops_at;
    uint16_t n_ops;
    size_t n_items;
    struct item item[RESULTS_MAX];
    uint8_t session[16];
};

/* An initialised chain and the region "home" with superuser "root". */
void shire_new(struct shire *s);
void shire_free(struct shire *s);

/* Commands: begin, append with the wr at &s->cmd, apply. */
struct wr *command(struct shire *s, enum region_cmd type);
/* Applies s->cmd; the result is in s->item. */
void run(struct shire *s);
/* The same bytes at the next index. */
void run_bytes(struct shire *s, struct slice bytes);

struct wr *txn(struct shire *s, const char *actor);
struct wr *op(struct shire *s, enum region_op o);
void commit(struct shire *s);
void assert_item(struct shire *s, size_t i, enum reeve_err want);

uint64_t item_u64(const struct shire *s, size_t i);
uint32_t item_u32(const struct shire *s, size_t i);

void put_name(struct wr *w, const char *name);
void put_set(struct shire *s, const char *key, const char *value, uint64_t expected);
void put_role(struct shire *s, const char *name, uint32_t attrs);
void put_grant(struct shire *s, const char *to, uint8_t kind, const char *object, uint32_t mask);
/* A token with uses; its id and secret are filled with byte. */
void put_token(struct shire *s, uint8_t byte, uint32_t uses, int64_t expires);

/* A node row whose id belongs to a key made of n. */
struct node_row node_sample(struct shire *s, uint32_t n);
void add_enroll(struct shire *s, uint8_t token, const struct node_row *n);
/* n nodes through token `byte`, in batches. */
void enroll_many(struct shire *s, uint8_t token, uint32_t n);

/* Keys in a table. */
size_t rows_in(struct shire *s, char table);

#endif
