/* recover_meta.c - recovery's beginning: whose log, from where on, and what the identity ring remembers. */
#include "recover_int.h"

static bool is_blank(const uint8_t *p)
{
    return p[0] == 0 && memcmp(p, p + 1, WAL_BLOCK - 1) == 0;
}

/* NOT_FOUND: never written. */
static enum reeve_err read_meta(struct wal_walk *w, enum wal_file_kind which, struct wal_meta *m)
{
    size_t got = 0;
    memset(m, 0, sizeof *m);
    enum reeve_err err = w->r->read(w->r->arg, wal_side_file(which), 0, w->block, WAL_BLOCK, &got);
    if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && (got < WAL_BLOCK || is_blank(w->block))))
        err = REEVE_E_NOT_FOUND;
    if (err == REEVE_OK)
        err = wal_meta_decode(m, w->block);
    if (w->v != NULL && w->v->meta != NULL)
        w->v->meta(w->v->arg, which, err, m);
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        wal_note(w, wal_side_file(which), 0, "this copy cannot be used: %s", reeve_err_text(err));
    return err;
}

static bool settle(struct wal_walk *w, enum wal_verdict v, struct wal_file file, const char *why)
{
    w->f->verdict = v;
    wal_reason(w, file, 0, "%s", why);
    return false;
}

static bool is_other(uint64_t expect, uint64_t is)
{
    return expect != 0 && expect != is;
}

static bool check_owner(struct wal_walk *w, const struct wal_owner *expect)
{
    const struct wal_owner *o = &w->f->meta.owner;
    struct wal_file file = wal_side_file(w->f->meta_newest ? WAL_FILE_META_B : WAL_FILE_META_A);
    if (is_other(expect->ring, o->ring))
        return settle(w, WAL_FOREIGN, file, "the log of another ring");
    if (is_other(expect->member, o->member))
        return settle(w, WAL_FOREIGN, file, "the log of another member");
    if (is_other(expect->incarnation, o->incarnation))
        return settle(w, WAL_FOREIGN, file, "the log of another incarnation of this member");
    return true;
}

static void start_from(struct wal_walk *w, const struct wal_meta *m)
{
    w->f->meta = *m;
    w->salt = m->salt;
    w->salt_known = true;
    w->blocks = m->segment_bytes / WAL_BLOCK;
    w->at = (struct wal_place){ m->oldest_epoch, 0 };
    w->prev_known = true;
    w->f->next_seq = m->start_seq;
    w->f->prev_sum = m->start_sum;
    w->f->cut = w->f->last = m->cut;
    w->f->cut_term = w->f->last_term = m->cut_term;
    w->f->hard = m->hard;
}

bool wal_read_metas(struct wal_walk *w, const struct wal_owner *expect, uint32_t segment_bytes)
{
    static const enum wal_file_kind kinds[2] = { WAL_FILE_META_A, WAL_FILE_META_B };
    struct wal_meta m[2];
    enum reeve_err err[2];
    for (int i = 0; i < 2; i++) {
        err[i] = read_meta(w, kinds[i], &m[i]);
        w->f->meta_good[i] = err[i] == REEVE_OK;
        if (err[i] == REEVE_E_UNSUPPORTED)
            return settle(w, WAL_NEWER, wal_side_file(kinds[i]), "written by a newer version");
    }
    w->blocks = segment_bytes / WAL_BLOCK;
    if (err[0] != REEVE_OK && err[1] != REEVE_OK) {
        w->metas_lost = true;
        w->meta_absent = err[0] == REEVE_E_NOT_FOUND || err[1] == REEVE_E_NOT_FOUND;
        return true;
    }
    w->f->meta_newest = err[0] != REEVE_OK || (err[1] == REEVE_OK && m[1].number > m[0].number);
    start_from(w, &m[w->f->meta_newest]);
    return check_owner(w, expect);
}

static void take_ident(struct wal_walk *w, struct wal_ident *b)
{
    if (w->salt_known && b->salt != w->salt)
        return;
    w->ident_good = true;
    if (b->number >= w->f->ident.number)
        w->f->ident = *b;
}

/*
 * No log, or one whose making was interrupted: batches begin only after both metas were written.
 * A log that lost both is not taken for it as long as a segment or a record is left of it.
 */
bool wal_is_missing(struct wal_walk *w)
{
    if (w->metas_lost && w->meta_absent && w->n_starts == 0 && w->f->ident.n == 0)
        return !settle(w, WAL_MISSING, wal_side_file(WAL_FILE_META_A), "there is no log here");
    if (w->metas_lost)
        wal_reason(w, wal_side_file(WAL_FILE_META_A), 0, "neither copy of the metadata can be read");
    return false;
}

/* The newest good block holds everything the older ones still matter for. */
void wal_read_ident(struct wal_walk *w)
{
    const struct wal_file file = { WAL_FILE_IDENT, 0 };
    struct wal_ident b;
    for (uint32_t i = 0; i < WAL_IDENT_BLOCKS; i++) {
        size_t got = 0;
        uint64_t offset = (uint64_t) i * WAL_BLOCK;
        enum reeve_err err = w->r->read(w->r->arg, file, offset, w->block, WAL_BLOCK, &got);
        if (err == REEVE_E_NOT_FOUND || (err == REEVE_OK && got < WAL_BLOCK)) {
            wal_note(w, file, offset, err == REEVE_OK ? "the identity ring is too short" : "there is no identity ring");
            return;
        }
        if (err == REEVE_OK && is_blank(w->block))
            continue;
        if (err == REEVE_OK)
            err = wal_ident_decode(&b, w->block);
        if (err == REEVE_OK)
            take_ident(w, &b);
        else
            wal_note(w, file, offset, "this block of the identity ring cannot be used: %s", reeve_err_text(err));
    }
    for (uint32_t i = 0; w->v != NULL && w->v->record != NULL && i < w->f->ident.n; i++)
        w->v->record(w->v->arg, &w->f->ident.rec[i]);
}
