/* show.c - reeve-audit show: what a bundle, a proof or a checkpoint says */
#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/ops.h"

void put_hex(const struct hash32 *h)
{
    for (size_t i = 0; i < sizeof h->b; i++)
        printf("%02x", h->b[i]);
}

void put_time(struct wall_ms t)
{
    char at[32];
    struct tm tm;
    time_t s = (time_t) (t.ms / 1000);
    if (gmtime_r(&s, &tm) == NULL || strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        printf("?");
    else
        printf("%s.%03d UTC", at, (int) (t.ms % 1000));
}

void put_text(const char *what, struct slice s)
{
    if (s.len == 0)
        return;
    printf("  %-9s ", what);
    put_safe(s);
    putchar('\n');
}

static void put_name(const char *what, const struct name *n)
{
    put_text(what, slice_of(n->s, n->len));
}

static const char *verb(const struct update *u)
{
    return u->op == 2 ? "drop" : u->version == 1 ? "create" : "change";
}

static bool put_update(uint64_t index, struct slice leaf)
{
    struct update u;
    struct hash32 h;
    if (update_decode(&u, leaf) != REEVE_OK) {
        printf("update %" PRIu64 "\n  does not parse\n", index);
        return false;
    }
    merkle_leaf_hash(&crypto_ops_real, &h, leaf);
    printf("update %" PRIu64 ": %s %s ", index, verb(&u), attest_type_name((enum attest_type) u.type));
    put_safe(slice_of(u.object.s, u.object.len));
    printf(" version %" PRIu64 "\n", u.version);
    put_name("region", &u.region);
    put_name("actor", &u.actor);
    put_text("from", u.address);
    put_text("statement", u.statement);
    put_text("reason", u.reason);
    printf("  payload   %zu bytes\n  leaf hash ", u.payload.len);
    put_hex(&h);
    putchar('\n');
    return true;
}

static int show_bundle(struct slice in, struct history_work *w)
{
    struct history_reader r;
    enum reeve_err err = history_open(&r, in);
    while (err == REEVE_OK && (err = history_next(&r, &w->b)) == REEVE_OK) {
        printf("block at height %" PRIu64 ", ", w->b.f.header.height);
        put_time(w->b.f.header.time);
        printf(", %u signature%s\n", (unsigned) w->b.f.n_sigs, w->b.f.n_sigs == 1 ? "" : "s");
        for (size_t i = 0; i < w->b.n; i++)
            if (!put_update(w->b.first + i, w->b.leaf[i]))
                return EXIT_UNSOUND;
    }
    if (err == REEVE_E_NOT_FOUND)
        err = history_tail(&r, &w->t);
    if (err != REEVE_OK) {
        fflush(stdout);
        fprintf(stderr, "reeve-audit: the bundle does not parse to its end\n");
        return EXIT_UNSOUND;
    }
    printf("head at height %" PRIu64 ", log size %" PRIu64 ", ", w->t.head.header.height, w->t.head.header.log_size);
    put_time(w->t.head.header.time);
    putchar('\n');
    return EXIT_SOUND;
}

static int show_proof(const struct options *o, struct slice in)
{
    static struct tlog_proof p;
    struct slice leaf;
    if (tlog_proof_parse(&p, in) != REEVE_OK) {
        fprintf(stderr, "reeve-audit: this is no whole tlog-proof\n");
        return EXIT_UNSOUND;
    }
    if (!leaf_read(o, &leaf))
        return EXIT_COULD_NOT;
    bool ok = put_update(p.index, leaf);
    file_free(&leaf);
    return ok ? EXIT_SOUND : EXIT_UNSOUND;
}

static int show_checkpoint(struct slice in)
{
    static struct note n;
    struct checkpoint cp;
    if (note_parse(&n, in) != REEVE_OK || checkpoint_parse(&cp, n.text) != REEVE_OK) {
        fprintf(stderr, "reeve-audit: this is no bundle, proof or checkpoint\n");
        return EXIT_UNSOUND;
    }
    printf("checkpoint of ");
    put_safe(cp.origin);
    printf("\n  size      %" PRIu64 "\n  root      ", cp.size);
    put_hex(&cp.root);
    putchar('\n');
    for (unsigned i = 0; i < n.n; i++)
        put_text("signed by", n.sig[i].name);
    return EXIT_SOUND;
}

static int show_form(const struct options *o, struct slice in, struct history_work *w)
{
    switch (form_of(in)) {
    case FORM_BUNDLE: return show_bundle(in, w);
    case FORM_CONFIG: return show_config(in);
    case FORM_PROOF:  return show_proof(o, in);
    default:          return show_checkpoint(in);
    }
}

/* With a trust root only what is sound is shown at all. */
int audit_show(const struct options *o)
{
    struct slice in;
    if (o->trust_root != NULL) {
        int code = audit_verify(o);
        if (code != EXIT_SOUND)
            return code;
    } else {
        fprintf(stderr, "reeve-audit: shown as it is; --trust-root FILE verifies it first\n");
    }
    struct history_work *w = calloc(1, sizeof *w);
    if (w == NULL || !file_read(o->file, &in)) {
        free(w);
        return EXIT_COULD_NOT;
    }
    int code = show_form(o, in, w);
    file_free(&in);
    free(w);
    return code;
}
