/*
 * expiry.c - certificates and authorities that come near their end
 *
 * Renewal has its time first: an issue appears when half of it is gone, grows
 * critical when the end has come, and goes when what is active is good again.
 */
#include "backend/ring/driver_int.h"

#include <stdio.h>

#include "backend/utils/clock.h"

/* An authority is renewed by hand: a tenth of its life before the end is the time to say so. */
#define AUTHORITY_SHARE 10

static uint8_t severity_of(int64_t now, int64_t warn_at, int64_t end)
{
    return now >= end ? 3 : now >= warn_at ? 2 : 0;
}

static void say(struct ring *r, struct ring_view *v, const char *kind, const struct name *object, const char *what,
                uint8_t severity, int64_t end, const char *hint)
{
    char message[256], when[CLOCK_TEXT_LEN + 1];
    clock_text(when, (struct wall_ms){ end });
    snprintf(message, sizeof message, "%s \"%.100s\" %s %s", what, object->s, severity == 3 ? "expired at" : "expires at", when);
    issue_set(r, v, kind, object, severity, message, hint);
}

static void check_cert(struct ring *r, struct ring_view *v, const struct attest_object *o)
{
    static struct cert_doc d;
    const struct cert_gen *g;
    uint8_t severity = 0;
    int64_t end = 0;
    if (o->update.op == 1 && cert_doc_decode(&d, o->update.payload) == REEVE_OK &&
        (g = cert_gen_find(&d, d.active_gen)) != NULL) {
        end = g->not_after.ms;
        severity = severity_of(clock_wall().ms, d.renew_before_s > 0 ? end - (end - cert_renew_at(&d, g).ms) / 2 : end, end);
    }
    say(r, v, "certificate_expiry", &o->update.object, "certificate", severity, end, "ROTATE CERT brings a new generation.");
}

static void check_authority(struct ring *r, struct ring_view *v, const struct attest_object *o)
{
    static struct authority_doc d;
    uint8_t severity = 0;
    int64_t end = 0;
    if (o->update.op == 1 && authority_doc_decode(&d, o->update.payload) == REEVE_OK)
        for (size_t i = 0; i < d.n; i++)
            if (d.g[i].state == AUTH_ACTIVE) {
                end = d.g[i].not_after.ms;
                severity = severity_of(clock_wall().ms, end - (end - d.g[i].not_before.ms) / AUTHORITY_SHARE, end);
            }
    say(r, v, "authority_expiry", &o->update.object, "authority", severity, end, "ALTER AUTHORITY PREPARE, later ACTIVATE, brings a new key.");
}

/* issue_set reads the store again and may move the object's slices: names are kept by value. */
void expiry_run(struct ring *r, struct ring_view *v)
{
    struct name after = { 0 };
    struct attest_object o;
    while (attest_next(&v->attest, AT_CERT, &after, &o) == REEVE_OK)
        check_cert(r, v, &o);
    after.len = 0;
    while (attest_next(&v->attest, AT_AUTHORITY, &after, &o) == REEVE_OK)
        check_authority(r, v, &o);
}
