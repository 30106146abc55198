/*
 * attest_oracle.c - the invariants, from the bytes; see the header
 *
 * Offsets are those of the message formats in attest_wire.c and of the signed
 * bytes in research: 00 "reeve-bft-v1" 00 | type | chain 32 | epoch 8 | set 32
 * | view 8 | height 8 | block 32 | parent view 8 | parent 32 = 175 bytes.
 */
#include "attest_oracle.h"

#include "common/err.h"
#include "crypto/hash.h"

#include <stdlib.h>

#define SIGNED 175
#define HEADER 275
#define KEYS   64
#define VIEWS_MAX  60000
#define HEIGHTS    6000
#define LEAVES_MAX 2000

enum { PROPOSE = 1, NOTARIZE, NULLIFY, FINALIZE, HEARTBEAT };
enum { MSG_PROPOSAL = 1, MSG_VOTE = 2, MSG_CERT = 3, MSG_CHAIN = 8 };

/* What one key signed in one view: all different contents of it. */
struct said { struct said *next; uint8_t type; uint16_t who; uint8_t about[80]; };     /* height | block | parent view | parent */
struct seen { uint64_t view; struct said *by[KEYS]; };
struct final { struct hash32 hash, parent; unsigned proposer; uint64_t view, parent_view, log_size; int64_t time; int by; };

struct oracle {
    struct oracle_host h;
    struct seen **bucket;
    size_t n_views;
    struct seen *all;
    uint64_t n_votes, n_heights, n_forks;
    struct final *at;                                   /* [HEIGHTS], the first that was taken for final there */
    struct hash32 (*machine_at)[HEIGHTS];               /* by machine: what it took */
    uint64_t *machine_height;
    struct hash32 *leaf;
    size_t n_leaves;
    uint8_t last[16384];
    size_t last_len;
    int last_machine;
};

#define BUCKETS 131072

static uint64_t be64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static unsigned be16(const uint8_t *p)
{
    return (unsigned) p[0] << 8 | p[1];
}

static bool faulty(const struct oracle *o, unsigned who)
{
    return o->h.faulty[who];
}

struct oracle *oracle_new(const struct oracle_host *host)
{
    struct oracle *o = calloc(1, sizeof *o);
    reeve_assert(o != NULL);
    o->h = *host;
    o->bucket = calloc(BUCKETS, sizeof *o->bucket);
    o->all = calloc(VIEWS_MAX, sizeof *o->all);
    o->at = calloc(HEIGHTS, sizeof *o->at);
    o->machine_at = calloc((size_t) host->machines, sizeof *o->machine_at);
    o->machine_height = calloc((size_t) host->machines, sizeof *o->machine_height);
    o->leaf = calloc(LEAVES_MAX, sizeof *o->leaf);
    reeve_assert(o->bucket && o->all && o->at && o->machine_at && o->machine_height && o->leaf);
    o->last_machine = -1;
    return o;
}

void oracle_free(struct oracle *o)
{
    if (o == NULL)
        return;
    for (size_t v = 0; v < o->n_views; v++)
        for (int k = 0; k < KEYS; k++)
            for (struct said *s = o->all[v].by[k], *next; s != NULL; s = next) {
                next = s->next;
                free(s);
            }
    free(o->bucket);
    free(o->all);
    free(o->at);
    free(o->machine_at);
    free(o->machine_height);
    free(o->leaf);
    free(o);
}

/* ---- votes ---- */

static struct seen *view_find(const struct oracle *o, uint64_t view, size_t *slot)
{
    size_t i = (view * 0x9e3779b97f4a7c15u >> 32) % BUCKETS;
    for (; o->bucket[i] != NULL; i = (i + 1) % BUCKETS)
        if (o->bucket[i]->view == view)
            break;
    *slot = i;
    return o->bucket[i];
}

static struct seen *view_of(struct oracle *o, uint64_t view)
{
    size_t slot;
    struct seen *s = view_find(o, view, &slot);
    if (s != NULL || o->n_views == VIEWS_MAX)
        return s;
    s = o->bucket[slot] = &o->all[o->n_views++];
    s->view = view;
    return s;
}

static const struct said *said_of(const struct seen *s, unsigned who, uint8_t type, const uint8_t *about)
{
    for (const struct said *a = s->by[who]; a != NULL; a = a->next)
        if (a->type == type && (about == NULL || memcmp(a->about, about, sizeof a->about) == 0))
            return a;
    return NULL;
}

