/*
 * forward.c - what this member cannot do, asked of the one that can (forward.h)
 *
 *   WAITING --way, ASK--> ASKED --GRANT, BODY--> SENT --ANSWER--> SETTLING --it can be read here--> answered
 *      ^--- way lost, "not me" ---'                '-way lost, no answer, a doubt-> DOUBT --its object tells--> answered
 *
 * Until the BODY leaves nothing has happened, so looking for the member that can goes on for ASK_MS, whoever that is by then.
 * Where the member with the keys has not been there for as long, nobody waits. After the BODY there is no second try, but a look
 * at what the region has by then: security updates name their object's version.
 */
#include "backend/ring/forward.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"

#define TICK_MS   50
#define ASK_MS    5000          /* a link that is dialed again, a new leader: they take less */
#define DONE_MS   20000         /* for a change of members, for a key */
#define SPARE_MS  5000          /* beyond the other member's own limit for security updates */
#define TOTAL_MS  20000         /* with ASK_MS and SETTLE_MS below what a backend waits */
#define SETTLE_MS 4000
#define ATTESTS   1u            /* flag in news */

enum forward_state { WAITING, ASKED, SENT, DOUBT, SETTLING };

struct forward {
    struct ring *r;
    struct forward *next;
    uint8_t kind, state;
    uint32_t to;
    uint64_t id, way;
    int64_t until_ms;
    bool reading, ended;                /* a read is under way that names this; answered meanwhile */
    key_done *done;
    void *arg;
    struct report rep;                  /* while SETTLING: the answer; DOUBT: if nothing tells; before: why it was not let in yet */
    uint8_t result[16];
    size_t result_len;
    size_t len;
    uint8_t body[];
};

struct forwards *forwards_new(void)
{
    struct forwards *fs = calloc(1, sizeof *fs);
    if (fs == NULL)
        return NULL;
    random_bytes(&fs->ids, sizeof fs->ids);
    fs->linked_ms = clock_mono().ms;
    return fs;
}

void forwards_free(struct forwards *fs)
{
    free(fs);
}

/* ---- the end of one ---- */

static void finish(struct forward *f, enum reeve_err err, const struct report *rep, struct slice result)
{
    struct forwards *fs = f->r->forwards;
    struct forward **at = &fs->list;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    fs->n--;
    fs->bytes -= f->len;
    f->ended = true;
    f->done(f->arg, err, rep, result);
    if (!f->reading)
        free(f);
}

static bool changes_nothing(const struct forward *f) { return forward_rule(f->kind)->key; }

static void finish_rep(struct forward *f) { finish(f, f->rep.code, &f->rep, slice_of(NULL, 0)); }

static void report_lost(struct forward *f, const char *what)
{
    struct told t = ring_told(f->r, f->to);
    report_clear(&f->rep);
    if (changes_nothing(f)) {
        report_set(&f->rep, REEVE_E_UNAVAILABLE, "member \"%s\" %s; nothing was changed", t.s, what);
        report_hint(&f->rep, "Try again.");
    } else {
        report_set(&f->rep, REEVE_E_UNKNOWN_OUTCOME, "member \"%s\" %s; whether the change was made is unknown", t.s, what);
        report_hint(&f->rep, "Look before you try again; a change is never made twice.");
    }
}

/* rep says so. Whoever has it may have carried it out, or another one found it half done: its object tells, if it is told in time. */
static void doubt(struct forward *f)
{
    int64_t least = clock_mono().ms + SETTLE_MS;
    if (f->kind != FORWARD_SUBMIT) {
        finish_rep(f);
        return;
    }
    f->state = DOUBT;
    if (f->until_ms < least)
        f->until_ms = least;
}

static void lost(struct forward *f, const char *what)
{
    report_lost(f, what);
    doubt(f);
}

static void look_for_effect(struct forward *f)
{
    uint64_t height, first_leaf;
    struct wr w = wr_fixed(f->result, sizeof f->result);
    enum reeve_err err = submit_look(f->r, slice_of(f->body, f->len), &height, &first_leaf);
    if (err == REEVE_E_AGAIN)
        return;
    report_clear(&f->rep);
    if (err == REEVE_OK) {
        wr_u64(&w, height);
        wr_u64(&w, first_leaf);
    } else {
        report_set(&f->rep, err, "it was changed by somebody else meanwhile; nothing was changed by this");
    }
    finish(f, err, &f->rep, wr_slice(&w));
}

