/* policy.c - whom to believe: logs, witnesses, and how many of them. */
#include "note_int.h"
#include "common/text.h"

#define WORDS_MAX 100

/* Words of one line; false: too many. Blanks are spaces and tabs. */
static bool words_of(struct slice line, struct slice *w, unsigned *n)
{
    *n = 0;
    for (size_t i = 0; i < line.len;) {
        size_t from = i;
        while (i < line.len && line.p[i] != ' ' && line.p[i] != '\t')
            i++;
        if (i > from && *n == WORDS_MAX)
            return false;
        if (i > from)
            w[(*n)++] = slice_of(line.p + from, i - from);
        while (i < line.len && (line.p[i] == ' ' || line.p[i] == '\t'))
            i++;
    }
    return true;
}

static bool is(struct slice s, const char *word) { return slice_eq(s, slice_str(word)); }

static uint16_t find(const struct policy *p, struct slice name)
{
    for (unsigned i = 0; i < p->n_witnesses; i++)
        if (slice_eq(p->witness[i].name, name))
            return (uint16_t) i;
    for (unsigned i = 0; i < p->n_groups; i++)
        if (slice_eq(p->group[i].name, name))
            return (uint16_t) (POLICY_GROUP | i);
    return POLICY_NONE;
}

static enum reeve_err new_name(const struct policy *p, struct slice name)
{
    if (is(name, "none"))
        return REEVE_E_MALFORMED;
    return find(p, name) == POLICY_NONE ? REEVE_OK : REEVE_E_DUPLICATE_OBJECT;
}

static enum reeve_err log_line(const struct crypto_ops *c, struct policy *p, const struct slice *w, unsigned n)
{
    enum reeve_err err;
    if (n < 2 || n > 3)
        return REEVE_E_MALFORMED;
    if (p->n_logs == POLICY_LOGS_MAX)
        return REEVE_E_TOO_BIG;
    struct note_key *k = &p->log[p->n_logs];
    TRY(note_key_parse(c, k, w[1]));
    for (unsigned i = 0; i < p->n_logs; i++)
        if (slice_eq(p->log[i].name, k->name) || memcmp(&p->log[i].key, &k->key, sizeof k->key) == 0)
            return REEVE_E_DUPLICATE_OBJECT;
    p->n_logs++;
out:
    return err;
}

static enum reeve_err witness_line(const struct crypto_ops *c, struct policy *p, const struct slice *w, unsigned n)
{
    enum reeve_err err;
    if (n < 3 || n > 4)
        return REEVE_E_MALFORMED;
    if (p->n_witnesses == POLICY_WITNESSES_MAX)
        return REEVE_E_TOO_BIG;
    struct note_key *k = &p->witness[p->n_witnesses].key;
    TRY(new_name(p, w[1]));
    TRY(note_key_parse(c, k, w[2]));
    if (k->alg != NOTE_COSIGNATURE)
        return REEVE_E_UNSUPPORTED;
    for (unsigned i = 0; i < p->n_witnesses; i++)
        if (memcmp(&p->witness[i].key.key, &k->key, sizeof k->key) == 0)
            return REEVE_E_DUPLICATE_OBJECT;
    p->witness[p->n_witnesses++].name = w[1];
out:
    return err;
}

static bool is_member(const struct policy *p, uint16_t m)
{
    for (unsigned i = 0; i < p->n_members; i++)
        if (p->member[i] == m)
            return true;
    return false;
}

static bool threshold_of(struct slice word, unsigned n, uint16_t *k)
{
    uint64_t v;
    if (is(word, "any"))
        v = 1;
    else if (is(word, "all"))
        v = n;
    else if (!decimal_parse(word, &v))
        return false;
    *k = (uint16_t) v;
    return v >= 1 && v <= n;
}

static enum reeve_err group_line(struct policy *p, const struct slice *w, unsigned n)
{
    enum reeve_err err;
    struct policy_group g = { .first = (uint16_t) p->n_members };
    if (n < 4)
        return REEVE_E_MALFORMED;
    if (p->n_groups == POLICY_GROUPS_MAX)
        return REEVE_E_TOO_BIG;
    TRY(new_name(p, w[1]));
    g.name = w[1];
    g.n = (uint16_t) (n - 3);
    if (!threshold_of(w[2], g.n, &g.k))
        return REEVE_E_MALFORMED;
    for (unsigned i = 3; i < n; i++) {
        uint16_t m = find(p, w[i]);
        if (m == POLICY_NONE)
            return REEVE_E_MALFORMED;
        if (is_member(p, m))
            return REEVE_E_DUPLICATE_OBJECT;
        p->member[p->n_members++] = m;  /* each name once: never more than there are names */
    }
    p->group[p->n_groups++] = g;
out:
    return err;
}

