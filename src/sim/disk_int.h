/* disk_int.h - the insides of a simulated disk, shared by disk.c and disk_fault.c. */
#ifndef REEVE_SIM_DISK_INT_H
#define REEVE_SIM_DISK_INT_H

#include "sim/disk.h"

/* One write between its start and its durability. */
struct pending {
    struct pending *next;
    uint64_t id, off;
    bool completed;             /* readable; else under way */
    size_t len;
    uint8_t bytes[];
};

struct sim_file {
    char name[SIM_NAME_MAX + 1];
    char durable_name[SIM_NAME_MAX + 1];        /* empty: not in the durable folder */
    bool dead;                                  /* removed; kept until the folder is synced */
    uint8_t *cached, *durable;
    uint64_t cached_len, durable_len, cap;
    struct pending *first, **last;
    unsigned ops;                               /* operations under way that name it */
};

enum dirop_type { DIROP_LINK, DIROP_UNLINK };
struct sim_dirop {
    enum dirop_type type;
    struct sim_file *file;
    char name[SIM_NAME_MAX + 1];
};

struct sim_file *sim__file_find(const struct sim_disk *d, const char *name);
/* Writes into one content, longer where needed. */
void sim__file_put(struct sim_file *f, bool durable, uint64_t off, const uint8_t *bytes, size_t len);
/* Takes a write out of its file's list; the caller's to free. */
struct pending *sim__pending_take(struct sim_file *f, struct pending **link);
/* Those sectors of a write that chance lets through, in each of the contents asked for. */
void sim__file_put_torn(struct sim_disk *d, struct sim_file *f, bool cached, bool durable, const struct pending *p);
/* The first n changes of the folder become durable. */
void sim__dirops_apply(struct sim_disk *d, size_t n);
void sim__file_free(struct sim_file *f);

#endif
