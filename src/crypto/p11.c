/* p11.c - a PKCS#11 module loaded, its token found, a session there */
#include "crypto/p11_int.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/secret.h"

#define SLOTS_MAX 64

/* ---- errors ---- */

static enum reeve_err code_of(ck_rv_t rv)
{
    switch (rv) {
    case CKR_PIN_INCORRECT: case CKR_PIN_INVALID: case CKR_PIN_LEN_RANGE: case CKR_PIN_LOCKED: case CKR_PIN_EXPIRED:
    case CKR_USER_PIN_NOT_INITIALIZED:
        return REEVE_E_PASSWORD;
    case CKR_MECHANISM_INVALID: case CKR_FUNCTION_NOT_SUPPORTED: case CKR_TEMPLATE_INCONSISTENT:
        return REEVE_E_UNSUPPORTED;
    case CKR_HOST_MEMORY: return REEVE_E_NOMEM;
    default: return REEVE_E_UNAVAILABLE;
    }
}

static const char *said(ck_rv_t rv)
{
    switch (rv) {
    case CKR_PIN_LOCKED: return "the PIN is locked after too many wrong ones";
    case CKR_PIN_EXPIRED: return "the PIN has expired";
    case CKR_USER_PIN_NOT_INITIALIZED: return "the token has no PIN yet";
    case CKR_PIN_INCORRECT: case CKR_PIN_INVALID: case CKR_PIN_LEN_RANGE: return "the PIN is wrong";
    case CKR_MECHANISM_INVALID: return "it does not do Ed25519";
    case CKR_TOKEN_NOT_PRESENT: case CKR_DEVICE_REMOVED: return "the token is not there any more";
    case CKR_TOKEN_NOT_RECOGNIZED: return "it does not know the token";
    case CKR_TOKEN_WRITE_PROTECTED: return "the token is write-protected";
    case CKR_DEVICE_ERROR: return "the device failed";
    default: return NULL;
    }
}

enum reeve_err p11_error(ck_rv_t rv, const char *what, struct report *rep)
{
    const char *why = said(rv);
    if (why != NULL)
        return report_set(rep, code_of(rv), "the PKCS#11 module could not %s: %s", what, why);
    return report_set(rep, code_of(rv), "the PKCS#11 module could not %s: error 0x%lx", what, (unsigned long) rv);
}

/* ---- the token ---- */

/* Fields of fixed size, filled up with blanks. */
static bool field_is(const unsigned char *field, size_t size, const char *want)
{
    size_t len = strlen(want);
    if (len == 0)
        return true;
    if (len > size || memcmp(field, want, len) != 0)
        return false;
    for (size_t i = len; i < size; i++)
        if (field[i] != ' ' && field[i] != '\0')
            return false;
    return true;
}

static bool slot_is(struct p11 *p, ck_slot_id_t slot)
{
    struct ck_token_info t;
    return p->f->C_GetTokenInfo(slot, &t) == CKR_OK && (t.flags & CKF_TOKEN_INITIALIZED) != 0 &&
           field_is(t.label, sizeof t.label, p->uri.token) && field_is(t.serial_number, sizeof t.serial_number, p->uri.serial);
}

static enum reeve_err slot_find(struct p11 *p, ck_slot_id_t *out, struct report *rep)
{
    ck_slot_id_t slot[SLOTS_MAX];
    unsigned long n = SLOTS_MAX;
    unsigned found = 0;
    ck_rv_t rv = p->f->C_GetSlotList(1, slot, &n);
    if (rv != CKR_OK)
        return p11_error(rv, "name its slots", rep);
    for (unsigned long i = 0; i < n && i < SLOTS_MAX; i++)
        if (slot_is(p, slot[i]) && found++ == 0)
            *out = slot[i];
    if (found == 0)
        return report_set(rep, REEVE_E_NOT_FOUND, "module %s has no token \"%s\"", p->uri.module,
                          *p->uri.token ? p->uri.token : p->uri.serial);
    return found == 1 ? REEVE_OK : report_set(rep, REEVE_E_NOT_FOUND, "module %s has several such tokens: token= or serial= is needed",
                                              p->uri.module);
}

/* ---- the session ---- */

enum reeve_err p11_session_open(struct p11 *p, struct report *rep)
{
    ck_slot_id_t slot = 0;
    enum reeve_err err = slot_find(p, &slot, rep);
    if (err != REEVE_OK)
        return err;
    ck_rv_t rv = p->f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &p->session);
    if (rv == CKR_TOKEN_WRITE_PROTECTED)
        rv = p->f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &p->session);
    if (rv != CKR_OK)
        return p11_error(rv, "open a session", rep);
    p->in_session = true;
    rv = p->f->C_Login(p->session, CKU_USER, (unsigned char *) p->pin, p->pin_len);
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
        return REEVE_OK;
    p11_session_close(p);
    return p11_error(rv, "log in", rep);
}

void p11_session_close(struct p11 *p)
{
    if (p->in_session)
        (void) p->f->C_CloseSession(p->session);
    p->in_session = false;
}

/* ---- the module ---- */

static enum reeve_err load(struct p11 *p, struct report *rep)
{
    ck_rv_t (*list)(struct ck_function_list **);
    struct ck_c_initialize_args args = { .flags = CKF_OS_LOCKING_OK };
    p->module = dlopen(p->uri.module, RTLD_NOW | RTLD_LOCAL);
    if (p->module == NULL)
        return report_set(rep, REEVE_E_NOT_FOUND, "could not load the PKCS#11 module: %s", dlerror());
    *(void **) &list = dlsym(p->module, "C_GetFunctionList");
    if (list == NULL || list(&p->f) != CKR_OK || p->f == NULL)
        return report_set(rep, REEVE_E_NOT_FOUND, "%s is no PKCS#11 module", p->uri.module);
    ck_rv_t rv = p->f->C_Initialize(&args);
    p->initialized = rv == CKR_OK;
    return p->initialized || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED ? REEVE_OK : p11_error(rv, "begin", rep);
}

enum reeve_err p11_open(struct p11 **out, const struct p11_uri *u, struct slice pin, struct report *rep)
{
    enum reeve_err err = REEVE_E_NOMEM;
    struct p11 *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL || pin.len == 0 || pin.len > P11_PIN_MAX || (p->pin = secret_alloc(P11_PIN_MAX)) == NULL)
        goto out;
    p->uri = *u;
    p->pin_len = pin.len;
    memcpy(p->pin, pin.p, pin.len);
    TRY(load(p, rep));
    TRY(p11_session_open(p, rep));
    *out = p;
    return REEVE_OK;
out:
    p11_close(p);
    return err;
}

bool p11_is_of(const struct p11 *p, const struct p11_uri *u)
{
    return strcmp(p->uri.module, u->module) == 0 && strcmp(p->uri.token, u->token) == 0 && strcmp(p->uri.serial, u->serial) == 0;
}

/* The module stays mapped: some cannot be unloaded while their threads end. */
void p11_close(struct p11 *p)
{
    if (p == NULL)
        return;
    p11_session_close(p);
    if (p->initialized)
        (void) p->f->C_Finalize(NULL);
    secret_free(p->pin);
    free(p);
}
