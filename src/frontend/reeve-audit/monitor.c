/*
 * monitor.c - reeve-audit monitor: the log followed over time, an alarm when it forks or stands still
 *
 * What is kept (STATE, replaced by rename after a sync): the last checkpoint, and the roots of the complete subtrees of its log,
 *   "reeve-audit-monitor v1" 0A | a line of base64 for each root, largest first | 0A | the checkpoint
 * A new checkpoint counts when its policy holds and the entries behind the last one lead from those roots to its own: so every
 * entry is seen once, and nothing else need be kept.
 *
 * A fork is two checkpoints, each of which the policy accepts, of logs that do not extend each other; both stay as STATE.fork-1
 * and STATE.fork-2, for everybody's verifier. A mirror whose entries do not lead to its checkpoint proves nothing against the
 * log, and is an alarm about the mirror.
 */
#include "mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/ops.h"

#define MAGIC "reeve-audit-monitor v1\n"
#define STATE_MAX (NOTE_BYTES_MAX + 8192)

struct monitor {
    const struct options *o;
    const struct trust_root *t;
    struct source source;
    struct merkle_range range;          /* of the last checkpoint's log; size 0: none yet */
    struct hash32 root;
    struct wr last;                     /* the last checkpoint */
    int64_t heard_s;                    /* when the newest cosignatures were made; at first: when we began */
};
enum verdict { FINE, NOTHING, ALARM };

static int64_t now_s(void)
{
    return (int64_t) time(NULL);
}

static enum verdict alarm_say(const struct monitor *m, const char *what)
{
    fprintf(stderr, "reeve-audit: %s: ALARM: %s\n", m->o->file, what);
    return ALARM;
}

static enum verdict nothing_say(const struct monitor *m, const char *why)
{
    fprintf(stderr, "reeve-audit: %s: %s\n", m->o->file, why);
    return NOTHING;
}

/* ---- what is kept ---- */

static bool replace(const char *path, struct slice bytes)
{
    char name[4096];
    snprintf(name, sizeof name, "%s.new", path);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0;
    for (size_t at = 0; ok && at < bytes.len;) {
        ssize_t n = write(fd, bytes.p + at, bytes.len - at);
        ok = n > 0 || (n < 0 && errno == EINTR);
        at += n > 0 ? (size_t) n : 0;
    }
    ok = ok && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    return (ok && rename(name, path) == 0) || (fprintf(stderr, "reeve-audit: could not write %s: %s\n", path, strerror(errno)), false);
}

