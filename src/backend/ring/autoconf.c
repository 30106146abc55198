/*
 * autoconf.c - ALTER SYSTEM reaches reeve.auto.conf
 *
 * The rows of table 'a' are the truth; the file is made from all of them
 * after each commit that changed one, and at start. The postmaster writes it
 * (this process reaches nothing of DIR but its store) before the statement is
 * answered or soon after; it takes effect at the next reload.
 */
#include "backend/ring/driver_int.h"

#include "backend/utils/log.h"
#include "crypto/hash.h"

#define AUTO_FILE_MAX (256u << 10)

/* 'text', with quotes doubled, as reeve.conf takes it. */
static void put_quoted(struct wr *w, struct slice text)
{
    wr_u8(w, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '\'')
            wr_u8(w, '\'');
        wr_u8(w, text.p[i]);
    }
    wr_u8(w, '\'');
}

static enum reeve_err render(struct ring_view *v, struct wr *w)
{
    struct kv_iter it;
    struct slice key, val;
    enum reeve_err err;
    wr_text(w, "# Made by ALTER SYSTEM; changes by hand are lost.\n");
    region_iter_init(&v->region, &it, 'a', slice_of(NULL, 0));
    while ((err = region_iter_next(&it, &key, &val)) == REEVE_OK) {
        wr_bytes(w, key.p, key.len);
        wr_text(w, " = ");
        put_quoted(w, val);
        wr_u8(w, '\n');
    }
    if (err != REEVE_E_NOT_FOUND)
        return err;
    return w->bad ? REEVE_E_TOO_BIG : REEVE_OK;
}

void autoconf_run(struct ring *r, struct ring_view *v)
{
    struct wr w = wr_heap(AUTO_FILE_MAX);
    struct hash32 sum;
    enum reeve_err err = render(v, &w);
    if (err == REEVE_OK) {
        sha256(&sum, wr_slice(&w));
        if (!hash32_eq(&sum, &r->auto_sum)) {
            err = ipc_send(r->child->postmaster, MSG_AUTO_SETTINGS, wr_slice(&w), -1);
            if (err == REEVE_OK)
                r->auto_sum = sum;
        }
    }
    if (err != REEVE_OK)
        log_limited(LOG_SEV_WARNING, "reeve.auto.conf could not be renewed: %s", reeve_err_text(err));
    wr_free(&w);
}