static void finish_settled(struct forward *f)
{
    finish(f, f->rep.code, &f->rep, slice_of(f->result, f->result_len));
}

/* ---- who can ---- */

static unsigned place_of(const struct forwards *fs, uint32_t id)
{
    unsigned i = 0;
    while (i < fs->n_known && fs->known[i].id != id)
        i++;
    return i;
}

static bool reads_letters(const struct forwards *fs, uint32_t id) { return place_of(fs, id) < fs->n_known; }

static void known_set(struct forwards *fs, uint32_t id, uint8_t flags)
{
    unsigned i = place_of(fs, id);
    if (i == fs->n_known && i < RAFT_MEMBERS_MAX)
        fs->n_known++;
    i %= RAFT_MEMBERS_MAX;              /* all that ever were: one of them begins anew with its next news */
    fs->known[i].id = id;
    fs->known[i].flags = flags;
}

static struct region_doc *region_now(struct ring *r)
{
    static struct region_doc d;
    struct ring_view v;
    if (ring_view_open(r, &v) != REEVE_OK)
        return NULL;
    bool there = attest_region(&v.attest, &r->region_name, &d) == REEVE_OK;
    ring_view_close(&v);
    return there ? &d : NULL;
}

/* The region's object lists who joined, with a key: whoever is listed there and says that it has the region's is not believed. */
static uint32_t attester(struct ring *r)
{
    const struct forwards *fs = r->forwards;
    struct region_doc *d = region_now(r);
    uint32_t best = 0;
    if (d == NULL)
        return 0;                       /* whom to believe is not known */
    for (unsigned i = 0; i < fs->n_known; i++) {
        uint32_t id = fs->known[i].id;
        if ((fs->known[i].flags & ATTESTS) == 0 || raft_conf_find(core_conf(r->prop.core), id) == NULL ||
            region_member_find(d, id) != NULL || (best != 0 && id > best))
            continue;
        best = id;
    }
    return best;
}

/* For an error: the only other one that is not listed. 0: there are several. */
static uint32_t attester_guess(struct ring *r)
{
    const struct raft_conf *conf = core_conf(r->prop.core);
    struct region_doc *d = region_now(r);
    uint32_t found = 0;
    for (unsigned i = 0; i < conf->n && d != NULL; i++) {
        if (conf->m[i].id == core_id(r->prop.core) || region_member_find(d, conf->m[i].id) != NULL)
            continue;
        if (found != 0)
            return 0;
        found = conf->m[i].id;
    }
    return found;
}

static uint32_t leader(struct ring *r)
{
    struct core_status st;
    core_status(r->prop.core, &st);
    return st.member.raft.leader;
}

/* ---- the end of those that never left ---- */

static void unreachable(struct forward *f, struct report *rep)
{
    bool leads = forward_rule(f->kind)->leader;
    uint32_t id = f->to ? f->to : leads ? 0 : attester_guess(f->r);
    struct told t = ring_told(f->r, id);
    if (id == 0 && leads)
        report_set(rep, REEVE_E_NOT_LEADER, "the ring has no leader at the moment; nothing was changed");
    else if (id == 0)
        report_set(rep, REEVE_E_UNAVAILABLE, "no member with the region's keys and a validator answers; nothing was changed");
    else if (member_linked(f->r->prop.core, id) && !reads_letters(f->r->forwards, id))
        report_set(rep, REEVE_E_UNAVAILABLE, "member \"%s\" takes nothing from other members yet; nothing was changed", t.s);
    else
        report_set(rep, REEVE_E_UNAVAILABLE, "member \"%s\", which %s, does not answer; nothing was changed", t.s,
                   leads ? "leads the ring" : "has the region's keys and its validator");
    report_hint(rep, leads ? "Try again: SHOW MEMBERS tells who leads."
                           : "Start it, or look at the network between the two: SHOW MEMBERS. "
                             "Until then agents are served, and rollouts hold.");
}

