/*
 * check.c - is a proposal valid on top of its parent?
 *
 * The state after the parent, the block applied to it, all given up again; and
 * the voting rule: its time lies near this clock. What is found valid is
 * synced before the engine hears of it (D1).
 */
#include "backend/validator/validator_int.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define RETRY_MS 200

/* A set of one goes on with what it had under way, however long ago that was. */
static bool timely(struct voter *v)
{
    int64_t off = v->draft.header.time.ms - clock_wall().ms;
    int64_t max = settings_int(v->child->settings, SET_attest_max_skew);
    if (v->chain.set.n == 1 || (off <= max && off >= -max))
        return true;
    log_limited(LOG_SEV_WARNING, "the proposal of validator %u is %lld ms off this clock", v->draft.header.proposer, (long long) off);
    return false;
}

/* Of the draft. OK: valid. AGAIN: not to be said yet. */
static enum reeve_err judge(struct voter *v)
{
    const struct block_header *h = &v->draft.header;
    struct report rep = { .code = REEVE_OK };
    struct spec s;
    if (v->draft.used + 4 * v->draft.n > DRAFT_BYTES_MAX)
        return REEVE_E_TOO_BIG;
    enum reeve_err err = spec_open(&v->chain, h->parent_view, &h->parent_hash, &s);
    if (err != REEVE_OK)
        return err;
    err = attest_extend(&s.a, h, v->draft.leaf, v->draft.n, &rep);
    spec_close(&s);
    if (err != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "the proposal of validator %u is not valid: %s", v->draft.header.proposer,
                    rep.code != REEVE_OK ? rep.message : reeve_err_text(err));
    return err;
}

static bool is_kept(struct voter *v, uint64_t view, const struct hash32 *hash)
{
    return content_load(&v->chain, view, hash, &v->draft) == REEVE_OK;
}

/* What is kept was found valid when it came, and that does not change. */
static enum reeve_err judge_offer(struct voter *v, uint64_t view, const struct hash32 *hash)
{
    const struct offer *o = net_offer(v, view, hash);
    if (o == NULL)
        return REEVE_E_AGAIN;
    enum reeve_err err = draft_decode(&v->draft, slice_of(o->content, o->len));
    if (err == REEVE_OK)
        err = judge(v);
    return err == REEVE_OK ? content_save(&v->chain, &v->draft) : err;
}

/*
 * Blocks between the head and this parent that were notarized without us: from offers, the oldest first; what nobody
 * has offered is asked for. AGAIN: on its way; V_CONSISTENCY: it does not descend from the head.
 */
static enum reeve_err ancestors(struct voter *v, uint64_t view, const struct hash32 *hash, unsigned depth)
{
    const struct attest_head *head = &v->chain.head;
    enum reeve_err err;
    if (hash32_eq(hash, &head->header_hash))
        return REEVE_OK;
    if (view <= head->header.view || depth > 2 * SIMPLEX_VIEWS_AHEAD)
        return REEVE_E_V_CONSISTENCY;
    if (is_kept(v, view, hash)) {
        struct block_header h = v->draft.header;
        return ancestors(v, h.parent_view, &h.parent_hash, depth + 1);
    }
    const struct offer *o = net_offer(v, view, hash);
    if (o == NULL) {
        net_want(v, view, hash);
        return REEVE_E_AGAIN;
    }
    TRY(draft_decode(&v->draft, slice_of(o->content, o->len)));
    struct block_header h = v->draft.header;
    TRY(ancestors(v, h.parent_view, &h.parent_hash, depth + 1));
    err = judge_offer(v, view, hash);
out:
    return err;
}

static enum reeve_err check(struct voter *v, const struct simplex_block *b)
{
    enum reeve_err err;
    if (is_kept(v, b->view, &b->hash))
        return timely(v) ? REEVE_OK : REEVE_E_V_TIME;
    if (v->chain.set.n == 1)
        return REEVE_E_NOT_FOUND;
    TRY(ancestors(v, b->parent_view, &b->parent_hash, 0));
    const struct offer *o = net_offer(v, b->view, &b->hash);
    TRY(o != NULL ? draft_decode(&v->draft, slice_of(o->content, o->len)) : REEVE_E_NOT_FOUND);
    TRY(timely(v) ? REEVE_OK : REEVE_E_V_TIME);
    err = judge_offer(v, b->view, &b->hash);
out:
    return err;
}

/* ---- answering ---- */

static void answer(struct voter *v, const struct simplex_vote *vote, bool valid)
{
    struct simplex_event e = { .type = SXE_CHECKED, .vote = *vote, .flag = valid };
    v->check.b.view = 0;
    drive_event(v, &e);
}

static void on_again(void *arg)
{
    struct voter *v = arg;
    if (v->check.b.view != 0)
        check_run(v, &v->check);
}

static void later(struct voter *v, const struct simplex_vote *vote)
{
    v->check = *vote;
    if (loop_timer_in(v->loop, &v->again, RETRY_MS, on_again, v) != REEVE_OK)
        log_error("no timer for a proposal");
}

static bool for_later(enum reeve_err err)
{
    return err == REEVE_E_AGAIN || err == REEVE_E_DISK_FULL || err == REEVE_E_BUSY || err == REEVE_E_NOMEM;
}

void check_run(struct voter *v, const struct simplex_vote *of)
{
    const struct simplex_vote vote = *of;       /* may be v->check itself */
    enum reeve_err err = check(v, &vote.b);
    if (for_later(err) && v->chain.set.n > 1)
        later(v, &vote);
    else
        answer(v, &vote, err == REEVE_OK);
}