/* I4, the part that may be judged at once. */
static void honest_said(struct oracle *o, const struct seen *s, unsigned who, uint8_t type)
{
    static const char *const name[] = { "?", "propose", "notarize", "nullify", "finalize", "heartbeat" };
    const struct said *a = said_of(s, who, type, NULL);
    if (type != HEARTBEAT && a != NULL)
        o->h.violation(o->h.arg, "an honest key speaks once", "validator %u signs two different %s in view %llu", who, name[type],
                       (unsigned long long) s->view);
    if ((type == FINALIZE && said_of(s, who, NULLIFY, NULL)) || (type == NULLIFY && said_of(s, who, FINALIZE, NULL)))
        o->h.violation(o->h.arg, "never finalize and nullify", "validator %u in view %llu", who, (unsigned long long) s->view);
}

/* A vote with a good signature of who; every one is remembered once. False when the signature is none. */
static bool vote_seen(struct oracle *o, unsigned who, const uint8_t *bytes, const uint8_t *sig)
{
    uint8_t type = bytes[14];
    struct seen *s = view_of(o, be64(bytes + 87));
    if ((int) who >= o->h.n)
        return false;
    if (s != NULL && said_of(s, who, type, bytes + 95))
        return true;
    if (!o->h.verify(o->h.arg, (int) who, bytes, sig))
        return false;
    bool ours = memcmp(bytes + 15, o->h.chain_id.b, 32) == 0 && be64(bytes + 47) == 1 && memcmp(bytes + 55, o->h.set_hash.b, 32) == 0;
    if (!ours || type < PROPOSE || type > HEARTBEAT) {
        if (!faulty(o, who))
            o->h.violation(o->h.arg, "honest keys sign for this chain", "validator %u signed type %u of another chain, epoch or set", who, type);
        return false;
    }
    if (s == NULL)
        return true;
    if (!faulty(o, who))
        honest_said(o, s, who, type);
    struct said *a = malloc(sizeof *a);
    reeve_assert(a != NULL);
    *a = (struct said){ .next = s->by[who], .type = type, .who = (uint16_t) who };
    memcpy(a->about, bytes + 95, sizeof a->about);
    s->by[who] = a;
    o->n_votes++;
    return true;
}

/* I6. 175 signed bytes | 8 bitmap | u16 n | signatures */
static void cert_seen(struct oracle *o, int machine, const uint8_t *p, size_t len)
{
    const char *wrong = NULL;
    unsigned bits = 0, n;
    if (len < SIGNED + 10)
        return;
    n = be16(p + SIGNED + 8);
    if (len < SIGNED + 10 + (size_t) n * 64)
        return;
    for (unsigned i = 0; i < KEYS; i++) {
        if ((p[SIGNED + i / 8] >> i % 8 & 1) == 0)
            continue;
        if (bits >= n || (int) i >= o->h.n)
            wrong = "signers that are none";
        else if (!vote_seen(o, i, p, p + SIGNED + 10 + (size_t) bits * 64))
            wrong = "a bad signature";
        bits++;
    }
    if (bits != n || (int) n < o->h.q)
        wrong = "too few signatures";
    if (wrong != NULL && !faulty(o, o->h.validator[machine]))
        o->h.violation(o->h.arg, "certificates are certificates", "n%d passes on one of view %llu with %s", machine,
                       (unsigned long long) be64(p + 87), wrong);
}

void oracle_emitted(struct oracle *o, int machine, struct slice in)
{
    if (in.len == 0 || in.len > sizeof o->last)
        return;
    /* The same to everybody: read it once. */
    if (machine == o->last_machine && in.len == o->last_len && memcmp(in.p, o->last, in.len) == 0)
        return;
    memcpy(o->last, in.p, in.len);
    o->last_len = in.len;
    o->last_machine = machine;
    const uint8_t *p = in.p + 1;
    if ((in.p[0] == MSG_PROPOSAL || in.p[0] == MSG_VOTE) && in.len >= 1 + 2 + SIGNED + 64) {
        if (!vote_seen(o, be16(p), p + 2, p + 2 + SIGNED) && !faulty(o, o->h.validator[machine]))
            o->h.violation(o->h.arg, "what honest machines send is signed", "n%d sent a vote that is not", machine);
    } else if (in.p[0] == MSG_CERT || in.p[0] == MSG_CHAIN) {
        cert_seen(o, machine, p, in.len - 1);
    }
}

/* ---- final blocks ---- */

