/* describe.c - frames, records, metas, effects and verdicts as text: logs, traces and waldump all say it so. */
#include "wal_int.h"

typedef unsigned long long llu;

const char *wal_verdict_name(enum wal_verdict v)
{
    static const char *const names[] = {
        "clean", "torn tail ignored", "corrupt", "identity unknown", "missing", "foreign", "newer version"
    };
    return (unsigned) v < sizeof names / sizeof *names ? names[v] : "?";
}

static void describe_hard(const struct wal_hard *h, struct wr *out)
{
    wr_printf(out, "term %llu vote %llx commit %llu", (llu) h->term, (llu) h->vote, (llu) h->commit);
}

void wal_file_describe(struct wal_file f, struct wr *out)
{
    switch (f.kind) {
    case WAL_FILE_SEGMENT: wr_printf(out, "segment %u", f.epoch); return;
    case WAL_FILE_IDENT:   wr_text(out, "ident"); return;
    case WAL_FILE_META_A:  wr_text(out, "meta A"); return;
    case WAL_FILE_META_B:  wr_text(out, "meta B"); return;
    }
    wr_text(out, "no file");
}

void wal_frame_describe(const struct wal_frame *f, struct wr *out)
{
    wr_printf(out, "batch %llu at %u/%u sum %08x ", (llu) f->seq, f->at.epoch, f->at.block, f->sum);
    if (f->count > 0)
        wr_printf(out, "entries %llu..%llu (%u bytes)", (llu) f->first, (llu) (f->first + f->count - 1), f->payload_len);
    else
        wr_printf(out, "no entries, next %llu", (llu) f->first);
    wr_printf(out, "%s last %llu/%llu ", f->flags & WAL_REPAIR ? " repair" : "", (llu) f->last_term, (llu) f->last);
    describe_hard(&f->hard, out);
}

void wal_record_describe(const struct wal_record *r, struct wr *out)
{
    wr_printf(out, "record of batch %llu at %u/%u sum %08x first %llu last %llu/%llu ", (llu) r->seq, r->at.epoch,
              r->at.block, r->sum, (llu) r->first, (llu) r->last_term, (llu) r->last);
    describe_hard(&r->hard, out);
}

/* Without the salt, which makes frames unforgeable by those who only fill them. */
void wal_meta_describe(const struct wal_meta *m, struct wr *out)
{
    wr_printf(out, "meta %llu ring %llx member %llx incarnation %llx cut %llu/%llu oldest segment %u from batch %llu ",
              (llu) m->number, (llu) m->owner.ring, (llu) m->owner.member, (llu) m->owner.incarnation,
              (llu) m->cut_term, (llu) m->cut, m->oldest_epoch, (llu) m->start_seq);
    describe_hard(&m->hard, out);
}

void wal_entry_describe(uint64_t index, const struct wal_entry *e, struct wr *out)
{
    wr_printf(out, "entry %llu term %llu kind %u size %zu", (llu) index, (llu) e->term, e->kind, e->data.len);
}

void wal_effect_describe(const struct wal_effect *e, struct wr *out)
{
    wr_text(out, e->type == WAL_DO_WRITE ? "write " : e->type == WAL_DO_OPEN ? "open " : "drop ");
    wal_file_describe(e->file, out);
    if (e->type == WAL_DO_WRITE)
        wr_printf(out, " offset %llu bytes %zu", (llu) e->offset, e->data.len);
}

static void describe_place(const struct wal_found *f, struct wr *out)
{
    if (f->reason[0] == '\0')
        return;
    wr_text(out, " (");
    wal_file_describe(f->file, out);
    wr_printf(out, " offset %llu: %s)", (llu) f->offset, f->reason);
}

void wal_found_describe(const struct wal_found *f, struct wr *out)
{
    wr_text(out, wal_verdict_name(f->verdict));
    describe_place(f, out);
    if (f->verdict >= WAL_MISSING)
        return;
    wr_printf(out, ": cut %llu last %llu/%llu ", (llu) f->cut, (llu) f->last_term, (llu) f->last);
    describe_hard(&f->hard, out);
    wr_printf(out, ", %s, %s", f->may_vote ? "may vote" : "may not vote", f->may_lead ? "may lead" : "may not lead");
    for (uint32_t i = 0; i < f->holes.n; i++)
        wr_printf(out, "%s %llu..%llu", i ? "," : ", unreadable", (llu) f->holes.r[i].first, (llu) f->holes.r[i].last);
}