static void finish_not_let_in(struct forward *f)
{
    struct report rep = f->rep;
    if (rep.code == REEVE_OK)
        unreachable(f, &rep);
    finish(f, rep.code, &rep, slice_of(NULL, 0));
}

/* Nobody waits for a member that has not been there for longer than anybody would wait. */
static bool is_long_away(struct forward *f, int64_t now)
{
    uint32_t id = f->to ? f->to : attester_guess(f->r);
    return !forward_rule(f->kind)->leader && id != 0 && core_way(f->r->prop.core, id) == 0 &&
           now - f->r->forwards->linked_ms > ASK_MS;
}

static void finish_err(struct forward *f, enum reeve_err err, const char *message)
{
    struct report rep = { .code = REEVE_OK };
    report_set(&rep, err, "%s", message);
    report_hint(&rep, "Nothing was changed. Try again.");
    finish(f, err, &rep, slice_of(NULL, 0));
}

/* ---- on its way ---- */

static enum reeve_err letter_send(struct forward *f, const struct letter *l, struct slice body, uint64_t *way)
{
    uint8_t mem[64];
    struct wr w = wr_fixed(mem, sizeof mem);
    letter_encode(l, &w);
    return w.bad ? REEVE_E_BUG : core_letter(f->r->prop.core, f->to, wr_slice(&w), body, way);
}

static uint64_t next_id(struct forwards *fs)
{
    if (++fs->ids == 0)
        fs->ids = 1;
    return fs->ids;
}

/* A new id each time: what an older one is answered with says nothing about this. */
static void ask(struct forward *f)
{
    struct letter l = { .what = LETTER_ASK, .id = next_id(f->r->forwards), .kind = f->kind, .size = (uint32_t) f->len };
    report_clear(&f->rep);
    if (letter_send(f, &l, slice_of(NULL, 0), &f->way) != REEVE_OK)
        return;
    f->id = l.id;
    f->state = ASKED;
}

/* As many as it lets in: more would only be told to wait. */
static bool has_room(const struct forward *f, uint32_t to)
{
    unsigned n = 0;
    for (const struct forward *x = f->r->forwards->list; x; x = x->next)
        n += x->to == to && (x->state == ASKED || x->state == SENT);
    return n < FORWARD_MEMBER_MAX;
}

static void look(struct forward *f, int64_t now)
{
    bool leads = forward_rule(f->kind)->leader;
    uint32_t to = leads ? leader(f->r) : attester(f->r);
    if (to == core_id(f->r->prop.core)) {
        finish_err(f, REEVE_E_AGAIN, "this member has just become the ring's leader");
        return;
    }
    if (to != 0)
        f->to = to;
    if (is_long_away(f, now))
        finish_not_let_in(f);
    else if (to != 0 && !has_room(f, to))
        report_set(&f->rep, REEVE_E_BUSY, "member \"%s\" has too much to do for others at the moment; nothing was changed",
                   ring_told(f->r, to).s);
    else if (to != 0 && reads_letters(f->r->forwards, to))
        ask(f);
}

static int64_t limit_ms(const struct forward *f)
{
    int64_t ms = settings_int(f->r->child->settings, SET_attest_submit_timeout) + SPARE_MS;
    if (f->kind != FORWARD_SUBMIT)
        ms = DONE_MS;
    return ms < TOTAL_MS ? ms : TOTAL_MS;
}

static void granted(struct forward *f, const struct letter *g)
{
    struct letter l = { .what = LETTER_BODY, .id = f->id, .ticket = g->ticket };
    uint64_t way = f->way;
    if (core_way(f->r->prop.core, f->to) != way)
        return;                         /* the next tick sees it */
    enum reeve_err err = letter_send(f, &l, slice_of(f->body, f->len), &way);
    if (err != REEVE_OK) {
        finish_err(f, err, "the link to the member that can do it takes nothing at the moment");
        return;
    }
    f->state = SENT;
    f->until_ms = clock_mono().ms + limit_ms(f);
}

