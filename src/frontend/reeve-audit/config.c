/* config.c - a region's config history: its changes, under a checkpoint that the validators made final */
#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/ops.h"

static void print_facts(const char *file, const struct config_facts *f)
{
    printf("%s: sound\n  config changes %" PRIu64 " to %" PRIu64 " of region ", file, f->first, f->end - 1);
    put_safe(name_slice(&f->region));
    printf(", of %" PRIu64 " under its checkpoint %" PRIu64 "\n  update %" PRIu64 " of the global log, ", f->checkpoint.size, f->version,
           f->leaf_index);
    put_time(f->at);
    putchar('\n');
    if (f->checkpoint.anew)
        printf("  that checkpoint begins anew: the region was restored from a backup, and changes between are lost\n");
}

int verify_config(const struct options *o, struct slice in, const struct trust_root *t)
{
    struct report rep = { .code = REEVE_OK };
    struct config_facts f;
    struct history_work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return EXIT_COULD_NOT;
    enum reeve_err err = config_history_verify(&crypto_ops_real, &t->chain_id, in, w, &f, &rep);
    free(w);
    if (err != REEVE_OK) {
        fprintf(stderr, "reeve-audit: %s: refused: %s\n", o->file, rep.message);
        return EXIT_UNSOUND;
    }
    print_facts(o->file, &f);
    return EXIT_SOUND;
}

/* ---- show ---- */

static bool put_change(uint64_t index, struct slice leaf)
{
    struct config_leaf l;
    if (config_leaf_decode(&l, leaf) != REEVE_OK) {
        printf("change %" PRIu64 "\n  does not parse\n", index);
        return false;
    }
    printf("change %" PRIu64 ": ", index);
    put_safe(name_slice(&l.row.action));
    printf(" config ");
    put_safe(name_slice(&l.row.object));
    printf(" at version %" PRIu64 ", ", l.revision);
    put_time(l.row.at);
    putchar('\n');
    put_text("actor", name_slice(&l.row.actor));
    put_text("from", slice_str(l.row.client));
    put_text("statement", l.row.statement);
    put_text("reason", l.row.reason);
    put_text("before", l.row.before);
    put_text("after", l.row.after);
    if (!hash32_is_zero(&l.value)) {
        printf("  value     SHA-256 ");
        put_hex(&l.value);
        putchar('\n');
    }
    return true;
}

int show_config(struct slice in)
{
    struct config_reader h;
    struct slice leaf;
    enum reeve_err err = config_history_open(&h, in);
    while (err == REEVE_OK && (err = config_history_next(&h, &leaf)) == REEVE_OK)
        if (!put_change(h.first + h.at - 1, leaf))
            return EXIT_UNSOUND;
    if (err == REEVE_E_NOT_FOUND)
        return EXIT_SOUND;
    fflush(stdout);
    fprintf(stderr, "reeve-audit: the config bundle does not parse to its end\n");
    return EXIT_UNSOUND;
}
