/* segs.c - the segments in use: the next one is asked for in time, old ones go when nobody needs them. */
#include "writer_int.h"

void wal_segs_use(struct wal *w, uint32_t epoch)
{
    reeve_assert(w->n_segments < WAL_SEGMENTS_MAX);
    reeve_assert(w->n_segments == 0 || w->segment[w->n_segments - 1].epoch < epoch);
    w->segment[w->n_segments++] = (struct wal_segment){ epoch, w->prev_sum, w->seq + 1, 0 };
    w->at = (struct wal_place){ epoch, 0 };
    w->opened = 0;
}

void wal_segs_reach(struct wal *w, uint64_t index)
{
    for (uint32_t i = w->n_segments; i-- > 0;)
        if (w->segment[i].epoch == w->at.epoch) {
            if (w->segment[i].max_index < index)
                w->segment[i].max_index = index;
            return;
        }
}

/* Its first batch is not durable yet: the one before has the newest. */
static bool first_under_way(const struct wal *w, uint32_t epoch)
{
    return w->flying && w->frame.at.block == 0 && w->frame.at.epoch == epoch;
}

/* The oldest segment that must stay (W4, W8), with what its first frame continues. */
uint32_t wal_segs_oldest(struct wal *w, uint64_t *start_seq, uint32_t *start_sum)
{
    uint32_t newest = w->n_segments, best = w->meta.oldest_epoch;
    while (newest > 0 && (w->segment[newest - 1].start_seq == 0 || first_under_way(w, w->segment[newest - 1].epoch)))
        newest--;
    *start_seq = w->meta.start_seq;
    *start_sum = w->meta.start_sum;
    for (uint32_t i = 0; i < newest; i++) {
        const struct wal_segment *s = &w->segment[i];
        if (s->epoch < w->meta.oldest_epoch)
            continue;
        if (s->start_seq != 0) {
            best = s->epoch;
            *start_seq = s->start_seq;
            *start_sum = s->start_sum;
        }
        if (s->max_index > w->ripe.index)
            break;
    }
    return best;
}

static bool wants_open(const struct wal *w)
{
    if (w->opened != 0 || w->n_segments >= WAL_SEGMENTS_MAX - 1 || !w->ready)
        return false;
    return wal_needs_segment(w) || (w->at.epoch != 0 && w->at.block >= w->blocks / 2);
}

static bool wants_drop(const struct wal *w)
{
    uint32_t below = WAL_BROKEN(5) ? w->meta.oldest_epoch : w->drop_below;
    return w->n_segments > 0 && w->segment[0].epoch < below;
}

bool wal_files_due(const struct wal *w)
{
    return !w->files_busy && (wants_open(w) || wants_drop(w));
}

bool wal_files_next(struct wal *w, struct wal_effect *out)
{
    if (!wal_files_due(w))
        return false;
    if (wants_open(w))
        w->files = (struct wal_effect){ WAL_DO_OPEN, WAL_LANE_FILES, { WAL_FILE_SEGMENT, w->epoch_max + 1 }, 0, { NULL, 0 } };
    else
        w->files = (struct wal_effect){ WAL_DO_DROP, WAL_LANE_FILES, { WAL_FILE_SEGMENT, w->segment[0].epoch }, 0, { NULL, 0 } };
    w->files_busy = true;
    *out = w->files;
    return true;
}

void wal_files_complete(struct wal *w)
{
    reeve_assert(w->files_busy);
    w->files_busy = false;
    if (w->files.type == WAL_DO_OPEN) {
        w->opened = w->epoch_max = w->files.file.epoch;
        return;
    }
    reeve_assert(w->segment[0].epoch == w->files.file.epoch && w->segment[0].epoch != w->at.epoch);
    w->n_segments--;
    memmove(&w->segment[0], &w->segment[1], w->n_segments * sizeof w->segment[0]);
}
