/*
 * kin.c - the signing keys of members that joined: told by them, attested by the region
 *
 *   member: asks its signer for its keys, tells it the chain, leaves the note "member/ID" (32 signing, 32 sealing key)
 *   where the region's own key is: REGION lists the key of every member whose note is there; it goes with the member
 *
 * Looked at once a second, and everything follows from notes, the ring's
 * configuration and the attested object: who is restarted goes on from there.
 */
#include "backend/ring/driver_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"

#define ASK_TIMEOUT_MS 5000
#define RETRY_MS 2000
#define NOTE_LEN 64
#define PREFIX "member/"

struct kin {
    bool asking, known, pinned, submitting;
    uint8_t own[NOTE_LEN];              /* signing and sealing key of this member's signer */
    int64_t retry_ms;
};

struct kin *kin_new(void) { return calloc(1, sizeof(struct kin)); }
void kin_free(struct kin *k) { free(k); }

/* ---- notes ---- */

void kin_note_name(struct name *out, uint32_t member)
{
    char text[32];
    snprintf(text, sizeof text, PREFIX "%u", member);
    name_set_str(out, text);
}

enum reeve_err note_put(struct ring *r, const struct name *name, struct slice bytes)
{
    struct wr w = wr_heap(REGION_NOTE_MAX + 512);
    wr_u8(&w, 1);
    wr_u8(&w, RC_NOTE);
    wr_name(&w, name);
    wr_str16(&w, bytes);
    enum reeve_err err = w.bad ? REEVE_E_TOO_BIG : ring_propose(&r->prop, wr_slice(&w), NULL, NULL);
    wr_free(&w);
    return err;
}

/* ---- a member that joined ---- */

static void on_keys(void *arg, struct ipc_answer *a)
{
    struct ring *r = arg;
    struct kin *k = r->kin;
    if (k == NULL)
        return;
    struct rd in = rd_of(a->result);
    k->asking = false;
    if (a->err != REEVE_OK)
        return;
    k->pinned = rd_u8(&in) != 0;
    rd_copy(&in, k->own, NOTE_LEN);
    k->known = rd_done(&in);
}

static void on_pinned(void *arg, struct ipc_answer *a)
{
    struct ring *r = arg;
    struct kin *k = r->kin;
    if (k == NULL)
        return;
    k->asking = false;
    k->pinned = a->err == REEVE_OK;
    if (a->err != REEVE_OK)
        log_limited(LOG_SEV_ERROR, "the signer does not take this region's chain: %s", a->rep.message);
}

static void ask_keys(struct ring *r, struct kin *k)
{
    k->asking = ipc_link_request(r->signer, MSG_MEMBER_KEYS, slice_of(NULL, 0), ASK_TIMEOUT_MS, on_keys, r) == REEVE_OK;
}

static void tell_chain(struct ring *r, struct kin *k, struct ring_view *v)
{
    struct wr w = wr_heap(ATTEST_LEAF_MAX + 512);
    struct slice genesis;
    if (attest_genesis(&v->attest, &genesis) == REEVE_OK) {
        wr_name(&w, &r->region_name);
        wr_str32(&w, genesis);
        k->asking = !w.bad && ipc_link_request(r->signer, MSG_MEMBER_PIN, wr_slice(&w), ASK_TIMEOUT_MS, on_pinned, r) == REEVE_OK;
    }
    wr_free(&w);
}

static void leave_note(struct ring *r, struct kin *k, struct ring_view *v)
{
    struct name name;
    struct slice have;
    kin_note_name(&name, core_id(r->prop.core));
    if (region_note_get(&v->region, &name, &have) == REEVE_OK && slice_eq(have, slice_of(k->own, NOTE_LEN)))
        return;
    if (note_put(r, &name, slice_of(k->own, NOTE_LEN)) != REEVE_OK)
        log_debug("this member's keys wait: the queue is full");
    k->retry_ms = clock_wall().ms + RETRY_MS;
}

static void run_joined(struct ring *r, struct kin *k, struct ring_view *v)
{
    if (k->asking)
        return;
    if (!k->known)
        ask_keys(r, k);
    else if (!k->pinned)
        tell_chain(r, k, v);
    else
        leave_note(r, k, v);
}

/* ---- where the region's own key is ---- */

static void submitted(void *arg, enum reeve_err err, const struct report *rep, uint64_t height, uint64_t first_leaf)
{
    struct ring *r = arg;
    (void) height;
    (void) first_leaf;
    if (r->kin)
        r->kin->submitting = false;
    if (err != REEVE_OK && err != REEVE_E_SHUTDOWN)
        log_limited(LOG_SEV_WARNING, "the keys of the ring's members are not attested yet: %s", rep->message);
}

