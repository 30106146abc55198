/* liveness.c - the shared array of last times. */
#include "backend/utils/liveness.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/utils/datadir.h"

#define SHM_FILE "run/liveness.shm"
#define SHM_LEN  ((size_t) LIVENESS_NODES_MAX * sizeof(uint32_t))

#define PAGE_NODES (4096 / sizeof(uint32_t))
#define PAGES      (LIVENESS_NODES_MAX / PAGE_NODES)

/* The first store to a hole on a full disk would be SIGBUS, so a writer allocates each page before. */
struct liveness {
    _Atomic uint32_t *seen;
    int fd;                             /* -1 for readers */
    uint8_t backed[PAGES / 8];          /* pages known to lie on the disk */
};

static int open_file(const char *dir, int flags)
{
    char path[DATADIR_PATH_MAX];
    return datadir_path(path, sizeof path, dir, SHM_FILE) ? open(path, flags | O_CLOEXEC, 0600) : -1;
}

enum reeve_err liveness_create(const char *dir)
{
    int fd = open_file(dir, O_RDWR | O_CREAT);
    if (fd < 0)
        return REEVE_E_IO;
    enum reeve_err err = ftruncate(fd, (off_t) SHM_LEN) == 0 ? REEVE_OK : REEVE_E_DISK_FULL;
    close(fd);
    return err;
}

enum reeve_err liveness_open(struct liveness **out, const char *dir, bool write)
{
    struct stat st;
    int fd = open_file(dir, write ? O_RDWR : O_RDONLY);
    if (fd < 0)
        return REEVE_E_NOT_FOUND;
    struct liveness *l = calloc(1, sizeof *l);
    void *mem = MAP_FAILED;
    if (l != NULL && fstat(fd, &st) == 0 && (size_t) st.st_size >= SHM_LEN)
        mem = mmap(NULL, SHM_LEN, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (mem == MAP_FAILED) {
        close(fd);
        free(l);
        return REEVE_E_IO;
    }
    l->seen = mem;
    l->fd = write ? fd : -1;
    if (!write)
        close(fd);
    *out = l;
    return REEVE_OK;
}

void liveness_close(struct liveness *l)
{
    if (l == NULL)
        return;
    munmap((void *) l->seen, SHM_LEN);
    if (l->fd >= 0)
        close(l->fd);
    free(l);
}

static bool backed(struct liveness *l, uint32_t ordinal)
{
    uint32_t page = ordinal / PAGE_NODES;
    if (l->backed[page / 8] & 1u << page % 8)
        return true;
    if (fallocate(l->fd, 0, (off_t) page * 4096, 4096) != 0)
        return false;
    l->backed[page / 8] |= (uint8_t) (1u << page % 8);
    return true;
}

void liveness_touch(struct liveness *l, uint32_t ordinal, uint32_t wall_s)
{
    if (ordinal < LIVENESS_NODES_MAX && l->fd >= 0 && backed(l, ordinal) &&
        atomic_load_explicit(&l->seen[ordinal], memory_order_relaxed) < wall_s)
        atomic_store_explicit(&l->seen[ordinal], wall_s, memory_order_relaxed);
}

uint32_t liveness_get(const struct liveness *l, uint32_t ordinal)
{
    return ordinal < LIVENESS_NODES_MAX ? atomic_load_explicit(&l->seen[ordinal], memory_order_relaxed) : 0;
}
