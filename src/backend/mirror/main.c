/* main.c - the mirror's process: the store opened, HTTP served */
#include "backend/mirror/mirror_int.h"

#include "backend/utils/log.h"
#include "crypto/hash.h"

static enum reeve_err open_all(struct mirror *m, struct report *rep)
{
    enum reeve_err err;
    TRY(crypto_init());
    TRY(storage_open(&m->storage, m->child->dir, STORAGE_READ, 0, 0, rep));
    TRY(http_open(m, rep));
    err = checkpoint_start(m);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the log cannot be served over HTTP (%s)", reeve_err_text(err));
}

static void close_all(struct mirror *m)
{
    http_close(m);
    checkpoint_stop(m);
    storage_close(m->storage);
}

int mirror_main(struct child *c)
{
    static struct mirror m;
    static const struct child_ops ops = { 0 };
    struct report rep = { .code = REEVE_OK };
    m.child = c;
    c->user = &m;
    if (child_start(c, &ops) != REEVE_OK)
        return 1;
    m.loop = c->loop;
    if (open_all(&m, &rep) != REEVE_OK) {
        log_report(LOG_SEV_FATAL, &rep);
        return 1;
    }
    child_ready(c);
    int code = child_run(c);
    close_all(&m);
    return code;
}
