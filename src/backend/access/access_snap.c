/* access_snap.c - the decision over a snapshot of its own; see access.h */
#include "backend/access/access.h"
#include "backend/catalog/snap.h"

enum reeve_err access_check(struct session *s, uint32_t priv, enum grant_kind kind, const struct name *object,
                            struct report *rep)
{
    struct snap snap;
    if (session_is_superuser(s))
        return REEVE_OK;
    enum reeve_err err = snap_open(s, &snap, rep);
    if (err != REEVE_OK)
        return err;
    err = access_check_region(&snap.region, s, priv, kind, object, rep);
    snap_close(&snap);
    return err;
}