static enum reeve_err quorum_line(struct policy *p, const struct slice *w, unsigned n, bool *had)
{
    if (n != 2)
        return REEVE_E_MALFORMED;
    if (*had)
        return REEVE_E_DUPLICATE_OBJECT;
    *had = true;
    p->quorum = find(p, w[1]);
    return p->quorum != POLICY_NONE || is(w[1], "none") ? REEVE_OK : REEVE_E_MALFORMED;
}

static enum reeve_err policy_line(const struct crypto_ops *c, struct policy *p, struct slice line, bool *quorum)
{
    struct slice w[WORDS_MAX];
    unsigned n;
    if (!words_of(line, w, &n))
        return REEVE_E_TOO_BIG;
    if (n == 0 || w[0].p[0] == '#')
        return REEVE_OK;
    if (is(w[0], "log"))
        return log_line(c, p, w, n);
    if (is(w[0], "witness"))
        return witness_line(c, p, w, n);
    if (is(w[0], "group"))
        return group_line(p, w, n);
    return is(w[0], "quorum") ? quorum_line(p, w, n, quorum) : REEVE_E_MALFORMED;
}

enum reeve_err policy_parse(const struct crypto_ops *c, struct policy *p, struct slice text)
{
    struct slice line;
    bool quorum = false;
    memset(p, 0, sizeof *p);
    p->quorum = POLICY_NONE;
    if (text.len > NOTE_BYTES_MAX)
        return REEVE_E_TOO_BIG;
    while (text.len > 0) {
        p->line++;
        if (!line_take(&text, &line)) {
            line = text;                /* the last line may lack its end */
            text.len = 0;
        }
        enum reeve_err err = policy_line(c, p, line, &quorum);
        if (err != REEVE_OK)
            return err;
    }
    return quorum && p->n_logs > 0 ? REEVE_OK : REEVE_E_MALFORMED;
}

/* ---- judging a note by it ---- */

/* Groups name only what stands before them, so one pass over them in order decides all. */
static bool satisfied(const struct policy *p, const bool *witness)
{
    bool group[POLICY_GROUPS_MAX] = { false };
    for (unsigned g = 0; g < p->n_groups; g++) {
        unsigned have = 0;
        for (unsigned i = 0; i < p->group[g].n; i++) {
            uint16_t m = p->member[p->group[g].first + i];
            have += m & POLICY_GROUP ? group[m & ~POLICY_GROUP] : witness[m];
        }
        group[g] = have >= p->group[g].k;
    }
    if (p->quorum == POLICY_NONE)
        return true;
    return p->quorum & POLICY_GROUP ? group[p->quorum & ~POLICY_GROUP] : witness[p->quorum];
}

static const struct note_key *log_of(const struct policy *p, struct slice origin)
{
    for (unsigned i = 0; i < p->n_logs; i++)
        if (slice_eq(p->log[i].name, origin))
            return &p->log[i];
    return NULL;
}

enum reeve_err policy_check(const struct crypto_ops *c, const struct policy *p, const struct note *n,
                            struct checkpoint *cp, unsigned *n_witnesses)
{
    enum reeve_err err;
    struct note_key keys[POLICY_WITNESSES_MAX + 1];
    bool seen[POLICY_WITNESSES_MAX + 1];
    *n_witnesses = 0;
    TRY(checkpoint_parse(cp, n->text));
    const struct note_key *log = log_of(p, cp->origin);
    if (log == NULL)
        return REEVE_E_V_CHAIN;
    for (unsigned i = 0; i < p->n_witnesses; i++)
        keys[i] = p->witness[i].key;
    keys[p->n_witnesses] = *log;
    TRY(note_verify(c, n, keys, p->n_witnesses + 1, seen, NULL, NULL));
    if (!seen[p->n_witnesses])
        return REEVE_E_V_SIGNATURE;
    for (unsigned i = 0; i < p->n_witnesses; i++)
        *n_witnesses += seen[i];
    err = satisfied(p, seen) ? REEVE_OK : REEVE_E_V_QUORUM;
out:
    return err;
}
