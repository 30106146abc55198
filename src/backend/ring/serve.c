/*
 * serve.c - what other members of the ring ask this one for: let in, judged, done, answered
 *
 * Whoever has taken a member can send anything here. It gets no further than
 * the member's own backends would have: the same parts take its requests, and
 * what none of these would have asked for is refused (forward_judge).
 */
#include "backend/ring/forward.h"

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

/* ---- letters out ---- */

static void send(struct ring *r, uint32_t to, const struct letter *l, struct slice result)
{
    uint8_t mem[FORWARD_HEAD_MAX];
    struct wr w = wr_fixed(mem, sizeof mem);
    uint64_t way;
    letter_encode(l, &w);
    enum reeve_err err = w.bad ? REEVE_E_BUG : core_letter(r->prop.core, to, wr_slice(&w), result, &way);
    if (err != REEVE_OK)                /* it learns of it by the lost connection, or by its time limit */
        log_debug("a letter to member %u is lost: %s", to, reeve_err_text(err));
}

static void answer(struct ring *r, uint32_t to, uint64_t id, enum reeve_err err, const struct report *rep, struct slice result)
{
    struct letter l = { .what = LETTER_ANSWER, .id = id };
    if (err != REEVE_OK && rep != NULL)
        l.rep = *rep;
    if (err != REEVE_OK)
        report_set(&l.rep, err, "%s", reeve_err_text(err));
    l.rep.code = err;
    send(r, to, &l, err == REEVE_OK ? result : slice_of(NULL, 0));
}

static void end(struct guest *g, enum reeve_err err, const struct report *rep, struct slice result)
{
    answer(g->ring, g->from, g->id, err, rep, result);
    guest_end(g);
}

/* ---- security updates ---- */

static void submitted(void *arg, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf)
{
    uint8_t mem[16];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, height);
    wr_u64(&w, first_leaf);
    end(arg, err, rep, wr_slice(&w));
}

static enum reeve_err submit(struct ring *r, struct guest *g, struct slice body, struct report *rep)
{
    struct slice updates[SUBMIT_UPDATES_MAX];
    size_t n;
    if (!submit_body_read(body, updates, &n))
        return report_set(rep, REEVE_E_MALFORMED, "malformed submission");
    if (ring_leaderless(r, "nothing was changed", rep))
        return rep->code;
    return ring_submit_guest(r, g->from, updates, n, submitted, g, rep);
}

static bool same_speakers(const struct region_doc *a, const struct region_doc *b)
{
    if (memcmp(&a->key, &b->key, sizeof a->key) != 0 || a->n_members != b->n_members)
        return false;
    for (unsigned i = 0; i < a->n_members; i++)
        if (a->member[i].id != b->member[i].id || memcmp(&a->member[i].key, &b->member[i].key, sizeof a->member[i].key) != 0 ||
            memcmp(&a->member[i].seal_key, &b->member[i].seal_key, sizeof a->member[i].seal_key) != 0)
            return false;
    return true;
}

enum reeve_err forward_judge_region(const struct update *u, const struct attest_object *now, struct report *rep)
{
    static struct region_doc had, wants;
    if (u->op != 1 || region_doc_decode(&wants, u->payload) != REEVE_OK ||
        region_doc_decode(&had, now->update.payload) != REEVE_OK)
        return report_set(rep, REEVE_E_DENIED, "a member of the ring may not change region \"%s\" so", u->object.s);
    if (u->version != now->version + 1 || !hash32_eq(&u->prev, &now->leaf_hash))
        return report_set(rep, REEVE_E_CONFLICT, "region '%s' has changed meanwhile", u->object.s);
    if (!same_speakers(&had, &wants))
        return report_set(rep, REEVE_E_DENIED, "who speaks for region \"%s\" is not changed at another member", u->object.s);
    return REEVE_OK;
}

static enum reeve_err judge_region(struct ring *r, const struct update *u, struct report *rep)
{
    struct ring_view v;
    struct attest_object o;
    enum reeve_err err;
    TRY(ring_view_open(r, &v));
    err = attest_get(&v.attest, AT_REGION, &u->object, &o);
    if (err == REEVE_OK)
        err = forward_judge_region(u, &o, rep);
    ring_view_close(&v);
out:
    return err;
}

enum reeve_err forward_judge(struct ring *r, uint32_t from, struct slice leaf, struct report *rep)
{
    struct update u;
    enum reeve_err err;
    TRY(update_decode(&u, leaf));
    log_limited(LOG_SEV_INFO, "member %u asks for %s \"%s\", version %llu, in the name of \"%s\"", from,
                attest_type_name((enum attest_type) u.type), u.object.s, (unsigned long long) u.version, u.actor.s);
    if (u.type == AT_VALSET)
        TRY(report_set(rep, REEVE_E_DENIED, "the validators are not changed at another member"));
    if (u.type == AT_REGION)
        err = judge_region(r, &u, rep);
out:
    return err;
}

/* ---- members, keys ---- */