static bool folder_sync(const char *path)
{
    char name[4096];
    const char *slash = strrchr(path, '/');
    snprintf(name, sizeof name, "%.*s", slash ? (int) (slash - path) + 1 : 1, slash ? path : ".");
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool state_save(const struct monitor *m)
{
    struct wr w = wr_heap(STATE_MAX);
    char text[64];
    wr_text(&w, MAGIC);
    for (int i = 0; i < __builtin_popcountll(m->range.size); i++) {
        wr_bytes(&w, text, base64_encode(text, m->range.h[i].b, 32));
        wr_u8(&w, '\n');
    }
    wr_u8(&w, '\n');
    wr_bytes(&w, m->last.p, m->last.len);
    bool ok = !w.bad && replace(m->o->state, wr_slice(&w)) && folder_sync(m->o->state);
    wr_free(&w);
    return ok;
}

/* The roots, up to the empty line; *in is the checkpoint then. */
static bool roots_parse(struct monitor *m, struct slice *in, unsigned *n)
{
    size_t magic = strlen(MAGIC);
    if (in->len < magic || memcmp(in->p, MAGIC, magic) != 0)
        return false;
    *in = slice_of(in->p + magic, in->len - magic);
    for (*n = 0; in->len > 0 && *in->p != '\n'; (*n)++) {
        if (*n == 64 || in->len < 45 || in->p[44] != '\n' || base64_decode(m->range.h[*n].b, 32, slice_of(in->p, 44)) != 32)
            return false;
        *in = slice_of(in->p + 45, in->len - 45);
    }
    if (in->len == 0)
        return false;
    *in = slice_of(in->p + 1, in->len - 1);
    return true;
}

static bool state_parse(struct monitor *m, struct slice in)
{
    struct checkpoint cp;
    struct hash32 root;
    unsigned n, cosigned;
    if (!roots_parse(m, &in, &n) || !checkpoint_is_sound(m->o->state, in, m->t, &cp, &cosigned))
        return false;
    m->range.size = cp.size;
    m->root = cp.root;
    wr_bytes(&m->last, in.p, in.len);
    if ((unsigned) __builtin_popcountll(cp.size) != n || m->last.bad)
        return false;
    merkle_range_root(&crypto_ops_real, &m->range, &root);
    return hash32_eq(&root, &cp.root);
}

static bool state_load(struct monitor *m)
{
    struct slice in;
    if (access(m->o->state, F_OK) != 0 && errno == ENOENT)
        return true;
    if (!file_read(m->o->state, &in))
        return false;
    bool ok = state_parse(m, in);
    file_free(&in);
    if (!ok)
        fprintf(stderr, "reeve-audit: %s: this is no state of a monitor with this trust root\n", m->o->state);
    return ok;
}

/* ---- forks ---- */

static enum verdict fork_say(const struct monitor *m, struct slice other)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.fork-1", m->o->state);
    bool kept = replace(path, wr_slice(&m->last));
    snprintf(path, sizeof path, "%s.fork-2", m->o->state);
    kept = replace(path, other) && kept && folder_sync(path);
    alarm_say(m, "the log has FORKED: two checkpoints, both signed by those who are trusted, do not extend each other");
    fprintf(stderr, "reeve-audit: %s %s.fork-1 and %s.fork-2\n", kept ? "they are kept:" : "THEY COULD NOT BE KEPT:", m->o->state, m->o->state);
    return ALARM;
}

/* The entries do not lead on to the new root. Do they lead to it from the first one, past another root at our size? */
static enum verdict mismatch(struct monitor *m, const struct checkpoint *cp, struct slice note)
{
    struct walk *w = calloc(1, sizeof *w);
    struct hash32 at_ours, at_new;
    if (w == NULL)
        return nothing_say(m, "no memory");
    w->source = &m->source;
    merkle_range_init(&w->range);
    enum walk_result r = walk_to(w, m->range.size);
    merkle_range_root(&crypto_ops_real, &w->range, &at_ours);
    if (r == WALK_OK)
        r = walk_to(w, cp->size);
    merkle_range_root(&crypto_ops_real, &w->range, &at_new);
    bool whole = r == WALK_OK && hash32_eq(&at_new, &cp->root);
    free(w);
    if (whole && !hash32_eq(&at_ours, &m->root))
        return fork_say(m, note);
    return alarm_say(m, "the mirror's entries do not lead to its checkpoint");
}

/* ---- one look ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

/* When the cosignatures were made, in the middle: a few that lie about their time move it neither way. */
static int64_t cosigned_s(const struct monitor *m, struct slice text)
{
    static struct note note;
    static struct note_key key[POLICY_WITNESSES_MAX];
    bool seen[POLICY_WITNESSES_MAX] = { false };
    uint64_t at[POLICY_WITNESSES_MAX] = { 0 }, sorted[POLICY_WITNESSES_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < m->t->policy.n_witnesses; i++)
        key[i] = m->t->policy.witness[i].key;
    if (note_parse(&note, text) != REEVE_OK ||
        note_verify(&crypto_ops_real, &note, key, m->t->policy.n_witnesses, seen, at, NULL) != REEVE_OK)
        return 0;
    for (unsigned i = 0; i < m->t->policy.n_witnesses; i++)
        if (seen[i])
            sorted[n++] = at[i];
    qsort(sorted, n, sizeof *sorted, by_value);
    return n == 0 || sorted[n / 2] > INT64_MAX ? 0 : (int64_t) sorted[n / 2];
}

