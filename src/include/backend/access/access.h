/*
 * access.h - may this session do that?
 *
 * Reading only: rows of roles, memberships and grants come from the region's
 * store (engine/region.h); who writes them is backend/commands. Rules, first
 * that fits:
 *   1 a superuser may do everything;
 *   2 a grant to the role, to a role it is in, to the object, to all of its
 *     kind, or on the system; ADMIN includes all others;
 * The predefined roles (sys_read_all, sys_operator, sys_auditor, sys_approver)
 * are roles with grants on the system from the start; they need no rule here.
 * A session's attributes are read again at the start of each transaction
 * (tcop), so a dropped role or a lost SUPERUSER counts from the next one.
 */
#ifndef REEVE_BACKEND_ACCESS_ACCESS_H
#define REEVE_BACKEND_ACCESS_ACCESS_H

#include "backend/tcop/session.h"
#include "engine/region.h"

/* "ROTATE" of PRIV_ROTATE; for one bit. "cert" of GK_CERT. */
const char *access_privilege_name(uint32_t priv);
bool access_privilege_parse(struct slice word, uint32_t *priv);
const char *access_kind_name(enum grant_kind kind);

/*
 * PRIVILEGE (42501) with a report that names what is missing. object NULL or
 * empty: the kind as a whole (GK_SYSTEM has no object). priv is one bit.
 * access_check() opens a snapshot of its own; where one is open already use
 * access_check_region() on it.
 */
enum reeve_err access_check(struct session *s, uint32_t priv, enum grant_kind kind, const struct name *object,
                            struct report *rep) REEVE_MUST_CHECK;
enum reeve_err access_check_region(struct region *r, const struct session *s, uint32_t priv, enum grant_kind kind,
                                   const struct name *object, struct report *rep) REEVE_MUST_CHECK;
/* All privileges a role has there, rule 2 (a superuser's row: all). */
enum reeve_err access_mask(struct region *r, const struct name *role, enum grant_kind kind, const struct name *object,
                           uint32_t *mask) REEVE_MUST_CHECK;
/* May the session create, alter and drop roles? Superusers and CREATEROLE; only superusers touch superusers. */
enum reeve_err access_check_createrole(const struct session *s, bool about_superuser, struct report *rep)
    REEVE_MUST_CHECK;

#endif
