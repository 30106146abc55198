/*
 * links.c - which servers of other regions are linked, and letters to and from them
 *
 * The links are backend/peer's: the list of addresses, each with its key, is
 * the chain's and not raft's, so nothing is learned from greetings.
 */
#include "backend/federation/fed_int.h"

#include <stdio.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "common/text.h"

#define ALPN "reeve-region/1"
#define LISTEN_RETRY_MS 2000
#define QUEUE_LETTERS 1024

struct fed_link *fed_link_find(struct fed *f, uint32_t id)
{
    for (unsigned i = 0; i < f->n_links; i++)
        if (f->link[i].id == id)
            return &f->link[i];
    return NULL;
}

/* ---- out ---- */

bool fed_send(struct fed *f, const struct fed_link *k, struct slice letter)
{
    uint64_t way;
    enum reeve_err err = peers_letter(f->peers, k->id, letter, slice_of(NULL, 0), &way);
    if (err != REEVE_OK && err != REEVE_E_UNAVAILABLE)
        log_limited(LOG_SEV_WARNING, "a letter to region \"%s\" was dropped: %s", k->region.s, reeve_err_text(err));
    return err == REEVE_OK;
}

void fed_send_validators(struct fed *f, struct slice letter)
{
    for (unsigned i = 0; i < f->n_links; i++)
        if (f->link[i].validates)
            (void) fed_send(f, &f->link[i], letter);
    peers_flush(f->peers);
}

void fed_letter_out(struct fed *f, struct slice body)
{
    struct rd in = rd_of(body);
    uint32_t to = rd_u32(&in);
    struct slice letter = rd_bytes(&in, rd_left(&in));
    const struct fed_link *k = fed_link_find(f, to);
    if (in.bad)
        return;
    for (unsigned i = 0; i < f->n_links; i++)
        if (to == LETTER_TO_ALL || (to == 0 && f->link[i].validates) || k == &f->link[i])
            (void) fed_send(f, &f->link[i], letter);
    peers_flush(f->peers);
}

void fed_ring_letter(struct fed *f, struct slice body)
{
    struct rd in = rd_of(body);
    struct slice to = rd_bytes(&in, rd_u8(&in));
    struct wr w = wr_heap(body.len + 2);
    letter_begin(LETTER_RING, &w);
    wr_bytes(&w, in.p, rd_left(&in));
    for (unsigned i = 0; i < f->n_links && !in.bad && !w.bad; i++)
        if (to.len == 0 || slice_eq(to, name_slice(&f->link[i].region)))
            (void) fed_send(f, &f->link[i], wr_slice(&w));
    wr_free(&w);
    peers_flush(f->peers);
}

void fed_relay_block(struct fed *f, struct slice block)
{
    struct wr w = wr_heap(ATTEST_BLOCK_MAX + 16);
    letter_begin(LETTER_BLOCK, &w);
    wr_str32(&w, block);
    for (unsigned i = 0; i < f->n_links && !w.bad; i++)
        if (!f->link[i].validates)
            (void) fed_send(f, &f->link[i], wr_slice(&w));
    wr_free(&w);
    peers_flush(f->peers);
}

/* ---- in ---- */

/* What it costs to hear a letter, in signatures to be verified or the like; a leaf is two, with the state it is judged on. */
static int64_t cost_of(enum letter_kind kind, struct slice body)
{
    struct rd in = rd_of(body);
    switch (kind) {
    case LETTER_CERT: return 1 + (int64_t) body.len / 64;
    case LETTER_SUBMIT:
        (void) rd_u64(&in);
        return 1 + 2 * (int64_t) rd_u16(&in);
    case LETTER_PROPOSAL: case LETTER_BLOCKS: case LETTER_BLOCK: case LETTER_CONTENT: return 10 + (int64_t) body.len / 4096;
    case LETTER_FETCH: case LETTER_WANT: case LETTER_CERTS: case LETTER_COSIGN: case LETTER_SEATS_WANTED: return 50;
    case LETTER_EVIDENCE: return 3;
    default: return 1;
    }
}

/* A region that costs more than this is not heard for a while. One letter is always heard in the end, whatever it costs. */
static bool may_speak(struct fed_link *k, int64_t cost)
{
    int64_t now = clock_mono().ms, full = 2000 * (int64_t) FED_COST_PER_S;
    k->tokens_milli += (now - k->tokens_ms) * FED_COST_PER_S;
    k->tokens_ms = now;
    if (k->tokens_milli > full)
        k->tokens_milli = full;
    if (cost > FED_COST_PER_S)
        cost = FED_COST_PER_S;
    if (k->tokens_milli < 1000 * cost)
        return false;
    k->tokens_milli -= 1000 * cost;
    return true;
}

