/*
 * badtoken.c - a PKCS#11 module in front of another one, whose device is faulty
 *
 *   BADTOKEN_MODULE=FILE       the module that does the work
 *   BADTOKEN=wrong             every signature has one bit changed, and is not reported
 *   BADTOKEN=once              the first signature is answered with CKR_DEVICE_ERROR, and the session is gone
 */
#define CRYPTOKI_GNU 1
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdlib.h>
#include <string.h>

static struct ck_function_list mine, *real;
static int failed;

static int mode_is(const char *mode)
{
    const char *is = getenv("BADTOKEN");
    return is != NULL && strcmp(is, mode) == 0;
}

static ck_rv_t sign(ck_session_handle_t session, unsigned char *data, unsigned long data_len, unsigned char *sig, unsigned long *len)
{
    if (mode_is("once") && !failed++) {
        (void) real->C_CloseSession(session);
        return CKR_DEVICE_ERROR;
    }
    ck_rv_t rv = real->C_Sign(session, data, data_len, sig, len);
    if (mode_is("wrong") && rv == CKR_OK && sig != NULL && *len > 40)
        sig[40] ^= 1;
    return rv;
}

ck_rv_t C_GetFunctionList(struct ck_function_list **list)
{
    void *module = dlopen(getenv("BADTOKEN_MODULE"), RTLD_NOW | RTLD_LOCAL);
    ck_rv_t (*theirs)(struct ck_function_list **);
    if (module == NULL)
        return CKR_GENERAL_ERROR;
    *(void **) &theirs = dlsym(module, "C_GetFunctionList");
    if (theirs == NULL || theirs(&real) != CKR_OK)
        return CKR_GENERAL_ERROR;
    mine = *real;
    mine.C_Sign = sign;
    *list = &mine;
    return CKR_OK;
}
