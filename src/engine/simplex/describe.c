/* describe.c - events and effects as text, for traces and expected outputs. */
#include "engine/simplex.h"

static const char *const types[] = { "?", "propose", "notarize", "nullify", "finalize", "heartbeat" };
static const char *const events[] = { "?", "restore", "start", "clock", "work", "built", "not_built", "signed", "refused",
                                      "checked", "proposal", "vote", "cert", "committed", "overdue" };
static const char *const effects[] = { "?", "build", "check", "sign", "send_proposal", "send_vote", "send_cert", "commit",
                                       "behind", "evidence", "want" };
#define NAME(list, i) ((i) < sizeof (list) / sizeof *(list) ? (list)[i] : (list)[0])

static void put_u64(struct wr *out, uint64_t v)
{
    char text[20];
    size_t at = sizeof text;
    do {
        text[--at] = (char) ('0' + v % 10);
        v /= 10;
    } while (v > 0);
    wr_bytes(out, text + at, sizeof text - at);
}

static void put_field(struct wr *out, const char *name, uint64_t v)
{
    wr_text(out, name);
    put_u64(out, v);
}

/* The first four bytes tell blocks apart well enough to read. */
static void put_hash(struct wr *out, const char *name, const struct hash32 *h)
{
    static const char digits[] = "0123456789abcdef";
    wr_text(out, name);
    for (int i = 0; i < 4; i++) {
        wr_u8(out, (uint8_t) digits[h->b[i] >> 4]);
        wr_u8(out, (uint8_t) digits[h->b[i] & 15]);
    }
}

static void put_vote(struct wr *out, const struct simplex_vote *v)
{
    wr_text(out, " ");
    wr_text(out, NAME(types, v->type));
    put_field(out, " view=", v->b.view);
    if (v->b.height == 0)
        return;
    put_field(out, " height=", v->b.height);
    put_hash(out, " block=", &v->b.hash);
    put_field(out, " parent=", v->b.parent_view);
    put_hash(out, ":", &v->b.parent_hash);
}

void simplex_event_describe(const struct simplex_event *e, struct wr *out)
{
    wr_text(out, "at ");
    put_u64(out, (uint64_t) (e->now.ms > 0 ? e->now.ms : 0));
    wr_text(out, ": ");
    wr_text(out, NAME(events, e->type));
    if (e->type == SXE_WORK || e->type == SXE_CHECKED || e->type == SXE_OVERDUE)
        wr_text(out, e->flag ? " yes" : " no");
    if (e->type == SXE_PROPOSAL || e->type == SXE_VOTE)
        put_field(out, " from=", e->signer);
    if (e->type == SXE_CERT && e->cert != NULL)
        put_vote(out, &(struct simplex_vote){ e->cert->type, e->cert->b });
    else if (e->type != SXE_START && e->type != SXE_CLOCK && e->type != SXE_WORK && e->type != SXE_OVERDUE)
        put_vote(out, &e->vote);
}

void simplex_effect_describe(const struct simplex_effect *e, struct wr *out)
{
    wr_text(out, "  -> ");
    wr_text(out, NAME(effects, e->type));
    put_vote(out, &e->vote);
    if (e->type == SXF_COMMIT && !e->flag)
        wr_text(out, " by its descendant");
    if (e->type == SXF_EVIDENCE)
        put_field(out, " by=", e->signer);
}
