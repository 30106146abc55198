/*
 * laststate.c - the last-sign state in a file of two slots
 *
 * Slot (LASTSTATE_SLOT bytes): u32 magic | u64 seq | 32 chain id |
 *   2 x { u64 epoch | u64 view | u8 have | LS_KINDS x { vote (signer_vote_encode) | 64 signature } } |
 *   zeros | 32 SHA-256 of all before.
 * Writes alternate between the slots, so that a torn write leaves the other
 * one whole; the whole slot with the higher seq counts. A torn write is safe:
 * its signature has not left. The file is written in full at init, hence no
 * write can meet a full disk. A missing file is never taken for a fresh one.
 */
#include "backend/signer/signer_int.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "crypto/hash.h"

#define LASTSTATE_FILE "lastsign"
#define LASTSTATE_MAGIC 0x524c5331u

static void view_write(struct wr *w, const struct lastsign_view *v)
{
    wr_u64(w, v->epoch);
    wr_u64(w, v->view);
    wr_u8(w, v->have);
    for (int k = 0; k < LS_KINDS; k++) {
        signer_vote_encode(&v->signed_vote[k].vote, w);
        wr_bytes(w, v->signed_vote[k].sig.b, sizeof v->signed_vote[k].sig.b);
    }
}

static void view_read(struct rd *r, struct lastsign_view *v, const struct hash32 *chain_id)
{
    v->epoch = rd_u64(r);
    v->view = rd_u64(r);
    v->have = rd_u8(r);
    for (int k = 0; k < LS_KINDS; k++) {
        signer_vote_decode(&v->signed_vote[k].vote, r);
        v->signed_vote[k].vote.chain_id = *chain_id;
        rd_copy(r, v->signed_vote[k].sig.b, sizeof v->signed_vote[k].sig.b);
    }
}

static void slot_encode(uint8_t slot[LASTSTATE_SLOT], uint64_t seq, const struct hash32 *chain_id,
                        const struct lastsign *s)
{
    memset(slot, 0, LASTSTATE_SLOT);
    struct wr w = wr_fixed(slot, LASTSTATE_SLOT - 32);
    wr_u32(&w, LASTSTATE_MAGIC);
    wr_u64(&w, seq);
    wr_bytes(&w, chain_id->b, 32);
    view_write(&w, &s->cur);
    view_write(&w, &s->prev);
    reeve_assert(!w.bad);
    struct hash32 sum;
    sha256(&sum, slice_of(slot, LASTSTATE_SLOT - 32));
    memcpy(slot + LASTSTATE_SLOT - 32, sum.b, 32);
}

static bool slot_decode(const uint8_t slot[LASTSTATE_SLOT], uint64_t *seq, struct hash32 *chain_id, struct lastsign *s)
{
    struct hash32 sum;
    sha256(&sum, slice_of(slot, LASTSTATE_SLOT - 32));
    if (memcmp(sum.b, slot + LASTSTATE_SLOT - 32, 32) != 0)
        return false;
    struct rd r = rd_of(slice_of(slot, LASTSTATE_SLOT - 32));
    if (rd_u32(&r) != LASTSTATE_MAGIC)
        return false;
    *seq = rd_u64(&r);
    rd_copy(&r, chain_id->b, 32);
    view_read(&r, &s->cur, chain_id);
    view_read(&r, &s->prev, chain_id);
    return !r.bad;
}

enum reeve_err laststate_create(int dirfd, const struct hash32 *chain_id)
{
    static const struct lastsign none;
    uint8_t both[2 * LASTSTATE_SLOT];
    slot_encode(both, 0, chain_id, &none);
    slot_encode(both + LASTSTATE_SLOT, 1, chain_id, &none);
    return keydir_write(dirfd, LASTSTATE_FILE, slice_of(both, sizeof both), true);
}

enum reeve_err laststate_open(struct laststate *l, int dirfd, const struct hash32 *chain_id, struct report *rep)
{
    uint8_t slot[LASTSTATE_SLOT];
    bool found = false;
    l->fd = openat(dirfd, LASTSTATE_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (l->fd < 0)
        return report_set(rep, REEVE_E_CORRUPT, "the last-sign state is missing: this validator key must not vote again");
    for (int i = 0; i < 2; i++) {
        struct lastsign s;
        struct hash32 chain;
        uint64_t seq;
        if (pread(l->fd, slot, sizeof slot, i * (off_t) LASTSTATE_SLOT) != (ssize_t) sizeof slot ||
            !slot_decode(slot, &seq, &chain, &s) || !hash32_eq(&chain, chain_id) || (found && seq < l->seq))
            continue;
        found = true;
        l->seq = seq;
        l->state = s;
    }
    if (found)
        return REEVE_OK;
    laststate_close(l);
    return report_set(rep, REEVE_E_CORRUPT, "the last-sign state is damaged or of another chain");
}

enum reeve_err laststate_save(struct laststate *l, const struct hash32 *chain_id, const struct lastsign *next)
{
    uint8_t slot[LASTSTATE_SLOT];
    uint64_t seq = l->seq + 1;
    slot_encode(slot, seq, chain_id, next);
    if (pwrite(l->fd, slot, sizeof slot, (off_t) (seq & 1) * LASTSTATE_SLOT) != (ssize_t) sizeof slot ||
        fdatasync(l->fd) != 0)
        return REEVE_E_IO;
    l->seq = seq;
    l->state = *next;
    return REEVE_OK;
}

void laststate_close(struct laststate *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