/* ---- answers ---- */

static void settled(void *arg, enum reeve_err err)
{
    struct forward *f = arg;
    f->reading = false;
    if (f->ended)
        free(f);
    else if (err == REEVE_OK)
        finish_settled(f);              /* else the next tick asks again; in the end the answer stands all the same */
}

/* What was done there, and what made it refuse, is acknowledged by now: who reads behind that point sees it (F6). */
static void read_behind(struct forward *f)
{
    f->reading = true;
    if (proposer_read(&f->r->prop, settled, f) == REEVE_OK)
        return;                         /* it may have ended already */
    f->reading = false;
    if (f->ended)
        free(f);
}

static void settle(struct forward *f, const struct letter *l)
{
    f->rep = l->rep;
    f->result_len = l->rest.len;
    reeve_assert(l->rest.len <= sizeof f->result);
    memcpy(f->result, l->rest.p, l->rest.len);
    f->state = SETTLING;
    f->until_ms = clock_mono().ms + SETTLE_MS;
    read_behind(f);
}

/* Before the request itself was sent: it is refused, or somebody else can by now. */
static void not_let_in(struct forward *f, const struct letter *l)
{
    if (l->rep.code != REEVE_E_NOT_LEADER && l->rep.code != REEVE_E_BUSY && l->rep.code != REEVE_E_UNAVAILABLE) {
        finish(f, l->rep.code == REEVE_OK ? REEVE_E_BUG : l->rep.code, &l->rep, slice_of(NULL, 0));
        return;
    }
    if (l->rep.code != REEVE_E_NOT_LEADER)
        f->rep = l->rep;
    else if (!forward_rule(f->kind)->leader)
        known_set(f->r->forwards, f->to, 0);
    f->state = WAITING;
}

enum reeve_err forward_word(enum reeve_err theirs, bool in_doubt)
{
    switch (theirs) {
    case REEVE_E_SHUTDOWN:  return REEVE_E_UNAVAILABLE;
    case REEVE_E_MALFORMED: return REEVE_E_INVALID_VALUE;
    case REEVE_E_CLOSED: case REEVE_E_TIMEOUT: case REEVE_E_CANCELED:
        return in_doubt ? REEVE_E_UNKNOWN_OUTCOME : REEVE_E_UNAVAILABLE;
    default:                return theirs;
    }
}

static void answered(struct forward *f, struct letter *l)
{
    l->rep.code = forward_word(l->rep.code, f->state == SENT && !changes_nothing(f));
    if (f->state == ASKED)
        not_let_in(f, l);
    else if (l->rep.code == REEVE_OK && !forward_result_is(f->kind, l->rest))
        lost(f, "answered something that is no answer");
    else if (l->rep.code == REEVE_E_UNKNOWN_OUTCOME && f->kind == FORWARD_SUBMIT) {
        f->rep = l->rep;
        doubt(f);
    } else if (changes_nothing(f))
        finish(f, l->rep.code, &l->rep, l->rest);
    else
        settle(f, l);
}

static struct forward *waiting_for(struct ring *r, uint32_t from, const struct letter *l)
{
    for (struct forward *f = r->forwards->list; f; f = f->next)
        if (f->id == l->id && f->to == from && (f->state == ASKED || (f->state == SENT && l->what == LETTER_ANSWER)))
            return f;
    return NULL;
}

void ring_letter(void *arg, uint32_t from, struct slice bytes)
{
    struct ring *r = arg;
    struct letter l;
    if (r->forwards == NULL || r->prop.core == NULL || raft_conf_find(core_conf(r->prop.core), from) == NULL)
        return;
    if (letter_decode(&l, bytes) != REEVE_OK) {
        log_limited(LOG_SEV_WARNING, "member %u wrote a letter that does not parse", from);
        return;
    }
    if (l.what == LETTER_ASK || l.what == LETTER_BODY) {
        forward_serve(r, from, &l);
        return;
    }
    struct forward *f = waiting_for(r, from, &l);
    if (f != NULL && l.what == LETTER_GRANT)
        granted(f, &l);
    else if (f != NULL)
        answered(f, &l);
}

/* ---- time ---- */

