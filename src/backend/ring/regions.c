/*
 * regions.c - letters between rings of different regions
 *
 * What comes is believed as far as it is signed: evidence by the sending region's key as the attested table has it, the census by
 * the link alone, since it only makes a plan's numbers better or worse.
 */
#include "backend/ring/regions.h"

#include <stdlib.h>

#include "backend/utils/clock.h"
#include "backend/utils/log.h"
#include "crypto/ops.h"

#define SIGN_TIMEOUT_MS 5000
#define LETTER_HEAD     (NAME_MAX_LEN + 2)

void regions_send(struct ring *r, const struct name *to, enum region_letter kind, struct slice body)
{
    struct wr w = wr_heap(body.len + LETTER_HEAD);
    wr_u8(&w, to ? to->len : 0);
    wr_bytes(&w, to ? to->s : "", to ? to->len : 0);
    wr_u8(&w, (uint8_t) kind);
    wr_bytes(&w, body.p, body.len);
    if (r->regions == NULL || w.bad || ipc_link_send(r->regions, MSG_RING_LETTER_OUT, wr_slice(&w)) != REEVE_OK)
        log_debug("a letter to other regions was not sent");
    wr_free(&w);
}

/* ---- signing ---- */

struct statement_call { statement_done *done; void *arg; };

static void on_signed(void *arg, struct ipc_answer *a)
{
    struct statement_call *call = arg;
    struct sig64 sig;
    struct rd in = rd_of(a->result);
    rd_copy(&in, sig.b, sizeof sig.b);
    enum reeve_err err = a->err != REEVE_OK ? a->err : rd_done(&in) ? REEVE_OK : REEVE_E_MALFORMED;
    if (err != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "a statement of this region was not signed: %s", a->err != REEVE_OK ? a->rep.message : "bad answer");
    call->done(call->arg, err, &sig);
    free(call);
}

enum reeve_err statement_sign(struct ring *r, enum statement_kind kind, struct slice bytes, statement_done *done, void *arg)
{
    struct wr w = wr_heap(bytes.len + 8);
    struct statement_call *call = malloc(sizeof *call);
    enum reeve_err err = call == NULL ? REEVE_E_NOMEM : REEVE_OK;
    wr_u8(&w, (uint8_t) kind);
    wr_str16(&w, bytes);
    if (err == REEVE_OK) {
        *call = (struct statement_call){ done, arg };
        err = w.bad ? REEVE_E_NOMEM : ipc_link_request(r->signer, MSG_SIGN_STATEMENT, wr_slice(&w), SIGN_TIMEOUT_MS, on_signed, call);
    }
    if (err != REEVE_OK)
        free(call);
    wr_free(&w);
    return err;
}

/* ---- letters in ---- */

static void note_if_new(struct ring *r, struct ring_view *v, const struct name *note, struct slice bytes)
{
    struct slice have;
    if (region_note_get(&v->region, note, &have) == REEVE_OK && slice_eq(have, bytes))
        return;
    if (note_put(r, note, bytes) != REEVE_OK)
        log_debug("what another region said waits: the queue is full");
}

static void on_census(struct ring *r, struct ring_view *v, const struct name *from, struct slice body)
{
    struct name note;
    struct region_doc doc;
    if (body.len != 4 || attest_region(&v->attest, from, &doc) != REEVE_OK || !region_census_note(&note, from))
        return;
    note_if_new(r, v, &note, body);
}

/* Of a rollout of ours that goes on, over the waves that are open (or will be when we have the same height), and newer than what we have. */
static bool is_wanted(struct ring *r, struct ring_view *v, const struct name *from, const struct evidence_head *h,
                      const struct rollout_evidence *e, unsigned *place)
{
    static struct rollout_doc d;
    struct attest_object o;
    struct rollout_evidence have;
    if (!name_eq(from, &h->region) || attest_get_rollout(&v->attest, h->rollout, &d, &o) != REEVE_OK ||
        rollout_state_terminal((enum rollout_state) d.state) || !name_eq(&o.update.region, &r->region_name) || h->opened < d.opened)
        return false;
    int g = rollout_region_place(&d, from);
    *place = g < 0 ? 0 : (unsigned) g;
    return g >= 0 && (region_evidence_get(&v->region, &d, *place, &have) != REEVE_OK || have.at.ms < e->at.ms);
}

static void on_evidence(struct ring *r, struct ring_view *v, const struct name *from, struct slice statement)
{
    struct evidence_head h;
    struct rollout_evidence e;
    struct region_doc doc;
    struct attest_head head;
    struct hash32 digest;
    struct slice body;
    struct name note;
    unsigned place;
    if (statement.len > EVIDENCE_BYTES_MAX || evidence_decode(&h, &e, &body, statement) != REEVE_OK || !is_wanted(r, v, from, &h, &e, &place) ||
        attest_region(&v->attest, from, &doc) != REEVE_OK || attest_head(&v->attest, &head) != REEVE_OK)
        return;
    statement_digest(&crypto_ops_real, &digest, STATEMENT_EVIDENCE, &head.chain_id, body);
    if (!region_doc_signed(&crypto_ops_real, &doc, &digest, &e.sig)) {
        log_limited(LOG_SEV_WARNING, "region \"%s\" sent counts that it has not signed", from->s);
        return;
    }
    region_evidence_note(&note, h.rollout, place);
    note_if_new(r, v, &note, statement);
}

void regions_letter(struct ring *r, struct slice body)
{
    struct rd in = rd_of(body);
    struct name from;
    struct ring_view v;
    rd_name(&in, &from);
    uint8_t kind = rd_u8(&in);
    struct slice rest = rd_bytes(&in, rd_left(&in));
    if (in.bad || !r->attests || ring_view_open(r, &v) != REEVE_OK)
        return;
    switch (kind) {
    case REGION_CENSUS:   on_census(r, &v, &from, rest); break;
    case REGION_EVIDENCE: on_evidence(r, &v, &from, rest); break;
    default:              break;
    }
    ring_view_close(&v);
}

enum reeve_err regions_held(struct ring_view *v, const struct rollout_doc *d, uint16_t *held)
{
    struct region_doc doc;
    *held = 0;
    for (unsigned g = 0; g < d->n_regions; g++) {
        enum reeve_err err = attest_region(&v->attest, &d->region[g].name, &doc);
        if (err != REEVE_OK && err != REEVE_E_UNDEFINED_OBJECT)
            return err;
        *held |= err == REEVE_OK && doc.state == REGION_FROZEN ? (uint16_t) (1u << g) : 0;
    }
    return REEVE_OK;
}
