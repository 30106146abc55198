/* walfile_int.h - shared by the walfile_*.c files */
#ifndef REEVE_BACKEND_WALFILE_INT_H
#define REEVE_BACKEND_WALFILE_INT_H

#include <pthread.h>

#include "backend/storage/walfile.h"

#define WALFILE_PATH_MAX 1100
#define WALFILE_SPARE_NAMES 64

struct walfile_lane {
    struct walfile *f;
    enum wal_lane lane;
    pthread_t thread;
    bool running, resting;
    bool watching;                  /* the side lane: looks again by itself */
    pthread_cond_t work;
    int64_t since_ms;               /* of the effect being carried out; 0: none */
};

struct walfile {
    char folder[WALFILE_PATH_MAX];
    struct wal_config c;
    struct walfile_sys sys;
    pthread_mutex_t lock;
    pthread_cond_t done;            /* something was completed */
    struct wal *w;
    void *mem;
    struct walfile_lane lane[WAL_LANES];
    bool stopping, drain;
    bool direct;                    /* O_DIRECT works here */
    bool disk_full;
    uint64_t durable;               /* atomic copy of wal_durable() */
    int event_fd, folder_fd;

    /* the log lane's own: the segment it writes */
    int seg_fd;
    uint32_t seg_epoch;
    /* the side lane's own */
    int ident_fd, meta_fd[2];
    /* the files lane's own */
    unsigned spare[WALFILE_SPARE_NAMES], n_spares;

    struct loop_io io;
    void (*fn)(void *arg, uint64_t ticket);
    void *arg;
    struct loop *loop;
};

/* walfile_read.c */
struct walfile_reader { char folder[WALFILE_PATH_MAX]; int fd; struct wal_file file; bool open; };
void walfile_reader_init(struct walfile_reader *r, const char *folder, struct wal_reader *out);
void walfile_reader_done(struct walfile_reader *r);
/* All files and the folder, and the names of half-made ones away. */
enum reeve_err walfile_sync_all(struct walfile *f, struct report *rep) REEVE_MUST_CHECK;
bool walfile_name(char *out, size_t cap, const char *folder, struct wal_file file);
/* EPOCH.seg; 0: no such name. */
uint32_t walfile_epoch_of(const char *name);
/* spare.N; false: no such name. */
bool walfile_spare_of(const char *name, unsigned *n);

/* walfile_lane.c: these end the process where they fail */
void *walfile_lane_main(void *lane);
_Noreturn void walfile_die(const struct walfile *f, const char *what, const char *name, int err);
int walfile_open_for_writing(struct walfile *f, const char *path, bool create);
void walfile_write(struct walfile *f, int fd, const char *name, const void *p, size_t len, uint64_t at);
void walfile_sync_folder(struct walfile *f);

/* Under the lock: lanes that rest and have something to do. */
void walfile_nudge(struct walfile *f);

/* walfile_seg.c: the files lane */
/* False: no room, and the log is being closed. */
bool walfile_seg_open(struct walfile *f, uint32_t epoch);
void walfile_seg_drop(struct walfile *f, uint32_t epoch);
bool walfile_seg_wanted(const struct walfile *f);
/* Fills one spare; false: the disk is full. */
bool walfile_seg_fill(struct walfile *f);

#endif
