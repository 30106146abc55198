/* activity.c - the shared table of sessions. */
#include "backend/utils/activity.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/utils/datadir.h"

#define MAGIC     0x52414354u           /* "RACT" */
#define SHM_FILE  "run/sessions.shm"
#define TRIES     64

struct head { uint32_t magic, slots, slot_size, reserved; };
struct slot {
    _Atomic uint32_t seq;               /* odd while its owner writes */
    struct activity a;
};
struct activity_map {
    unsigned slots;
    size_t len;
    struct head *head;
    struct slot *slot;
};

const char *activity_state_name(unsigned s)
{
    static const char *const names[] = { "", "starting", "idle", "active", "idle in transaction",
                                         "idle in transaction (aborted)" };
    return s < sizeof names / sizeof *names ? names[s] : "unknown";
}

static enum reeve_err map_file(struct activity_map **out, int fd, size_t len, unsigned slots)
{
    struct activity_map *m = calloc(1, sizeof *m);
    void *mem = m ? mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (mem == MAP_FAILED) {
        free(m);
        return REEVE_E_NOMEM;
    }
    *m = (struct activity_map){ slots, len, mem, (struct slot *) ((struct head *) mem + 1) };
    *out = m;
    return REEVE_OK;
}

enum reeve_err activity_create(struct activity_map **out, const char *dir, unsigned slots)
{
    char path[DATADIR_PATH_MAX];
    if (slots > ACTIVITY_SLOTS_MAX || !datadir_path(path, sizeof path, dir, SHM_FILE))
        return REEVE_E_TOO_BIG;
    size_t len = sizeof(struct head) + slots * sizeof(struct slot);
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return REEVE_E_IO;
    enum reeve_err err = posix_fallocate(fd, 0, (off_t) len) == 0 ? map_file(out, fd, len, slots) : REEVE_E_DISK_FULL;
    close(fd);
    if (err == REEVE_OK)
        *(*out)->head = (struct head){ MAGIC, slots, sizeof(struct slot), 0 };
    return err;
}

enum reeve_err activity_open(struct activity_map **out, const char *dir)
{
    char path[DATADIR_PATH_MAX];
    struct stat st;
    struct head h;
    if (!datadir_path(path, sizeof path, dir, SHM_FILE))
        return REEVE_E_TOO_BIG;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return REEVE_E_NOT_FOUND;
    bool ok = fstat(fd, &st) == 0 && read(fd, &h, sizeof h) == sizeof h && h.magic == MAGIC &&
              h.slot_size == sizeof(struct slot) && h.slots <= ACTIVITY_SLOTS_MAX &&
              (size_t) st.st_size >= sizeof h + h.slots * sizeof(struct slot);
    enum reeve_err err = ok ? map_file(out, fd, (size_t) st.st_size, h.slots) : REEVE_E_MALFORMED;
    close(fd);
    return err;
}

void activity_close(struct activity_map *m)
{
    if (m == NULL)
        return;
    munmap(m->head, m->len);
    free(m);
}

unsigned activity_slots(const struct activity_map *m) { return m->slots; }

void activity_put(struct activity_map *m, unsigned slot, const struct activity *a)
{
    if (slot >= m->slots)
        return;
    struct slot *s = &m->slot[slot];
    /* A backend killed in the middle leaves it odd; the next owner goes on from there. */
    uint32_t seq = s->seq | 1u;
    s->seq = seq;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    memcpy(&s->a, a, sizeof s->a);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    s->seq = seq + 1;
}

void activity_clear(struct activity_map *m, unsigned slot)
{
    static const struct activity none;
    activity_put(m, slot, &none);
}

static void terminate(struct activity *a)
{
    a->user[sizeof a->user - 1] = '\0';
    a->app_name[sizeof a->app_name - 1] = '\0';
    a->client_addr[sizeof a->client_addr - 1] = '\0';
    a->query[sizeof a->query - 1] = '\0';
}

bool activity_get(const struct activity_map *m, unsigned slot, struct activity *out)
{
    if (slot >= m->slots)
        return false;
    struct slot *s = &m->slot[slot];
    for (int i = 0; i < TRIES; i++) {
        uint32_t before = s->seq;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        memcpy(out, &s->a, sizeof *out);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if ((before & 1) == 0 && before == s->seq) {
            terminate(out);
            return out->pid > 0;
        }
    }
    return false;
}