/* RFC 6962 2.1, as the text says it. */
static void tree_root(const struct hash32 *leaf, size_t n, struct hash32 *out)
{
    if (n == 0) {
        sha256(out, slice_of(NULL, 0));
        return;
    }
    if (n == 1) {
        *out = leaf[0];
        return;
    }
    size_t k = 1;
    while (k * 2 < n)
        k *= 2;
    struct hash32 l, r;
    uint8_t one = 1;
    tree_root(leaf, k, &l);
    tree_root(leaf + k, n - k, &r);
    sha256_parts(out, (struct slice[]){ slice_of(&one, 1), slice_of(l.b, 32), slice_of(r.b, 32) }, 3);
}

static void header_name(struct hash32 *out, const uint8_t *header)
{
    static const char label[] = "reeve-header-v1";
    sha256_parts(out, (struct slice[]){ slice_of(label, sizeof label), slice_of(header, HEADER) }, 2);
}

/* The leaves are two 64-bit numbers each, hashed as the machines lie in memory: little endian. */
static void log_extend(struct oracle *o, const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n && o->n_leaves < LEAVES_MAX; i++, p += 16) {
        uint64_t pair[2] = { be64(p), be64(p + 8) };
        uint8_t zero = 0;
        sha256_parts(&o->leaf[o->n_leaves++], (struct slice[]){ slice_of(&zero, 1), slice_of(pair, sizeof pair) }, 2);
    }
}

/*
 * header: 1 | chain 32 @1 | epoch @33 | set 32 @41 | next set 32 @73 | view @105 | height @113 | parent view @121 |
 * parent 32 @129 | time @161 | log size @169 | log root 32 @177 | state root 32 @209 | payload root 32 @241 | proposer @273
 */
static void first_final(struct oracle *o, int machine, struct final *f, const uint8_t *h, const uint8_t *leaves, unsigned n)
{
    uint64_t height = be64(h + 113);
    const struct final *p = height > 1 ? &o->at[height - 1] : NULL;
    struct hash32 root;
    header_name(&f->hash, h);
    memcpy(f->parent.b, h + 129, 32);
    f->view = be64(h + 105);
    f->parent_view = be64(h + 121);
    f->log_size = be64(h + 169);
    f->time = (int64_t) be64(h + 161);
    f->by = machine;
    f->proposer = be16(h + 273);
    o->n_heights = height > o->n_heights ? height : o->n_heights;
    if (o->h.over)
        return;                         /* below is about one chain; over the threshold there may be two */
    if (memcmp(h + 1, o->h.chain_id.b, 32) != 0 || be64(h + 33) != 1 || memcmp(h + 41, o->h.set_hash.b, 32) != 0)
        o->h.violation(o->h.arg, "final blocks are of this chain", "height %llu", (unsigned long long) height);
    if (p != NULL && (!hash32_eq(&p->hash, &f->parent) || p->view != f->parent_view || p->time >= f->time))
        o->h.violation(o->h.arg, "a final block follows the one before", "height %llu, view %llu", (unsigned long long) height,
                       (unsigned long long) f->view);
    /* The leader stays until a view of his is nullified; genesis counts as led by validator 0. */
    uint64_t leader = ((p != NULL ? p->proposer : 0) + (f->view - f->parent_view - 1)) % (uint64_t) o->h.n;
    if (f->proposer != leader)
        o->h.violation(o->h.arg, "a final block is by its leader", "view %llu: by %u, not %llu", (unsigned long long) f->view,
                       f->proposer, (unsigned long long) leader);
    log_extend(o, leaves, n);
    tree_root(o->leaf, o->n_leaves, &root);
    if (f->log_size != o->n_leaves || memcmp(root.b, h + 177, 32) != 0)
        o->h.violation(o->h.arg, "log roots extend", "height %llu: %llu leaves by its header, %zu by count", (unsigned long long) height,
                       (unsigned long long) f->log_size, o->n_leaves);
}

