/*
 * storelose.c - a store that lost rows, as a disk or a bug may do it behind LMDB's back
 *
 *   storelose DIR TEXT      DIR/data of a stopped server: every row whose key holds TEXT goes; prints how many
 */
#include "backend/storage/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct report rep;

static void die(const char *what, enum reeve_err err)
{
    fprintf(stderr, "storelose: %s: %s %s\n", what, reeve_err_name(err), rep.message);
    exit(1);
}

static bool holds(struct slice key, const char *text)
{
    return memmem(key.p, key.len, text, strlen(text)) != NULL;
}

/* Walked from the start after each one that goes: they are few. */
static bool lose_one(struct kv *kv, const char *text)
{
    uint8_t at[KV_KEY_MAX] = { 0 };
    size_t len = 1;
    struct slice key, val;
    while (kv_seek(kv, slice_of(at, len), 1, false, &key, &val) == REEVE_OK) {
        memcpy(at, key.p, len = key.len);
        if (!holds(key, text))
            continue;
        enum reeve_err err = kv_del(kv, slice_of(at, len));
        if (err != REEVE_OK)
            die("a row", err);
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct storage *st;
    struct storage_txn *t;
    enum reeve_err err;
    unsigned n = 0;
    if (argc != 3 || argv[2][0] == '\0')
        return 2;
    if ((err = storage_open(&st, argv[1], STORAGE_WRITE, 256u << 20, 8, &rep)) != REEVE_OK ||
        (err = storage_begin(st, STORAGE_WRITE, &t)) != REEVE_OK)
        die("store", err);
    while (lose_one(storage_kv(t), argv[2]))
        n++;
    if ((err = storage_commit(t)) != REEVE_OK)
        die("store", err);
    storage_close(st);
    printf("%u\n", n);
    return 0;
}