/* An attested key is for the member's life: another one in its note changes nothing, whoever wrote it. */
static bool key_of(struct ring_view *v, struct region_doc *now, uint32_t id, struct region_member *out)
{
    const struct region_member *old = region_member_find(now, id);
    struct name name;
    struct slice note;
    *out = (struct region_member){ .id = id };
    if (old) {
        *out = *old;
        return true;
    }
    kin_note_name(&name, id);
    if (region_note_get(&v->region, &name, &note) != REEVE_OK || note.len != NOTE_LEN)
        return false;
    memcpy(out->key.b, note.p, 32);
    memcpy(out->seal_key.b, note.p + 32, 32);
    return true;
}

/* What is to stand in the region's object: who is a member now, but this one, which has the region's own key. */
static void wanted(struct ring *r, struct ring_view *v, struct region_doc *now, struct region_doc *want)
{
    const struct raft_conf *conf = core_conf(r->prop.core);
    *want = (struct region_doc){ .key = now->key, .state = now->state };
    for (unsigned i = 0; i < conf->n && want->n_members < REGION_MEMBERS_MAX; i++)
        if (conf->m[i].id != core_id(r->prop.core) && key_of(v, now, conf->m[i].id, &want->member[want->n_members]))
            want->n_members++;
}

static void submit(struct ring *r, struct kin *k, struct ring_view *v, const struct region_doc *want)
{
    struct update u = { 0 };
    uint8_t mem[64 + REGION_MEMBERS_MAX * 68];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct report rep = { .code = REEVE_OK };
    region_doc_encode(want, &w);
    if (w.bad || update_prepare(&v->attest, AT_REGION, &r->region_name, wr_slice(&w), &u) != REEVE_OK)
        return;
    name_set_str(&u.actor, DRIVER_ACTOR);
    u.reason = slice_str("the keys of the ring's members");
    k->submitting = ring_submit_updates(r, &u, 1, submitted, r, &rep) == REEVE_OK;
    k->retry_ms = clock_wall().ms + RETRY_MS;
}

/* The id in a note's name, "KIND/ID" or "KIND/ID/...". */
static uint32_t id_of(const struct name *name)
{
    const char *slash = strchr(name->s, '/');
    return slash ? (uint32_t) strtoul(slash + 1, NULL, 10) : 0;
}

/* Also of a ring before this one, whose state was restored: its ids may be above all that this one has given. */
static void forget_gone(struct ring *r, struct kin *k, struct ring_view *v)
{
    struct kv_iter it;
    struct slice key, note;
    struct name name;
    region_iter_init(&v->region, &it, 'q', slice_str(PREFIX));
    while (region_iter_next(&it, &key, &note) == REEVE_OK) {
        if (!name_set(&name, key) || raft_conf_find(core_conf(r->prop.core), id_of(&name)) != NULL)
            continue;
        if (note_put(r, &name, slice_of(NULL, 0)) == REEVE_OK)
            k->retry_ms = clock_wall().ms + RETRY_MS;
    }
}

static uint32_t last_in_notes(struct ring_view *v, const char *prefix)
{
    struct kv_iter it;
    struct slice key, note;
    struct name name;
    uint32_t last = 0;
    region_iter_init(&v->region, &it, 'q', slice_str(prefix));
    while (region_iter_next(&it, &key, &note) == REEVE_OK)
        if (name_set(&name, key) && id_of(&name) > last)
            last = id_of(&name);
    return last;
}

uint32_t kin_last_id(struct ring *r, struct ring_view *v)
{
    static const char *const prefixes[] = { PREFIX, "inter/", "shared/" };
    static struct region_doc d;
    struct attest_object o;
    uint32_t last = inter_last_id(r, v);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        uint32_t id = last_in_notes(v, prefixes[i]);
        last = id > last ? id : last;
    }
    if (attest_get(&v->attest, AT_REGION, &r->region_name, &o) != REEVE_OK || region_doc_decode(&d, o.update.payload) != REEVE_OK)
        return last;
    for (unsigned i = 0; i < d.n_members; i++)
        last = d.member[i].id > last ? d.member[i].id : last;
    return last;
}

static void run_first(struct ring *r, struct kin *k, struct ring_view *v)
{
    static struct region_doc now, want;
    struct attest_object o;
    const struct raft_conf *conf = core_conf(r->prop.core);
    if (k->submitting || conf->n == 0 || attest_get(&v->attest, AT_REGION, &r->region_name, &o) != REEVE_OK ||
        region_doc_decode(&now, o.update.payload) != REEVE_OK)
        return;
    wanted(r, v, &now, &want);
    if (now.state == REGION_OK &&
        (now.n_members != want.n_members || memcmp(now.member, want.member, sizeof now.member[0] * now.n_members) != 0))
        submit(r, k, v, &want);
    forget_gone(r, k, v);
}

void kin_run(struct ring *r, struct ring_view *v)
{
    struct kin *k = r->kin;
    if (clock_wall().ms < k->retry_ms)
        return;
    if (r->attests)
        run_first(r, k, v);
    else if (r->has_keys)
        run_joined(r, k, v);
}
