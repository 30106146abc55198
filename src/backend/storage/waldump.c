/*
 * waldump.c - a log as text, for people: what is there batch by batch, and what recovery says of it
 *
 * Reads only; works on damaged logs and on those of a running server (whose last
 * batch may then look torn). Bounded: of more than LINES_MAX lines the rest is counted.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walfile_int.h"

#define LINES_MAX 200000u
#define TEXT_MAX  2048

struct dump { FILE *out; uint64_t lines, left_out; uint32_t epoch; bool records; };

static bool may_print(struct dump *d)
{
    if (d->lines >= LINES_MAX)
        d->left_out++;
    else
        d->lines++;
    return d->lines < LINES_MAX;
}

typedef unsigned long long llu;

static void print_entries(struct dump *d, const struct wal_frame *f, struct slice payload)
{
    struct rd r = rd_of(payload);
    struct wal_entry e;
    for (uint64_t i = f->first; wal_entry_next(&r, &e); i++)
        if (may_print(d))
            fprintf(d->out, "%-10s %12llu %10llu %6u %10zu\n", "  entry", (llu) i, (llu) e.term, e.kind, e.data.len);
}

static void on_batch(void *arg, const struct wal_frame *f, struct slice payload)
{
    struct dump *d = arg;
    char range[48] = "-";
    if (d->epoch != f->at.epoch && may_print(d))
        fprintf(d->out, "\nsegment %08x.seg\n%-10s %12s %10s %6s %10s\n%-10s %12s %10s %10s %8s %25s %10s %12s %10s %16s %12s\n", f->at.epoch,
                "  entry", "index", "term", "kind", "bytes", "batch", "sequence",
                "offset", "bytes", "sum", "entries", "last term", "last index", "hard term", "vote", "commit");
    d->epoch = f->at.epoch;
    if (f->count > 0)
        snprintf(range, sizeof range, "%llu..%llu", (llu) f->first, (llu) (f->first + f->count - 1));
    if (may_print(d))
        fprintf(d->out, "%-10s %12llu %10llu %10llu %08x %25s %10llu %12llu %10llu %16llx %12llu\n",
                f->flags & WAL_REPAIR ? "repair" : "batch", (llu) f->seq, (llu) f->at.block * WAL_BLOCK,
                (llu) wal_frame_bytes(f->payload_len), f->sum, range, (llu) f->last_term, (llu) f->last, (llu) f->hard.term,
                (llu) f->hard.vote, (llu) f->hard.commit);
    print_entries(d, f, payload);
}

static void on_record(void *arg, const struct wal_record *r)
{
    struct dump *d = arg;
    if (!d->records && may_print(d))
        fprintf(d->out, "\nidentity ring: the newest batches that were durable\n%-10s %12s %10s %10s %8s %12s %10s %12s %10s %16s %12s\n",
                "record", "sequence", "segment", "offset", "sum", "first", "last term", "last index", "hard term", "vote", "commit");
    d->records = true;
    if (may_print(d))
        fprintf(d->out, "%-10s %12llu %10u %10llu %08x %12llu %10llu %12llu %10llu %16llx %12llu\n", "record", (llu) r->seq, r->at.epoch,
                (llu) r->at.block * WAL_BLOCK, r->sum, (llu) r->first, (llu) r->last_term, (llu) r->last, (llu) r->hard.term,
                (llu) r->hard.vote, (llu) r->hard.commit);
}

/* What the engine's describers write, as a line. */
#define PRINT_DESCRIBED(d, prefix, call) do { \
        char text_[TEXT_MAX]; \
        struct wr w_ = wr_fixed(text_, sizeof text_ - 1); \
        call; \
        text_[w_.len] = '\0'; \
        if (may_print(d)) \
            fprintf((d)->out, "%s%s\n", prefix, text_); \
    } while (0)

static void on_meta(void *arg, enum wal_file_kind which, enum reeve_err state, const struct wal_meta *m)
{
    struct dump *d = arg;
    const char *name = which == WAL_FILE_META_A ? "meta.a     " : "meta.b     ";
    if (state == REEVE_OK)
        PRINT_DESCRIBED(d, name, wal_meta_describe(m, &w_));
    else if (may_print(d))
        fprintf(d->out, "%s%s\n", name, state == REEVE_E_NOT_FOUND ? "never written" : reeve_err_text(state));
}

static void on_note(void *arg, struct wal_file file, uint64_t offset, const char *text)
{
    struct dump *d = arg;
    PRINT_DESCRIBED(d, "** ", (wal_file_describe(file, &w_), wr_printf(&w_, " offset %llu: %s", (llu) offset, text)));
}

static bool has_log(const char *folder)
{
    struct stat st;
    char path[WALFILE_PATH_MAX + 16];
    bool found = false;
    for (int kind = WAL_FILE_IDENT; kind <= WAL_FILE_META_B; kind++)
        found |= walfile_name(path, sizeof path, folder, (struct wal_file){ (enum wal_file_kind) kind, 0 }) && stat(path, &st) == 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && !found && (e = readdir(d)) != NULL;)
        found = walfile_epoch_of(e->d_name) != 0;
    if (d != NULL)
        closedir(d);
    return found;
}

/* The folder itself or its wal/. */
static bool find_folder(const char *dir, char out[WALFILE_PATH_MAX])
{
    if (strlen(dir) + 5 > WALFILE_PATH_MAX)
        return false;
    snprintf(out, WALFILE_PATH_MAX, "%s", dir);
    if (has_log(out))
        return true;
    snprintf(out, WALFILE_PATH_MAX, "%.*s/wal", WALFILE_PATH_MAX - 6, dir);
    return has_log(out);
}

static void read_and_print(struct dump *d, const char *folder, struct wal_found *found, void *scratch)
{
    static const struct wal_config c = { WAL_SEGMENT_BYTES, WAL_BATCH_MAX };
    static const struct wal_owner any;
    struct wal_visitor v = { d, on_batch, on_record, on_meta, on_note };
    struct walfile_reader r;
    struct wal_reader reader;
    walfile_reader_init(&r, folder, &reader);
    wal_recover(&c, &reader, &any, scratch, &v, found);
    walfile_reader_done(&r);
}

static void print_end(struct dump *d, const struct wal_found *found)
{
    if (d->left_out > 0)
        fprintf(d->out, "\n%llu more lines are not shown\n", (llu) d->left_out);
    d->lines = 0;
    fprintf(d->out, "\n%llu batches, %llu entries, %u segments, %llu batches unreadable\n", (llu) found->batches, (llu) found->entries,
            found->n_segments, (llu) found->damaged);
    PRINT_DESCRIBED(d, "verdict: ", wal_found_describe(found, &w_));
}

int waldump(const char *dir, FILE *out)
{
    char folder[WALFILE_PATH_MAX];
    struct dump d = { .out = out };
    void *scratch = NULL;
    struct wal_found *found = calloc(1, sizeof *found);
    size_t len = (wal_recover_scratch() + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
    int rc = 2;
    if (!find_folder(dir, folder)) {
        fprintf(stderr, "reeved: there is no log in \"%s\"\n", dir);
    } else if (found == NULL || posix_memalign(&scratch, WAL_BLOCK, len) != 0) {
        fprintf(stderr, "reeved: out of memory\n");
    } else {
        fprintf(out, "log        %s\n", folder);
        read_and_print(&d, folder, found, scratch);
        print_end(&d, found);
        rc = found->verdict <= WAL_TORN ? 0 : 1;
    }
    free(scratch);
    free(found);
    return rc;
}
