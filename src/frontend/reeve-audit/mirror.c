/* mirror.c - reeve-audit verify of a whole mirror: every entry and every tile, up to its checkpoint */
#include "mirror.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/ops.h"

static int refuse(const char *where, const char *why)
{
    fprintf(stderr, "reeve-audit: %s: refused: %s\n", where, why);
    return EXIT_UNSOUND;
}

static int could_not(const char *where, const char *why)
{
    fprintf(stderr, "reeve-audit: %s: could not be judged: %s\n", where, why);
    return EXIT_COULD_NOT;
}

static enum walk_result walk_all(struct walk *w, const struct checkpoint *cp)
{
    struct hash32 root;
    enum walk_result r = walk_to(w, cp->size);
    if (r == WALK_OK)
        r = walk_end(w, cp->size);
    if (r != WALK_OK)
        return r;
    merkle_range_root(&crypto_ops_real, &w->range, &root);
    if (hash32_eq(&root, &cp->root))
        return WALK_OK;
    snprintf(w->why, sizeof w->why, "its entries are not those of its checkpoint");
    return WALK_UNSOUND;
}

/* In a folder a file that is missing makes the mirror unsound; over a network it may be there in a minute. */
static int judge(const char *where, struct source *s, const struct checkpoint *cp, unsigned cosigned)
{
    struct walk *w = calloc(1, sizeof *w);
    if (w == NULL)
        return could_not(where, "no memory");
    w->source = s;
    w->tiles = true;
    merkle_range_init(&w->range);
    enum walk_result r = walk_all(w, cp);
    int code = EXIT_SOUND;
    if (r == WALK_OK)
        printf("%s: sound\n  %" PRIu64 " leaves with all their tiles, cosigned by %u\n", where, cp->size, cosigned);
    else
        code = r == WALK_UNSOUND || !s->http ? refuse(where, w->why) : could_not(where, w->why);
    free(w);
    return code;
}

int audit_verify_mirror(const struct options *o, const struct trust_root *t)
{
    struct source s;
    struct checkpoint cp;
    unsigned cosigned;
    if (!source_open(&s, o->file))
        return EXIT_COULD_NOT;
    struct wr note = wr_heap(NOTE_BYTES_MAX);
    enum source_err err = source_read(&s, "checkpoint", &note);
    int code = EXIT_UNSOUND;
    if (err != SOURCE_OK)
        code = err == SOURCE_MISSING && !s.http ? refuse(o->file, "there is no checkpoint") : could_not(o->file, *s.why ? s.why : "there is no checkpoint");
    else if (checkpoint_is_sound(o->file, wr_slice(&note), t, &cp, &cosigned))
        code = judge(o->file, &s, &cp, cosigned);
    wr_free(&note);
    return code;
}