static enum verdict keep(struct monitor *m, const struct checkpoint *cp, struct slice text, unsigned cosigned)
{
    bool grown = cp->size != m->range.size || m->last.len == 0;
    m->root = cp->root;
    wr_reset(&m->last);
    wr_bytes(&m->last, text.p, text.len);
    if (grown)
        printf("%s: log size %" PRIu64 ", cosigned by %u\n", m->o->file, cp->size, cosigned);
    fflush(stdout);
    return FINE;
}

/* From the last log to this one, by the entries between them. */
static enum verdict advance(struct monitor *m, const struct checkpoint *cp, struct slice text, unsigned cosigned)
{
    struct hash32 root;
    struct walk *w = calloc(1, sizeof *w);
    if (w == NULL)
        return nothing_say(m, "no memory");
    w->source = &m->source;
    w->range = m->range;
    enum walk_result r = walk_to(w, cp->size);
    enum verdict v = FINE;
    merkle_range_root(&crypto_ops_real, &w->range, &root);
    if (r == WALK_FAILED)
        v = nothing_say(m, w->why);
    else if (r == WALK_UNSOUND)
        v = alarm_say(m, w->why);
    else if (!hash32_eq(&root, &cp->root))
        v = mismatch(m, cp, text);
    else {
        v = keep(m, cp, text, cosigned);
        m->range = w->range;
    }
    free(w);
    return v == FINE && !state_save(m) ? NOTHING : v;
}

static enum verdict judge(struct monitor *m, struct slice text)
{
    struct checkpoint cp;
    unsigned cosigned;
    if (!checkpoint_is_sound(m->o->file, text, m->t, &cp, &cosigned))
        return NOTHING;                 /* said; a mirror's word against itself. It stands still until it has another one */
    if (cp.size < m->range.size)
        return nothing_say(m, "the mirror shows an older checkpoint than it did");
    if (m->last.len > 0 && cp.size == m->range.size && !hash32_eq(&cp.root, &m->root))
        return fork_say(m, text);
    enum verdict v = cp.size == m->range.size && m->last.len > 0 ? keep(m, &cp, text, cosigned) : advance(m, &cp, text, cosigned);
    int64_t at = v == FINE ? cosigned_s(m, text) : 0;
    if (at > m->heard_s || (v == FINE && m->o->once))
        m->heard_s = at < now_s() ? at : now_s();
    return v;
}

static enum verdict look(struct monitor *m)
{
    struct wr note = wr_heap(NOTE_BYTES_MAX);
    enum source_err err = source_read(&m->source, "checkpoint", &note);
    enum verdict v = err == SOURCE_OK ? judge(m, wr_slice(&note))
                                      : nothing_say(m, *m->source.why ? m->source.why : "there is no checkpoint");
    wr_free(&note);
    return v;
}

/* ---- over time ---- */

static int stalled(const struct monitor *m)
{
    alarm_say(m, "the log stands still: nobody has cosigned it lately, or the mirror cannot be read");
    return EXIT_STALLED;
}

static int follow(struct monitor *m)
{
    for (;;) {
        enum verdict v = look(m);
        if (v == ALARM)
            return EXIT_UNSOUND;
        if (m->o->once && v == NOTHING)
            return EXIT_COULD_NOT;
        if (m->o->stalled_s > 0 && now_s() - m->heard_s > m->o->stalled_s)
            return stalled(m);
        if (m->o->once)
            return EXIT_SOUND;
        sleep((unsigned) m->o->interval_s);
    }
}

int audit_monitor(const struct options *o)
{
    static struct trust_root t;
    static struct monitor m;
    if (o->state == NULL) {
        fprintf(stderr, "reeve-audit: --state FILE is needed: where the last checkpoint is kept\n");
        return EXIT_COULD_NOT;
    }
    m = (struct monitor){ .o = o, .t = &t, .heard_s = now_s(), .last = wr_heap(NOTE_BYTES_MAX) };
    merkle_range_init(&m.range);
    if (!trust_root_read(&t, o->trust_root) || !source_open(&m.source, o->file) || !state_load(&m))
        return EXIT_COULD_NOT;
    int code = follow(&m);
    wr_free(&m.last);
    file_free(&t.text);
    return code;
}
