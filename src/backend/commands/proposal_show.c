/*
 * proposal_show.c - SHOW PROPOSAL: what is signed, to the byte, and what it means
 *
 * The texts are those of the notes; the digest in them covers the parts, whose
 * bytes stand at the end, so that whoever trusts no server can make it again.
 */
#include "proposal_int.h"

#define SHOWN_MAX (256u << 10)

const struct dest_column cmd_show_proposal_columns[CMD_SHOW_PROPOSAL_COLUMNS] = { { "item", T_TEXT }, { "value", T_TEXT } };

static enum reeve_err item(struct cmd *x, const char *what, struct slice value)
{
    struct datum d[CMD_SHOW_PROPOSAL_COLUMNS] = { d_str(what), d_text(value) };
    return dest_row(x->dest, CMD_SHOW_PROPOSAL_COLUMNS, d);
}

/* ---- differences, line by line ---- */

static bool next_line(struct slice *text, struct slice *line)
{
    if (text->len == 0)
        return false;
    const uint8_t *end = memchr(text->p, '\n', text->len);
    size_t len = end != NULL ? (size_t) (end - text->p) : text->len;
    *line = slice_of(text->p, len);
    *text = slice_of(text->p + len + (end != NULL), text->len - len - (end != NULL));
    return true;
}

static bool has_line(struct slice text, struct slice want)
{
    struct slice line;
    while (next_line(&text, &line))
        if (slice_eq(line, want))
            return true;
    return false;
}

/* Documents are lists of facts: what is in one of them only, and nothing of their order. */
static void lines_of_one(struct wr *out, char sign, struct slice text, struct slice other)
{
    struct slice line;
    while (next_line(&text, &line)) {
        if (has_line(other, line))
            continue;
        wr_u8(out, (uint8_t) sign);
        wr_u8(out, ' ');
        wr_bytes(out, line.p, line.len);
        wr_u8(out, '\n');
    }
}

static struct slice trimmed(const struct wr *w)
{
    size_t len = w->len;
    while (len > 0 && w->p[len - 1] == '\n')
        len--;
    return slice_of(w->p, len);
}

/* ---- parts ---- */

static void before_of(struct snap *sn, const struct update *u, struct wr *out)
{
    struct attest_object o;
    if (attest_get(&sn->attest, (enum attest_type) u->type, &u->object, &o) == REEVE_OK && o.update.op == 1)
        attest_describe(out, u->type, o.update.payload);
}

/* One string for each item of a part, kept until the snapshot is closed. */
struct shown { unsigned n; char what[4 + 3 * PROPOSAL_PARTS_MAX][24]; struct slice value[4 + 3 * PROPOSAL_PARTS_MAX]; };

static enum reeve_err shown_add(struct cmd *x, struct shown *s, struct slice value, const char *fmt, unsigned n)
{
    snprintf(s->what[s->n], sizeof s->what[0], fmt, n);
    s->value[s->n] = arena_copy(x->arena, value);
    return s->value[s->n++].p != NULL || value.len == 0 ? REEVE_OK : report_set(x->rep, REEVE_E_NOMEM, "out of memory");
}

static enum reeve_err show_part(struct cmd *x, struct snap *sn, struct slice part, unsigned n, struct shown *s)
{
    struct wr leaf = wr_heap(ATTEST_LEAF_MAX + 64), was = wr_heap(SHOWN_MAX), is = wr_heap(SHOWN_MAX), out = wr_heap(2 * SHOWN_MAX);
    static const uint8_t zero[64];
    struct update u;
    enum reeve_err err = REEVE_OK;
    wr_bytes(&leaf, part.p, part.len);
    wr_bytes(&leaf, zero, sizeof zero);
    if (leaf.bad || update_decode(&u, wr_slice(&leaf)) != REEVE_OK) {
        err = report_set(x->rep, REEVE_E_CORRUPT, "part %u of the proposal does not decode", n);
        goto out;
    }
    wr_printf(&out, "%s %s '%s' version %llu, region %s, by %s", u.op == 2 ? "drop" : "put", attest_type_name((enum attest_type) u.type),
              u.object.s, (unsigned long long) u.version, u.region.s, u.actor.s);
    TRY(shown_add(x, s, wr_slice(&out), "part %u", n));
    before_of(sn, &u, &was);
    if (u.op == 1)
        attest_describe(&is, u.type, u.payload);
    wr_reset(&out);
    lines_of_one(&out, '-', wr_slice(&was), wr_slice(&is));
    lines_of_one(&out, '+', wr_slice(&is), wr_slice(&was));
    TRY(shown_add(x, s, trimmed(&out), "part %u diff", n));
    char *text = arena_alloc(x->arena, base64_len(part.len) + 1);
    if (text == NULL)
        err = report_set(x->rep, REEVE_E_NOMEM, "out of memory");
    else
        /* The content ends before the byte that says how many approvals there are. */
        TRY(shown_add(x, s, slice_of(text, base64_encode(text, part.p, part.len - 1)), "part %u content", n));
out:
    wr_free(&leaf);
    wr_free(&was);
    wr_free(&is);
    wr_free(&out);
    return err;
}

static enum reeve_err show_texts(struct cmd *x, struct snap *sn, const struct proposal_row *row, struct shown *s)
{
    uint8_t bytes[APPROVAL_TEXT_MAX];
    char digest[48];
    struct wr text = wr_fixed(bytes, sizeof bytes);
    struct attest_head head;
    enum reeve_err err;
    TRY(attest_head(&sn->attest, &head));
    for (unsigned approve = 2; approve-- > 0;) {
        wr_reset(&text);
        approval_text(&text, &head.chain_id, approve == 1, &row->ref);
        TRY(shown_add(x, s, wr_slice(&text), approve ? "approve" : "reject", 0));
    }
    TRY(shown_add(x, s, slice_of(digest, base64_encode(digest, row->ref.digest.b, 32)), "digest", 0));
out:
    return err;
}

static enum reeve_err collect(struct cmd *x, struct snap *sn, const struct proposal_row *row, struct shown *s)
{
    enum reeve_err err;
    struct proposal_view *v = cmd_alloc(x, sizeof *v, &err);
    if (v == NULL)
        return err;
    proposal_look(sn, row, session_wall_now(), v);
    TRY(shown_add(x, s, slice_str(v->state), "state", 0));
    TRY(show_texts(x, sn, row, s));
    for (uint8_t i = 0; i < row->n_parts; i++)
        TRY(show_part(x, sn, row->part[i], i + 1u, s));
out:
    return err;
}

enum reeve_err cmd_show_proposal(struct cmd *x)
{
    struct snap sn = { 0 };
    enum reeve_err err;
    struct proposal_row *row = cmd_alloc(x, sizeof *row, &err);
    struct shown *s = row ? cmd_alloc(x, sizeof *s, &err) : NULL;
    if (s == NULL)
        return err;
    TRY(snap_open(x->s, &sn, x->rep));
    TRY(cmd_get_proposal(x, &sn, &x->stmt->proposal.name, row));
    if (!name_eq(&row->proposer, &x->s->login_role))
        TRY(cmd_need_in(x, &sn, PRIV_SELECT, GK_SYSTEM, NULL));
    TRY(collect(x, &sn, row, s));
    snap_close(&sn);
    TRY(dest_columns(x->dest, CMD_SHOW_PROPOSAL_COLUMNS, cmd_show_proposal_columns));
    for (unsigned i = 0; i < s->n; i++)
        TRY(item(x, s->what[i], s->value[i]));
out:
    snap_close(&sn);
    return err;
}
