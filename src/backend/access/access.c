/* access.c - the decision; see the header. */
#include "backend/access/access.h"

#include <strings.h>

static const struct { uint32_t priv; const char *name; } privileges[] = {
    { PRIV_SELECT, "SELECT" }, { PRIV_ROTATE, "ROTATE" }, { PRIV_CONFIGURE, "CONFIGURE" },
    { PRIV_ROLLBACK, "ROLLBACK" }, { PRIV_APPROVE, "APPROVE" }, { PRIV_OPERATE, "OPERATE" },
    { PRIV_ENROLL, "ENROLL" }, { PRIV_AUDIT, "AUDIT" }, { PRIV_ADMIN, "ADMIN" },
};

const char *access_privilege_name(uint32_t priv)
{
    for (size_t i = 0; i < sizeof privileges / sizeof *privileges; i++)
        if (privileges[i].priv == priv)
            return privileges[i].name;
    return "?";
}

bool access_privilege_parse(struct slice word, uint32_t *priv)
{
    for (size_t i = 0; i < sizeof privileges / sizeof *privileges; i++)
        if (word.len == strlen(privileges[i].name) &&
            strncasecmp((const char *) word.p, privileges[i].name, word.len) == 0) {
            *priv = privileges[i].priv;
            return true;
        }
    return false;
}

const char *access_kind_name(enum grant_kind kind)
{
    static const char *const names[] = {
        [GK_SYSTEM] = "system", [GK_CERT] = "cert", [GK_AUTHORITY] = "authority", [GK_CONFIG] = "config",
        [GK_NODE] = "node", [GK_ROLLOUT] = "rollout", [GK_STRATEGY] = "strategy", [GK_REGION] = "region",
        [GK_SERVICE] = "service", [GK_ROLE] = "role",
    };
    size_t i = kind & ~(unsigned) GK_ALL;
    return i < sizeof names / sizeof *names && names[i] ? names[i] : "object";
}

enum reeve_err access_mask(struct region *r, const struct name *role, enum grant_kind kind, const struct name *object,
                           uint32_t *mask)
{
    static const struct name none;
    *mask = 0;
    enum reeve_err err = region_privileges(r, role, kind, object ? object : &none, mask);
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    if (*mask & PRIV_ADMIN)
        *mask = PRIV_ALL;
    return REEVE_OK;
}

static enum reeve_err denied(uint32_t priv, enum grant_kind kind, const struct name *object, const struct session *s,
                             struct report *rep)
{
    const char *word = access_kind_name(kind), *p = access_privilege_name(priv);
    if (object == NULL || object->len == 0) {
        report_set(rep, REEVE_E_PRIVILEGE, "permission denied for %s", word);
        report_detail(rep, "Role \"%s\" lacks the privilege %s.", s->role.s, p);
        return REEVE_E_PRIVILEGE;
    }
    report_set(rep, REEVE_E_PRIVILEGE, "permission denied for %s \"%s\"", word, object->s);
    report_detail(rep, "Role \"%s\" lacks the privilege %s on it.", s->role.s, p);
    return REEVE_E_PRIVILEGE;
}

enum reeve_err access_check_region(struct region *r, const struct session *s, uint32_t priv, enum grant_kind kind,
                                   const struct name *object, struct report *rep)
{
    uint32_t mask;
    if (session_is_superuser(s))
        return REEVE_OK;
    enum reeve_err err = access_mask(r, &s->role, kind, object, &mask);
    if (err != REEVE_OK)
        return report_set(rep, err, "reading the privileges of role \"%s\" failed", s->role.s);
    return mask & priv ? REEVE_OK : denied(priv, kind, object, s, rep);
}

enum reeve_err access_check_createrole(const struct session *s, bool about_superuser, struct report *rep)
{
    if (session_is_superuser(s))
        return REEVE_OK;
    if (about_superuser)
        return report_set(rep, REEVE_E_PRIVILEGE, "must be superuser to change superusers");
    if (s->role_attributes & ROLE_CREATEROLE)
        return REEVE_OK;
    return report_set(rep, REEVE_E_PRIVILEGE, "permission denied to change roles");
}
