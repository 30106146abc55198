/*
 * confs.c - which configuration is in force (R5)
 *
 * The newest in the log counts from the moment it is appended. Of older ones
 * only the newest committed is kept: what lies between is found in the log
 * when a truncation asks for it.
 */
#include "raft_int.h"

static void force(struct raft *r, uint64_t index, const struct raft_conf *c)
{
    r->conf = *c;
    r->conf_index = index;
    r->conf_told = false;
    if (r->role == RAFT_LEADER)
        raft_progress_sync(r, false);
}

static void force_entry(struct raft *r, const struct raft_entry *e)
{
    struct raft_conf c;
    enum reeve_err err = raft_conf_decode(&c, e->data);
    reeve_assert(err == REEVE_OK);      /* checked before it came into the log */
    force(r, e->index, &c);
}

void raft_conf_take(struct raft *r, const struct raft_entry *e)
{
    force_entry(r, e);
}

/* The newest configuration entry in (above, upto]; false: none. */
static bool find_entry(const struct raft *r, uint64_t above, uint64_t upto, struct raft_entry *e)
{
    for (uint64_t i = upto; i > above && i >= log_first(r); i--) {
        *e = log_entry(r, i);
        if (e->kind == RAFT_CONF)
            return true;
    }
    return false;
}

void raft_conf_rollback(struct raft *r, uint64_t from)
{
    struct raft_entry e;
    if (r->conf_index < from || RAFT_BROKEN(CONF_KEPT_AT_TRUNCATION))
        return;
    if (find_entry(r, r->commit, from - 1, &e))
        force_entry(r, &e);
    else
        force(r, r->committed_conf_index, &r->committed_conf);
}

/* commit has moved up from before. */
void raft_conf_commit(struct raft *r, uint64_t before)
{
    struct raft_entry e;
    if (r->conf_index <= before)
        return;
    if (r->conf_index <= r->commit) {
        r->committed_conf = r->conf;
        r->committed_conf_index = r->conf_index;
    } else if (find_entry(r, before, r->commit, &e)) {
        enum reeve_err err = raft_conf_decode(&r->committed_conf, e.data);
        reeve_assert(err == REEVE_OK);
        r->committed_conf_index = e.index;
    }
}

/* A state with its configuration has come from elsewhere; a suffix of the log may have been kept. */
void raft_conf_install(struct raft *r, uint64_t index, const struct raft_conf *c)
{
    struct raft_entry e;
    r->committed_conf = *c;
    r->committed_conf_index = index;
    if (RAFT_BROKEN(CONF_KEPT_AT_SNAPSHOT) && r->conf_index > index)
        return;
    if (find_entry(r, index, log_last(r), &e))
        force_entry(r, &e);
    else
        force(r, index, c);
}

/* What peers sent was checked; what a disk gives back is checked here. */
static enum reeve_err check_recovered(struct raft *r, uint64_t above)
{
    uint64_t term = log_term(r, log_first(r) - 1);
    for (uint64_t i = log_first(r); i <= log_last(r); i++) {
        struct raft_entry e = log_entry(r, i);
        struct raft_conf c;
        if (e.index != i || e.term < term || e.term > r->term || e.kind == 0)
            return REEVE_E_CORRUPT;
        if (e.kind == RAFT_CONF && i > above && raft_conf_decode(&c, e.data) != REEVE_OK)
            return REEVE_E_CORRUPT;
        term = e.term;
    }
    return REEVE_OK;
}

enum reeve_err raft_confs_init(struct raft *r, const struct raft_conf *c, uint64_t index)
{
    struct raft_entry e;
    enum reeve_err err = check_recovered(r, index);
    if (err != REEVE_OK)
        return err;
    if (c)
        r->conf = r->committed_conf = *c;
    r->conf_index = r->committed_conf_index = index;
    if (find_entry(r, index, r->commit, &e)) {
        force_entry(r, &e);
        r->committed_conf = r->conf;
        r->committed_conf_index = r->conf_index;
    }
    if (find_entry(r, max_u64(index, r->commit), log_last(r), &e))
        force_entry(r, &e);
    return REEVE_OK;
}