static void to_validator(struct fed *f, const struct fed_link *k, struct slice letter)
{
    struct wr w = wr_heap(letter.len + 4);
    if (f->validator != NULL) {
        wr_u32(&w, k->id);
        wr_bytes(&w, letter.p, letter.len);
        enum reeve_err err = w.bad ? REEVE_E_NOMEM : ipc_link_send(f->validator, MSG_LETTER_IN, wr_slice(&w));
        if (err != REEVE_OK)
            log_debug("a letter of region \"%s\" did not reach the validator: %s", k->region.s, reeve_err_text(err));
    }
    wr_free(&w);
}

static void to_rings(struct fed *f, const struct fed_link *k, struct slice body)
{
    struct wr w = wr_heap(body.len + sizeof k->region);
    wr_name(&w, &k->region);
    wr_bytes(&w, body.p, body.len);
    for (struct fed_ring *r = f->rings; r && !w.bad; r = r->next)
        if (ipc_send(r->ch, MSG_RING_LETTER_IN, wr_slice(&w), -1) != REEVE_OK)
            log_debug("the ring did not hear a letter of region \"%s\"", k->region.s);
    wr_free(&w);
}

static void on_letter(void *arg, uint32_t from, struct slice letter)
{
    struct fed *f = arg;
    struct fed_link *k = fed_link_find(f, from);
    struct slice body;
    enum letter_kind kind = letter_open(letter, &body);
    if (k == NULL || !may_speak(k, cost_of(kind, body))) {
        log_limited(LOG_SEV_WARNING, "letters of region \"%s\" are dropped: too many", k ? k->region.s : "?");
        return;
    }
    switch (kind) {
    case LETTER_PROPOSAL: case LETTER_VOTE: case LETTER_CERT: case LETTER_WANT: case LETTER_CONTENT: case LETTER_CERTS:
    case LETTER_EVIDENCE:
        if (k->validates)
            to_validator(f, k, letter);
        break;
    case LETTER_SUBMIT: case LETTER_SEATS_WANTED: case LETTER_SEAT: to_validator(f, k, letter); break;
    case LETTER_ANSWER: held_answer(f, k, body); break;
    case LETTER_FETCH: fetch_serve(f, k, body); break;
    case LETTER_BLOCKS: fetch_answered(f, k, body); break;
    case LETTER_BLOCK: fetch_pushed(f, k, body); break;
    case LETTER_COSIGN: cosign_serve(f, k, body); break;
    case LETTER_COSIGNED: cosign_answered(f, k, body); break;
    case LETTER_RING: to_rings(f, k, body); break;
    default: log_debug("region \"%s\" sent a letter of a kind that is not known", k->region.s); break;
    }
}

static void on_news(void *arg, uint32_t from, struct slice bytes)
{
    struct fed_link *k = fed_link_find(arg, from);
    struct rd in = rd_of(bytes);
    uint8_t version = rd_u8(&in);
    uint64_t height = rd_u64(&in);
    if (k != NULL && version == 1 && rd_done(&in))
        k->head = height;
}

/* ---- coming and going ---- */

static void tell_link(struct fed *f, const struct fed_link *k)
{
    uint8_t mem[5];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u32(&w, k->id);
    wr_u8(&w, k->way != 0 && k->validates);
    if (f->validator != NULL && ipc_link_send(f->validator, MSG_LINK, wr_slice(&w)) != REEVE_OK)
        log_debug("the validator did not hear of a link");
}

void fed_links_tell(struct fed *f)
{
    for (unsigned i = 0; i < f->n_links; i++)
        if (f->link[i].way != 0)
            tell_link(f, &f->link[i]);
}

void fed_links_look(struct fed *f)
{
    for (unsigned i = 0; i < f->n_links; i++) {
        struct fed_link *k = &f->link[i];
        uint64_t way = peers_way(f->peers, k->id);
        if (way == k->way)
            continue;
        bool was = k->way != 0;
        k->way = way;
        if (was != (way != 0))
            log_info("region \"%s\" is %s", k->region.s, way != 0 ? "linked" : "not linked any more");
        tell_link(f, k);
        if (way != 0)
            held_send_again(f, k);
    }
}