void oracle_final(struct oracle *o, int machine, struct slice in)
{
    struct hash32 hash;
    if (faulty(o, o->h.validator[machine]))
        return;
    reeve_assert(in.len >= HEADER + 2);
    uint64_t height = be64(in.p + 113);
    reeve_assert(height > 0 && height < HEIGHTS);
    header_name(&hash, in.p);
    struct final *f = &o->at[height];
    struct hash32 *mine = &o->machine_at[machine][height];
    if (height > o->machine_height[machine] + 1)
        o->h.violation(o->h.arg, "final blocks come in order", "n%d: %llu after %llu", machine, (unsigned long long) height,
                       (unsigned long long) o->machine_height[machine]);
    if (height <= o->machine_height[machine] && !hash32_eq(mine, &hash) && !o->h.over)
        o->h.violation(o->h.arg, "final is final", "n%d takes another block for final at %llu than before", machine,
                       (unsigned long long) height);
    *mine = hash;
    if (height > o->machine_height[machine])
        o->machine_height[machine] = height;
    if (f->view == 0) {
        first_final(o, machine, f, in.p, in.p + HEADER + 2, be16(in.p + HEADER));
    } else if (!hash32_eq(&f->hash, &hash)) {
        o->n_forks++;
        if (!o->h.over)
            o->h.violation(o->h.arg, "one block at a height", "n%d and n%d at %llu", f->by, machine, (unsigned long long) height);
    }
}

/* ---- the end ---- */

static int count(const struct oracle *o, const struct seen *s, uint8_t type, const uint8_t *about)
{
    int n = 0;
    for (int k = 0; k < o->h.n; k++)
        n += said_of(s, (unsigned) k, type, about) != NULL;
    return n;
}

/* How many different contents have q votes of that type; one of them. */
static int quorums(const struct oracle *o, const struct seen *s, uint8_t type, const uint8_t **one)
{
    const uint8_t *found[KEYS];
    int n = 0;
    for (int k = 0; k < o->h.n; k++)
        for (const struct said *a = s->by[k]; a != NULL; a = a->next) {
            bool known = a->type != type;
            for (int i = 0; i < n && !known; i++)
                known = memcmp(found[i], a->about, sizeof a->about) == 0;
            if (!known && n < KEYS && count(o, s, type, a->about) >= o->h.q)
                found[n++] = a->about;
        }
    *one = n > 0 ? found[0] : NULL;
    return n;
}

static void finalize_notarized(struct oracle *o, const struct seen *s)
{
    for (int k = 0; k < o->h.n; k++) {
        const struct said *f = faulty(o, (unsigned) k) ? NULL : said_of(s, (unsigned) k, FINALIZE, NULL);
        if (f != NULL && !said_of(s, (unsigned) k, NOTARIZE, f->about))
            o->h.violation(o->h.arg, "finalized is notarized", "validator %d in view %llu", k, (unsigned long long) s->view);
    }
}

static bool view_is(const struct oracle *o, uint64_t view, uint8_t type, const struct hash32 *block)
{
    size_t slot;
    const struct seen *s = view_find(o, view, &slot);
    const uint8_t *one;
    return s != NULL && quorums(o, s, type, &one) > 0 && (block == NULL || memcmp(one + 8, block->b, 32) == 0);
}

/* I5 */
static void chain_justified(struct oracle *o)
{
    bool covered = false;
    for (uint64_t h = o->n_heights; h > 0; h--) {
        const struct final *f = &o->at[h];
        covered = covered || view_is(o, f->view, FINALIZE, &f->hash);
        if (!covered)
            o->h.violation(o->h.arg, "final has a finalization", "height %llu, view %llu", (unsigned long long) h, (unsigned long long) f->view);
        if (f->parent_view > 0 && !view_is(o, f->parent_view, NOTARIZE, &f->parent))
            o->h.violation(o->h.arg, "a final block's parent is notarized", "height %llu", (unsigned long long) h);
        for (uint64_t v = f->parent_view + 1; v < f->view; v++)
            if (!view_is(o, v, NULLIFY, NULL))
                o->h.violation(o->h.arg, "views between are nullified", "height %llu, view %llu", (unsigned long long) h, (unsigned long long) v);
    }
}

void oracle_end(struct oracle *o)
{
    for (size_t i = 0; i < o->n_views; i++) {
        const struct seen *s = &o->all[i];
        const uint8_t *one;
        finalize_notarized(o, s);
        if (o->h.over)
            continue;
        int notarized = quorums(o, s, NOTARIZE, &one), final = quorums(o, s, FINALIZE, &one);
        if (notarized > 1 || final > 1)
            o->h.violation(o->h.arg, "one block in a view", "view %llu: %d notarized, %d final", (unsigned long long) s->view, notarized, final);
        if (final > 0 && quorums(o, s, NULLIFY, &one) > 0)
            o->h.violation(o->h.arg, "never final and nullified", "view %llu", (unsigned long long) s->view);
    }
    if (!o->h.over)
        chain_justified(o);
}

void oracle_counts(const struct oracle *o, struct oracle_counts *out)
{
    *out = (struct oracle_counts){ o->n_votes, o->n_views, o->n_heights, o->n_forks };
}