static void step(struct forward *f, int64_t now)
{
    if (f->state == ASKED && core_way(f->r->prop.core, f->to) != f->way)
        f->state = WAITING;
    if (f->state == SENT && core_way(f->r->prop.core, f->to) != f->way)
        lost(f, "was lost while it was at it");
    else if (now < f->until_ms) {
        if (f->state == WAITING)
            look(f, now);
        else if (f->state == DOUBT)
            look_for_effect(f);
        else if (f->state == SETTLING && !f->reading)
            read_behind(f);
    } else if (f->state == SETTLING)
        finish_settled(f);
    else if (f->state == SENT)
        lost(f, "did not answer in time");
    else if (f->state == DOUBT)
        finish_rep(f);
    else
        finish_not_let_in(f);
}

static uint64_t way_of(void *arg, uint32_t from)
{
    struct ring *r = arg;
    return core_way(r->prop.core, from);
}

static void on_tick(void *arg)
{
    struct ring *r = arg;
    struct forwards *fs = r->forwards;
    int64_t now = clock_mono().ms;
    for (struct forward *f = fs->list, *next; f; f = next) {
        next = f->next;
        step(f, now);
    }
    if (guests_expire(&fs->guests, now, way_of, r) > 0 || fs->n > 0)
        forward_wake(r);
}

void forward_wake(struct ring *r)
{
    struct forwards *fs = r->forwards;
    if (!loop_timer_is_set(&fs->timer) && loop_timer_in(r->loop, &fs->timer, TICK_MS, on_tick, r) != REEVE_OK)
        log_error("no timer for what other members are asked");
}

/* ---- asking ---- */

enum reeve_err forward_ask(struct ring *r, enum forward_kind kind, struct slice body, key_done *done, void *arg)
{
    struct forwards *fs = r->forwards;
    if (body.len == 0 || body.len > forward_rule((uint8_t) kind)->size_max)
        return REEVE_E_TOO_BIG;
    if (fs->n >= FORWARD_MAX || fs->bytes + body.len > FORWARD_BYTES_MAX)
        return REEVE_E_BUSY;
    struct forward *f = calloc(1, sizeof *f + body.len);
    if (f == NULL)
        return REEVE_E_NOMEM;
    int64_t now = clock_mono().ms;
    *f = (struct forward){ .r = r, .kind = (uint8_t) kind, .until_ms = now + ASK_MS, .done = done, .arg = arg, .len = body.len };
    memcpy(f->body, body.p, body.len);
    struct forward **at = &fs->list;    /* first come, first asked for */
    while (*at)
        at = &(*at)->next;
    *at = f;
    fs->n++;
    fs->bytes += body.len;
    forward_wake(r);
    look(f, now);
    return REEVE_OK;
}

void forward_close(struct ring *r)
{
    struct forwards *fs = r->forwards;
    while (fs && fs->list) {
        struct forward *f = fs->list;
        if (f->state == SETTLING)
            finish_settled(f);
        else if (f->state == SENT) {
            report_lost(f, "was at it when this server was shut down");
            finish_rep(f);
        } else if (f->state == DOUBT)
            finish_rep(f);
        else
            finish_err(f, REEVE_E_SHUTDOWN, "the server is shutting down");
    }
    if (fs)
        loop_timer_cancel(r->loop, &fs->timer);
}

/* ---- news ---- */

void forward_announce(struct ring *r)
{
    uint8_t news[3] = { NEWS_FORWARD, 1, forward_attests(r) ? ATTESTS : 0 };
    if (core_conf(r->prop.core)->n < 2)
        return;
    core_tell(r->prop.core, slice_of(news, sizeof news));
    uint32_t id = r->attests ? 0 : attester(r);
    if (id != 0 && core_way(r->prop.core, id) != 0)
        r->forwards->linked_ms = clock_mono().ms;
}

void forward_heard(struct ring *r, uint32_t from, struct rd *in)
{
    unsigned version = rd_u8(in), flags = rd_u8(in);
    if (r->forwards != NULL && !in->bad && version == 1)
        known_set(r->forwards, from, (uint8_t) flags);
}