static void on_reachable(void *arg, uint32_t id, bool yes)
{
    (void) id;
    (void) yes;
    fed_links_look(arg);
}

void fed_tell_ahead(struct fed *f, uint64_t height)
{
    uint8_t mem[8];
    struct wr w = wr_fixed(mem, sizeof mem);
    wr_u64(&w, height);
    if (f->validator != NULL && ipc_link_send(f->validator, MSG_CHAIN_AHEAD, wr_slice(&w)) != REEVE_OK)
        log_debug("the validator did not hear that others are ahead");
}

void fed_news(struct fed *f)
{
    uint8_t mem[9];
    struct wr w = wr_fixed(mem, sizeof mem);
    uint64_t most = 0;
    fed_read_height(f);
    wr_u8(&w, 1);
    wr_u64(&w, f->height);
    for (unsigned i = 0; i < f->n_links; i++) {
        peers_tell(f->peers, f->link[i].id, wr_slice(&w));
        if (f->link[i].way != 0 && f->link[i].head > most)
            most = f->link[i].head;
    }
    peers_flush(f->peers);
    /* Said for a second and still not here: what was pushed is lost. */
    struct wr ahead = wr_fixed(mem, sizeof mem);
    wr_u64(&ahead, most);
    if (most > f->height && f->ahead > f->height) {
        fed_tell_ahead(f, most);
        for (struct fed_ring *r = f->validator == NULL ? f->rings : NULL; r; r = r->next)
            if (ipc_send(r->ch, MSG_CHAIN_AHEAD, wr_slice(&ahead), -1) != REEVE_OK)
                log_debug("the ring did not hear that others are ahead");
    }
    f->ahead = most;
}

/* ---- opening ---- */

static enum reeve_err listen_all(struct fed *f, struct report *rep)
{
    char list[1024], *save = NULL;
    enum reeve_err err = REEVE_OK;
    snprintf(list, sizeof list, "%s", settings_text(f->child->settings, SET_listen_addresses));
    for (char *h = strtok_r(list, ", \t", &save); h != NULL && err == REEVE_OK; h = strtok_r(NULL, ", \t", &save)) {
        uint16_t port = (uint16_t) settings_int(f->child->settings, SET_federation_port);
        err = peers_listen(f->peers, strcmp(h, "*") == 0 ? NULL : h, &port, rep);
    }
    return err;
}

/* Nobody can link to us until it works; we link to others meanwhile. */
static void on_listen(void *arg)
{
    struct fed *f = arg;
    struct report rep = { .code = REEVE_OK };
    if (listen_all(f, &rep) == REEVE_OK)
        return;
    log_limited(LOG_SEV_WARNING, "other regions cannot reach this one: %s", rep.message);
    if (loop_timer_in(f->loop, &f->listen_retry, LISTEN_RETRY_MS, on_listen, f) != REEVE_OK)
        log_error("no timer for listening");
}

static void configure(struct fed *f)
{
    static struct raft_conf conf;
    memset(&conf, 0, sizeof conf);
    for (unsigned i = 0; i < f->n_links; i++) {
        struct raft_member *m = &conf.m[conf.n++];
        m->id = f->link[i].id;
        m->incarnation = f->link[i].incarnation;
        m->role = RAFT_VOTER;
        m->addr_len = (uint8_t) (f->link[i].address.len < RAFT_ADDR_MAX ? f->link[i].address.len : RAFT_ADDR_MAX);
        memcpy(m->addr, f->link[i].address.s, m->addr_len);
    }
    peers_configure(f->peers, &conf, 0, &conf);
}

enum reeve_err fed_links_open(struct fed *f, struct report *rep)
{
    static const struct peers_ops ops = { .reachable = on_reachable, .news = on_news, .letter = on_letter };
    struct peers_config c;
    enum reeve_err err;
    peers_config_default(&c);
    c.alpn = ALPN;
    c.fixed = true;
    c.identity = &f->identity;
    c.queue_frames[PEER_BULK] = QUEUE_LETTERS;
    memcpy(&c.ring, f->chain_id.b, sizeof c.ring);
    fed_own_numbers(f, &c.id, &c.incarnation);
    TRY(peers_new(&f->peers, f->loop, &c, &ops, f, rep));
    configure(f);
    on_listen(f);
out:
    return err;
}