static void changed(void *arg, enum reeve_err err)
{
    struct report rep = { .code = REEVE_OK };
    if (err == REEVE_E_SHUTDOWN)
        err = REEVE_E_UNKNOWN_OUTCOME;  /* it was on its way */
    if (err == REEVE_E_UNKNOWN_OUTCOME)
        report_set(&rep, err, "whether the ring's members were changed is not known");
    end(arg, err, &rep, slice_of(NULL, 0));
}

/* OK: it has ended, or will. */
static enum reeve_err change(struct ring *r, struct guest *g, struct slice body, struct report *rep)
{
    struct rd in = rd_of(body);
    uint8_t what = rd_u8(&in);
    uint32_t id = rd_u32(&in);
    bool waits = false;
    if (!rd_done(&in))
        return REEVE_E_MALFORMED;
    enum reeve_err err = ring_change(r, what, id, changed, g, &waits, rep);
    if (err == REEVE_OK && !waits)
        end(g, err, NULL, slice_of(NULL, 0));
    return err;
}

static void key_made(void *arg, enum reeve_err err, const struct report *rep, struct slice result)
{
    struct guest *g = arg;
    bool sound = err != REEVE_OK || forward_result_is(g->kind, result);
    end(g, sound ? err : REEVE_E_BUG, rep, result);
}

static enum reeve_err carry_out(struct ring *r, struct guest *g, struct slice body, struct report *rep)
{
    switch (g->kind) {
    case FORWARD_SUBMIT: return submit(r, g, body, rep);
    case FORWARD_RING_CHANGE: return change(r, g, body, rep);
    case FORWARD_AUTHORITY_KEY: return key_call(r, MSG_AUTHORITY_KEY, body, key_made, g);
    case FORWARD_SHARED_KEY: return key_call(r, MSG_SHARED_KEY, body, key_made, g);
    case FORWARD_CHECKPOINT: return checkpoint_call(r, body, key_made, g);
    default: return REEVE_E_BUG;
    }
}

/* ---- letters in ---- */

/* Who cannot says so before anything is sent to it; the asker looks for another one. */
bool forward_attests(struct ring *r)
{
    struct core_status st;
    core_status(r->prop.core, &st);
    return r->attests && !st.member.quarantined;
}

static bool able(struct ring *r, const struct forward_rule *rule)
{
    return rule->leader ? ring_leads(r) : forward_attests(r);
}

/* Who has no vote decides nothing of the ring: whoever has taken a learner must not get at its members. */
static bool may_ask(struct ring *r, uint32_t from, const struct forward_rule *rule)
{
    const struct raft_member *m = raft_conf_find(core_conf(r->prop.core), from);
    return !rule->leader || (m != NULL && (m->role & RAFT_VOTER));
}

static void asked(struct ring *r, uint32_t from, const struct letter *l)
{
    struct letter grant = { .what = LETTER_GRANT, .id = l->id };
    const struct forward_rule *rule = forward_rule(l->kind);
    struct report rep = { .code = REEVE_OK };
    struct guest *g;
    enum reeve_err err = rule == NULL ? REEVE_E_UNSUPPORTED : able(r, rule) ? REEVE_OK : REEVE_E_NOT_LEADER;
    while (grant.ticket == 0)
        random_bytes(&grant.ticket, sizeof grant.ticket);
    if (err == REEVE_OK && !may_ask(r, from, rule)) {
        err = report_set(&rep, REEVE_E_DENIED, "a learner changes nothing of the ring's members; nothing was changed");
        report_hint(&rep, "ALTER RING at a member that votes: SHOW MEMBERS.");
    }
    if (err == REEVE_OK)
        err = guests_admit(&r->forwards->guests, from, core_way(r->prop.core, from), l, grant.ticket, clock_mono().ms, &g);
    if (err == REEVE_E_BUSY)
        report_set(&rep, err, "member \"%s\" has too much to do for others at the moment; nothing was changed",
                   ring_told(r, core_id(r->prop.core)).s);
    if (err != REEVE_OK) {
        answer(r, from, l->id, err, &rep, slice_of(NULL, 0));
        return;
    }
    g->ring = r;
    send(r, from, &grant, slice_of(NULL, 0));
    forward_wake(r);
}

static void came(struct ring *r, uint32_t from, const struct letter *l)
{
    struct report rep = { .code = REEVE_OK };
    struct guest *g = guests_take(&r->forwards->guests, from, core_way(r->prop.core, from), l, clock_mono().ms);
    if (g == NULL) {
        report_set(&rep, REEVE_E_AGAIN, "the request came too late");
        report_hint(&rep, "Nothing was changed. Try again.");
        answer(r, from, l->id, REEVE_E_AGAIN, &rep, slice_of(NULL, 0));
        return;
    }
    if (g->kind == FORWARD_RING_CHANGE)
        log_info("member %u asks for a change of the ring's members", from);
    else
        log_debug("%s for member %u", forward_rule(g->kind)->name, from);
    enum reeve_err err = carry_out(r, g, l->rest, &rep);
    if (err != REEVE_OK)
        end(g, err, &rep, slice_of(NULL, 0));
}

void forward_serve(struct ring *r, uint32_t from, const struct letter *l)
{
    if (l->what == LETTER_ASK)
        asked(r, from, l);
    else
        came(r, from, l);
}
