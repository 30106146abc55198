/*
 * attest_blame.c - more than f faulty: is every fork proven against whoever made it? (I9)
 *
 * What honest machines heard is kept, each vote once; after a fork engine/simplex
 * names those who contradicted themselves in it. At least 2q - n of them, none
 * of them honest, and every proof stands by itself.
 */
#include "attest_int.h"

#include <stdlib.h>

#define HEARD_MAX 400000
#define BUCKETS   1048576

void blame_start(struct arig *r)
{
    r->heard_votes = malloc(HEARD_MAX * sizeof *r->heard_votes);
    r->heard_bucket = malloc(BUCKETS * sizeof *r->heard_bucket);
    reeve_assert(r->heard_votes != NULL && r->heard_bucket != NULL);
    memset(r->heard_bucket, 0xff, BUCKETS * sizeof *r->heard_bucket);
}

void blame_free(struct arig *r)
{
    free(r->heard_votes);
    free(r->heard_bucket);
}

static bool same(const struct simplex_signed *a, const struct simplex_signed *b)
{
    return a->signer == b->signer && a->vote.type == b->vote.type && a->vote.b.view == b->vote.b.view &&
           a->vote.b.height == b->vote.b.height && hash32_eq(&a->vote.b.hash, &b->vote.b.hash) &&
           a->vote.b.parent_view == b->vote.b.parent_view && hash32_eq(&a->vote.b.parent_hash, &b->vote.b.parent_hash) &&
           memcmp(&a->sig, &b->sig, sizeof a->sig) == 0;
}

static void keep(struct arig *r, const struct simplex_signed *v)
{
    uint64_t h;
    memcpy(&h, v->sig.b, 8);
    for (size_t i = h % BUCKETS; r->n_heard_votes < HEARD_MAX; i = (i + 1) % BUCKETS) {
        if (r->heard_bucket[i] == UINT32_MAX) {
            r->heard_bucket[i] = (uint32_t) r->n_heard_votes;
            r->heard_votes[r->n_heard_votes++] = *v;
            return;
        }
        if (same(&r->heard_votes[r->heard_bucket[i]], v))
            return;
    }
}

void blame_heard(struct arig *r, const struct message *m)
{
    static struct simplex_cert cert;
    static struct simplex_signed votes[SIMPLEX_VALIDATORS_MAX];
    if (m->kind == M_CERT || m->kind == M_CHAIN) {
        size_t n = cert_take(r, m, &cert) ? simplex_cert_votes(&cert, votes) : 0;
        for (size_t i = 0; i < n; i++)
            keep(r, &votes[i]);
    } else if (m->kind == M_VOTE || m->kind == M_PROPOSAL) {
        struct simplex_signed v = { .signer = m->signer, .sig = m->sig };
        if (vote_take(r, &m->vote, &v.vote))
            keep(r, &v);
    }
}

void blame_judge(struct arig *r)
{
    static struct simplex_proof proof[SIMPLEX_VALIDATORS_MAX];
    struct oracle_counts c;
    struct simplex_config config;
    int q = r->p.n - (r->p.n - 1) / 3;
    machine_config(r->m[0], &config);
    r->n_culprits = simplex_blame(&config, r->heard_votes, r->n_heard_votes, proof);
    for (size_t i = 0; i < r->n_culprits; i++)
        if (!r->evil[proof[i].a.signer] || !simplex_proof_ok(&config, &proof[i]))
            aviolation(r, "nobody honest is accused", "validator %u, view %llu", proof[i].a.signer,
                       (unsigned long long) proof[i].a.vote.b.view);
    oracle_counts(r->oracle, &c);
    if (c.forks > 0 && (int) r->n_culprits < 2 * q - r->p.n)
        aviolation(r, "a fork names its culprits", "%llu of at least %d", (unsigned long long) r->n_culprits, 2 * q - r->p.n);
}
