/*
 * disk.h - one node's disk: what a process reads back, what power loss leaves
 *
 * A folder of named files. Each file has two contents: cached is what reading
 * gives, durable is what survives power loss. An operation takes time; its
 * completion comes as a call of done() in the life that asked. Nothing of a
 * write is promised before its completion, and then only when it was
 * synchronous (O_DSYNC) or a later sync completed.
 *
 * Loss of power: every sector (512 bytes) of every write not made durable
 * survives or not by chance; of the folder's changes a prefix survives, as a
 * journaling file system keeps their order. kill -9: what had completed stays
 * readable, what was under way arrives by sectors or not; none of it became
 * durable by that, so power lost later still takes it.
 *
 * A failed write may have reached some sectors. A failed sync drops what it
 * should have made durable (ATC'20): cached shows it, no later sync saves it.
 *
 * Invariants
 *  D1 With no fault, what was completed with O_DSYNC or synced is durable exactly.
 *  D2 Nothing outside a write's sectors changes by it, unless it was misdirected.
 *  D3 cached == durable for a file without completed but unsynced writes and without failed syncs.
 */
#ifndef REEVE_SIM_DISK_H
#define REEVE_SIM_DISK_H

#include "sim/world.h"

#define SIM_SECTOR     512
#define SIM_FILES_MAX  64
#define SIM_NAME_MAX   47

struct sim_disk_profile {
    int64_t write_min_us, write_mean_us;        /* min + exponential */
    int64_t sync_min_us, sync_mean_us;
    int64_t us_per_kib;
    uint32_t stall_ppm;                         /* an operation that takes up to stall_max_us */
    int64_t stall_max_us;
    uint32_t eio_write_ppm, eio_sync_ppm;
    uint32_t lost_ppm, misdirected_ppm;         /* only where damage was allowed, see sim_disk_damage */
    uint64_t capacity;                          /* bytes; 0: endless */
};

/* err: OK, IO or DISK_FULL. cookie is the asker's. */
typedef void sim_disk_done(void *host, int node, uint64_t cookie, enum reeve_err err);

struct sim_file;
struct sim_disk {
    struct sim_world *w;
    int node;
    struct sim_disk_profile p;
    sim_disk_done *done;
    void *host;
    bool damage;                        /* lost and misdirected writes may happen here */
    bool hung;                          /* nothing completes until it is lifted */
    int64_t slow_us;                    /* added to every operation */
    struct sim_file *file[SIM_FILES_MAX];
    struct sim_dirop *dirop;            /* changes of the folder not yet durable, in order */
    size_t n_dirop, cap_dirop;
    uint64_t dirops_durable;            /* how many ever were */
    uint64_t n_writes, n_syncs, n_faults;
};

void sim_disk_init(struct sim_disk *d, struct sim_world *w, int node, const struct sim_disk_profile *p,
                   sim_disk_done *done, void *host);
void sim_disk_free(struct sim_disk *d);

/* Creates the file where there is none. dsync: the completion promises durability. Bytes are copied. */
void sim_disk_write(struct sim_disk *d, const char *name, uint64_t off, struct slice bytes, bool dsync, uint64_t cookie);
/* Promises what had completed on that file before this call. An empty name syncs the folder. */
void sim_disk_sync(struct sim_disk *d, const char *name, uint64_t cookie);

/* At once, durable with the folder's next sync. Rename replaces. Absent: nothing happens. */
void sim_disk_remove(struct sim_disk *d, const char *name);
void sim_disk_rename(struct sim_disk *d, const char *from, const char *to);
/* Makes it that long at once, zeros behind; for files zeroed ahead. Durable together with the file's next sync. */
void sim_disk_extend(struct sim_disk *d, const char *name, uint64_t size);

/* What reading gives; borrowed until the next operation. False: no such file. */
bool sim_disk_read(const struct sim_disk *d, const char *name, struct slice *out);
/* The i-th existing file's name, NULL behind the last. */
const char *sim_disk_name(const struct sim_disk *d, size_t i);
uint64_t sim_disk_used(const struct sim_disk *d);

/* The node's life ended: by kill -9, or with the power. Call right after sim_node_crash. */
void sim_disk_crash(struct sim_disk *d, bool power);
/* What a start does before it reads: everything readable becomes durable, at once. Nothing may be under way. */
void sim_disk_settle(struct sim_disk *d);
/* A new disk. */
void sim_disk_wipe(struct sim_disk *d);
/* Decay at rest: one bit, in both contents. False: there is no such byte. */
bool sim_disk_flip(struct sim_disk *d, const char *name, uint64_t off, unsigned bit);
/* Bytes that came without having been asked for, in both contents; within the file's length. */
bool sim_disk_overwrite(struct sim_disk *d, const char *name, uint64_t off, struct slice bytes);
void sim_disk_hang(struct sim_disk *d, bool hung);
/* No errors, no stalls, no limits; what was damaged stays damaged. */
void sim_disk_heal(struct sim_disk *d);

#endif
