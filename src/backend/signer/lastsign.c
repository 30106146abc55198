/*
 * lastsign.c - what may still be signed after what was signed
 *
 * The rules of engine/simplex S1 and S2 as a wall of its own: even a
 * validator that forgot everything, or was taken over, cannot make this key
 * contradict itself. Votes climb by (epoch, view); within a view
 *   propose   first, one block
 *   notarize  one block, the proposed one if this key proposed; not after nullify or finalize
 *   nullify   not after finalize
 *   finalize  the block notarized here; not after nullify
 * A heartbeat commits to nothing and is always signed.
 */
#include "backend/signer/signer_int.h"

static int kind_of(uint8_t type)
{
    switch (type) {
    case VOTE_PROPOSE: return LS_PROPOSE;
    case VOTE_NOTARIZE: return LS_NOTARIZE;
    case VOTE_NULLIFY: return LS_NULLIFY;
    case VOTE_FINALIZE: return LS_FINALIZE;
    default: return -1;
    }
}

static const char *const kind_name[LS_KINDS] = { "propose", "notarize", "nullify", "finalize" };

static int order(uint64_t epoch_a, uint64_t view_a, uint64_t epoch_b, uint64_t view_b)
{
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b ? -1 : 1;
    return view_a < view_b ? -1 : view_a > view_b;
}

static bool same_vote(const struct vote *a, const struct vote *b)
{
    uint8_t x[ATTEST_VOTE_LEN], y[ATTEST_VOTE_LEN];
    vote_bytes(a, x);
    vote_bytes(b, y);
    return memcmp(x, y, sizeof x) == 0;
}

/* Do two votes of one view speak of the same block in the same place? */
static bool same_block(const struct vote *a, const struct vote *b)
{
    return a->height == b->height && hash32_eq(&a->block_hash, &b->block_hash) &&
           a->parent_view == b->parent_view && hash32_eq(&a->parent_hash, &b->parent_hash);
}

static enum lastsign_verdict refuse(struct report *rep, const struct vote *v, int kind, const char *why)
{
    report_set(rep, REEVE_E_CONFLICT, "vote refused: %s in epoch %llu view %llu %s", kind_name[kind],
               (unsigned long long) v->epoch, (unsigned long long) v->view, why);
    return LASTSIGN_REFUSE;
}

static bool repeats(const struct lastsign_view *w, const struct vote *v, int kind, struct sig64 *sig)
{
    if (!(w->have & 1u << kind) || !same_vote(&w->signed_vote[kind].vote, v))
        return false;
    *sig = w->signed_vote[kind].sig;
    return true;
}

/* Within one view: what speaks against this vote, or NULL. */
static const char *objection(const struct lastsign_view *w, const struct vote *v, int kind)
{
    bool have[LS_KINDS];
    for (int k = 0; k < LS_KINDS; k++)
        have[k] = w->have & 1u << k;
    if (have[kind])
        return "contradicts one already signed";
    switch (kind) {
    case LS_PROPOSE:
        return w->have ? "comes after another vote of that view" : NULL;
    case LS_NOTARIZE:
        if (have[LS_NULLIFY] || have[LS_FINALIZE])
            return "comes after nullify or finalize";
        return have[LS_PROPOSE] && !same_block(&w->signed_vote[LS_PROPOSE].vote, v)
               ? "is for another block than the one proposed" : NULL;
    case LS_NULLIFY:
        return have[LS_FINALIZE] ? "comes after finalize" : NULL;
    default:
        if (have[LS_NULLIFY])
            return "comes after nullify";
        if (!have[LS_NOTARIZE])
            return "comes without a notarize vote";
        return same_block(&w->signed_vote[LS_NOTARIZE].vote, v) ? NULL : "is for another block than the one notarized";
    }
}

enum lastsign_verdict lastsign_check(const struct lastsign *s, const struct vote *v, struct sig64 *sig,
                                     struct report *rep)
{
    static const struct lastsign_view fresh;
    int kind = kind_of(v->type);
    if (v->type == VOTE_HEARTBEAT)
        return LASTSIGN_SIGN;
    if (kind < 0) {
        report_set(rep, REEVE_E_MALFORMED, "vote refused: unknown type %u", v->type);
        return LASTSIGN_REFUSE;
    }
    if (v->view == 0)
        return refuse(rep, v, kind, "is for the genesis view");
    if (repeats(&s->cur, v, kind, sig) || repeats(&s->prev, v, kind, sig))
        return LASTSIGN_REPEAT;
    int o = order(v->epoch, v->view, s->cur.epoch, s->cur.view);
    if (o < 0)
        return refuse(rep, v, kind, "is older than the newest view voted in");
    const char *why = objection(o > 0 ? &fresh : &s->cur, v, kind);
    return why ? refuse(rep, v, kind, why) : LASTSIGN_SIGN;
}

void lastsign_record(struct lastsign *s, const struct vote *v, const struct sig64 *sig)
{
    int kind = kind_of(v->type);
    if (kind < 0)
        return;
    int o = order(v->epoch, v->view, s->cur.epoch, s->cur.view);
    reeve_assert(o >= 0);
    if (o > 0) {
        s->prev = s->cur;
        memset(&s->cur, 0, sizeof s->cur);
        s->cur.epoch = v->epoch;
        s->cur.view = v->view;
    }
    reeve_assert(!(s->cur.have & 1u << kind));
    s->cur.have |= 1u << kind;
    s->cur.signed_vote[kind].vote = *v;
    s->cur.signed_vote[kind].sig = *sig;
}
