/*
 * validator.c - CREATE VALIDATOR, DROP VALIDATOR: the set of the next epoch
 *
 * The statement makes the next set of the one in force and has its validators asked for their seats; what has come stands
 * in the update. A validator is named as its region and shows its keys by the region's card, which they have signed.
 */
#include "cmd_int.h"

#include "backend/ipc/ipc.h"
#include "common/text.h"
#include "crypto/ops.h"

#define CARD_PREFIX "reeve-card-1."

static enum reeve_err read_card(struct cmd *x, const struct pvalue *v, const struct name *name, struct validator *out)
{
    struct slice text;
    struct region_card card;
    uint8_t bytes[REGION_CARD_MAX];
    size_t skip = sizeof CARD_PREFIX - 1;
    enum reeve_err err = slot_text(&x->slot, v, "key", &text);
    if (err != REEVE_OK)
        return err;
    while (text.len > 0 && (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == ' '))
        text.len--;
    long n = text.len > skip && memcmp(text.p, CARD_PREFIX, skip) == 0
             ? base64url_decode(bytes, sizeof bytes, slice_of(text.p + skip, text.len - skip)) : -1;
    if (n < 0 || card_decode(&crypto_ops_real, &card, slice_of(bytes, (size_t) n)) != REEVE_OK || !card.validates) {
        slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "the key is not the card of a region with a validator");
        return report_hint(x->rep, "It is the line that reeve-ctl init --card wrote, and begins with " CARD_PREFIX);
    }
    if (!name_eq(&card.region, name))
        return slot_error(&x->slot, v, REEVE_E_INVALID_VALUE, "the card is that of \"%s\"", card.region.s);
    *out = (struct validator){ .name = *name, .key = card.validator_key, .cosign_key = card.cosign_key, .weight = 1 };
    return REEVE_OK;
}

/* Each has one vote. */
static enum reeve_err read_options(struct cmd *x, const struct ast_options *o)
{
    static const char *const allowed[] = { "weight", NULL };
    const struct pvalue *weight = slot_option(o, "weight");
    int64_t n;
    enum reeve_err err = slot_options_check(&x->slot, o, allowed);
    return err == REEVE_OK && weight != NULL ? slot_int(&x->slot, weight, "weight", 1, 1, &n) : err;
}

static int find(const struct valset *s, const struct name *name)
{
    for (uint16_t i = 0; i < s->n; i++)
        if (name_eq(&s->v[i].name, name))
            return i;
    return -1;
}

static void take_out(struct valset *s, int at)
{
    memmove(&s->v[at], &s->v[at + 1], sizeof s->v[0] * (size_t) (s->n - at - 1));
    s->n--;
}

/* Ordered by key. */
static void put_in(struct valset *s, const struct validator *v)
{
    uint16_t at = s->n++;
    for (; at > 0 && memcmp(s->v[at - 1].key.b, v->key.b, 32) > 0; at--)
        s->v[at] = s->v[at - 1];
    s->v[at] = *v;
}

/* Whose seats are there the check of the update judges; here nothing is believed. */
static enum reeve_err collect_seats(struct cmd *x, struct valset_doc *d, struct slice *payload)
{
    struct wr reply = wr_heap(ATTEST_PAYLOAD_MAX);
    enum reeve_err err;
    TRY(CMD_PAYLOAD(x, valset_doc_encode, d, payload));
    TRY(ring_call(x->s, MSG_COLLECT_SEATS, *payload, &reply, x->rep));
    *payload = arena_copy(x->arena, wr_slice(&reply));
    if (valset_doc_decode(d, *payload) != REEVE_OK)
        err = report_set(x->rep, REEVE_E_BUG, "the validator's answer is malformed");
out:
    wr_free(&reply);
    return err;
}

static enum reeve_err store(struct cmd *x, struct snap *sn, struct valset_doc *d)
{
    struct cmd_outcome o;
    struct name object;
    struct slice payload;
    enum reeve_err err;
    if (x->explain)
        return cmd_explain_note(x, "ends epoch %llu: %u validators follow, %u of them decide", (unsigned long long) d->set.epoch - 1,
                                d->set.n, valset_quorum(d->set.n));
    (void) name_set_str(&object, "validators");
    err = collect_seats(x, d, &payload);
    if (err == REEVE_OK)
        err = cmd_update(x, sn, AT_VALSET, &object, payload);
    snap_close(sn);
    return err == REEVE_OK ? cmd_finish(x, &o) : err;
}

static enum reeve_err next_set(struct snap *sn, struct valset_doc *d)
{
    struct slice doc;
    memset(d, 0, sizeof *d);
    enum reeve_err err = attest_valset(&sn->attest, &d->set, &doc);
    d->set.epoch++;
    return err;
}

enum reeve_err cmd_create_validator(struct cmd *x)
{
    static struct valset_doc d;
    const struct ast_object *a = &x->stmt->object;
    struct snap sn = { 0 };
    struct name name;
    struct validator v;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, "validator", &name));
    TRY(read_options(x, &a->options));
    TRY(read_card(x, &a->arg, &name, &v));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(next_set(&sn, &d));
    if (find(&d.set, &name) >= 0 || valset_find(&d.set, &v.key) >= 0)
        err = slot_error(&x->slot, &a->name, REEVE_E_DUPLICATE_OBJECT, "validator \"%s\" already exists", name.s);
    else if (d.set.n == ATTEST_VALIDATORS_MAX)
        err = report_set(x->rep, REEVE_E_TOO_COMPLEX, "there are %d validators already", ATTEST_VALIDATORS_MAX);
    else {
        put_in(&d.set, &v);
        err = store(x, &sn, &d);
    }
out:
    snap_close(&sn);
    return err;
}

enum reeve_err cmd_drop_validator(struct cmd *x)
{
    static struct valset_doc d;
    const struct ast_object *a = &x->stmt->object;
    struct snap sn = { 0 };
    struct name name;
    enum reeve_err err;
    TRY(cmd_need(x, PRIV_ADMIN, GK_SYSTEM, NULL));
    TRY(slot_name(&x->slot, &a->name, "validator", &name));
    TRY(cmd_reason(x, &a->reason, false));
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(next_set(&sn, &d));
    int at = find(&d.set, &name);
    if (at < 0 && a->if_exists)
        cmd_skip_notice(x, "validator \"%s\" does not exist, skipping", name.s);
    if (at < 0)
        err = a->if_exists ? REEVE_OK : slot_error(&x->slot, &a->name, REEVE_E_UNDEFINED_OBJECT, "validator \"%s\" does not exist", name.s);
    else if (d.set.n == 1)
        err = slot_error(&x->slot, &a->name, REEVE_E_DEPENDENT, "validator \"%s\" is the only one", name.s);
    else {
        take_out(&d.set, at);
        err = store(x, &sn, &d);
    }
out:
    snap_close(&sn);
    return err;
}
