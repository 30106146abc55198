/*
 * hostile.c - makes a server whose gateways lie to agents about the attested table
 *
 * Linked with --wrap in front of the real functions, by a test alone. What the lie is stands in DIR/hostile, one word, and may
 * change while the server runs:
 *   forge      one bit of a leaf is another one         waves    the rollout says that all its waves are open
 *   omit       an object is said not to be there        quorum   the finalization has lost a signature too many
 *   sign       every signature is by a key of its own   replay   what was shown before is shown again
 *   reorder    each time what should have come the time before
 *   withhold   nothing new is shown to anybody
 * Anything else: the truth.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/utils/sandbox.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "engine/attest.h"

enum reeve_err __real_sandbox_enter(enum proc_kind kind, const char *dir, const struct settings *s, struct report *rep);
enum reeve_err __wrap_sandbox_enter(enum proc_kind kind, const char *dir, const struct settings *s, struct report *rep);
enum reeve_err __real_attest_bundle(struct attest *a, uint64_t from, const struct object_key *keys, size_t n, struct wr *out);
enum reeve_err __wrap_attest_bundle(struct attest *a, uint64_t from, const struct object_key *keys, size_t n, struct wr *out);
enum reeve_err __real_attest_get(struct attest *a, enum attest_type type, const struct name *name, struct attest_object *o);
enum reeve_err __wrap_attest_get(struct attest *a, enum attest_type type, const struct name *name, struct attest_object *o);

static int lie_fd = -1;
static bool bundling;
static char lie[16];

/* Opened before the process gives up its folder. */
enum reeve_err __wrap_sandbox_enter(enum proc_kind kind, const char *dir, const struct settings *s, struct report *rep)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/hostile", dir);
    if (kind == PROC_GATEWAY)
        lie_fd = open(path, O_RDONLY | O_CLOEXEC);
    return __real_sandbox_enter(kind, dir, s, rep);
}

static bool lies(const char *how)
{
    return strcmp(lie, how) == 0;
}

static void read_lie(void)
{
    ssize_t n = lie_fd >= 0 ? pread(lie_fd, lie, sizeof lie - 1, 0) : 0;
    lie[n > 0 ? n : 0] = 0;
    lie[strcspn(lie, "\n")] = 0;
}

/* ---- leaves ---- */

static enum reeve_err all_waves(struct attest_object *o)
{
    static struct rollout_doc d;
    static uint8_t payload[ATTEST_LEAF_MAX], leaf[ATTEST_LEAF_MAX];
    struct wr p = wr_fixed(payload, sizeof payload), l = wr_fixed(leaf, sizeof leaf);
    if (rollout_doc_decode(&d, o->update.payload) != REEVE_OK)
        return REEVE_OK;
    d.opened = d.n_waves;
    o->update.version++;            /* news, to whoever believes it */
    rollout_doc_encode(&d, &p);
    o->update.payload = wr_slice(&p);
    update_encode(&o->update, true, &l);
    reeve_assert(!p.bad && !l.bad);
    o->leaf = wr_slice(&l);
    return REEVE_OK;
}

static enum reeve_err one_bit(struct attest_object *o)
{
    static uint8_t leaf[ATTEST_LEAF_MAX];
    memcpy(leaf, o->leaf.p, o->leaf.len);
    leaf[o->leaf.len / 2] ^= 1;
    o->leaf = slice_of(leaf, o->leaf.len);
    return REEVE_OK;
}

enum reeve_err __wrap_attest_get(struct attest *a, enum attest_type type, const struct name *name, struct attest_object *o)
{
    enum reeve_err err = __real_attest_get(a, type, name, o);
    if (err != REEVE_OK || !bundling)
        return err;
    if (lies("forge"))
        return one_bit(o);
    if (lies("omit") && type == AT_CERT)
        return REEVE_E_NOT_FOUND;
    return lies("waves") && type == AT_ROLLOUT ? all_waves(o) : REEVE_OK;
}

/* ---- finalizations ---- */

static void drop_signature(struct finalization *f)
{
    unsigned i = 0;
    while ((f->bitmap[i / 8] >> i % 8 & 1) == 0)
        i++;
    f->bitmap[i / 8] &= (uint8_t) ~(1u << i % 8);
    memmove(f->sig, f->sig + 1, --f->n_sigs * sizeof f->sig[0]);
}

static void sign_it(struct finalization *f)
{
    struct sign_key own;
    struct pubkey pub;
    struct hash32 hash;
    sign_keygen(&own, &pub);
    header_hash(&crypto_ops_real, &hash, &f->header);
    for (uint16_t i = 0; i < f->n_sigs; i++)
        sign_detached(&f->sig[i], slice_of(hash.b, sizeof hash.b), &own);
}

/* The finalization at the beginning of a bundle is another one. */
static void finalize_anew(struct wr *w)
{
    static struct finalization f;
    struct rd in = rd_of(slice_of(w->p + 1, w->len - 1));
    struct wr made = wr_heap(ATTEST_BLOCK_MAX);
    if (finalization_decode(&f, &in) == REEVE_OK) {
        if (lies("quorum"))
            drop_signature(&f);
        else
            sign_it(&f);
        wr_u8(&made, 1);
        finalization_encode(&f, &made);
        wr_bytes(&made, in.p, rd_left(&in));
        wr_reset(w);
        wr_bytes(w, made.p, made.len);
    }
    wr_free(&made);
}

/* ---- what was shown before ---- */

struct shown { uint8_t *p; size_t len; };
static struct shown first[2], last[2];      /* ticks, sets */

static void show(struct shown *s, struct slice bytes)
{
    free(s->p);
    s->p = malloc(bytes.len);
    reeve_assert(s->p != NULL);
    memcpy(s->p, bytes.p, bytes.len);
    s->len = bytes.len;
}

static void instead(const struct shown *s, struct wr *out)
{
    if (s->p == NULL)
        return;
    wr_reset(out);
    wr_bytes(out, s->p, s->len);
}

static void earlier(bool set, struct wr *out)
{
    struct shown now = { 0 };
    show(&now, wr_slice(out));
    if (lies("replay"))
        instead(&first[set], out);
    else if (lies("reorder"))
        instead(&last[set], out);
    if (first[set].p == NULL)
        show(&first[set], slice_of(now.p, now.len));
    free(last[set].p);
    last[set] = now;
}

enum reeve_err __wrap_attest_bundle(struct attest *a, uint64_t from, const struct object_key *keys, size_t n, struct wr *out)
{
    if (lie_fd < 0 || out->len > 0)
        return __real_attest_bundle(a, from, keys, n, out);
    read_lie();
    if (lies("withhold"))
        return REEVE_E_NOT_FOUND;
    bundling = true;
    enum reeve_err err = __real_attest_bundle(a, from, keys, n, out);
    bundling = false;
    if (err != REEVE_OK)
        return err;
    if (lies("quorum") || lies("sign"))
        finalize_anew(out);
    earlier(n > 0, out);
    return REEVE_OK;
}
