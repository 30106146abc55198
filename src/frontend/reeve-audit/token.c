/* token.c - a person's key in a PKCS#11 token: the PIN asked for, the key found or made */
#include "audit.h"

#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "crypto/hash.h"

static bool refuse(const struct report *rep)
{
    fprintf(stderr, "reeve-audit: %s\n", rep->message);
    return false;
}

/* ---- PIN ---- */

/* Read without echo; 0: no terminal, or nothing typed. */
static size_t pin_typed(int tty, const char *token, char pin[P11_PIN_MAX])
{
    struct termios was, silent;
    if (tcgetattr(tty, &was) != 0)
        return 0;
    silent = was;
    silent.c_lflag &= ~(tcflag_t) (ECHO | ECHONL);
    dprintf(tty, "PIN of token \"%s\": ", token);
    if (tcsetattr(tty, TCSAFLUSH, &silent) != 0)
        return 0;
    ssize_t n = read(tty, pin, P11_PIN_MAX);
    tcsetattr(tty, TCSAFLUSH, &was);
    dprintf(tty, "\n");
    while (n > 0 && (pin[n - 1] == '\n' || pin[n - 1] == '\r'))
        n--;
    return n > 0 ? (size_t) n : 0;
}

static bool pin_get(const struct p11_uri *u, char pin[P11_PIN_MAX], size_t *len)
{
    struct report rep = { .code = REEVE_OK };
    if (*u->pin_source != '\0')
        return p11_pin_read(u->pin_source, pin, len, &rep) == REEVE_OK || refuse(&rep);
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    *len = tty < 0 ? 0 : pin_typed(tty, u->token, pin);
    if (tty >= 0)
        close(tty);
    if (*len == 0)
        fprintf(stderr, "reeve-audit: no PIN: there is no terminal to ask at, and no pin-source=FILE in the URI\n");
    return *len > 0;
}

/* ---- the key ---- */

static enum reeve_err key_get(struct token *t, const struct p11_uri *u, bool make, struct report *rep)
{
    char pin[P11_PIN_MAX];
    size_t len = 0;
    enum reeve_err err = pin_get(u, pin, &len) ? REEVE_OK : report_set(rep, REEVE_E_PASSWORD, "the key could not be reached");
    if (err == REEVE_OK)
        err = p11_open(&t->p11, u, slice_of(pin, len), rep);
    secret_wipe(pin, sizeof pin);
    if (err == REEVE_OK)
        err = make ? p11_key_make(t->p11, u, &t->key, &t->pub, rep) : p11_key_find(t->p11, u, &t->key, &t->pub, rep);
    return err;
}

bool token_key(struct token *t, const char *uri, const char *name, bool make)
{
    struct p11_uri u;
    struct report rep = { .code = REEVE_OK };
    memset(t, 0, sizeof *t);
    if (p11_uri_parse(&u, slice_str(uri), &rep) != REEVE_OK)
        return refuse(&rep);
    if (name != NULL && *u.object == '\0')
        snprintf(u.object, sizeof u.object, "%s", name);
    snprintf(t->label, sizeof t->label, "%s", u.object);
    if (key_get(t, &u, make, &rep) == REEVE_OK)
        return true;
    token_close(t);
    return refuse(&rep);
}

bool token_sign(const struct token *t, struct slice text, struct sig64 *sig)
{
    struct report rep = { .code = REEVE_OK };
    return p11_sign(t->p11, t->key, text, sig, &rep) == REEVE_OK || refuse(&rep);
}

void token_close(struct token *t)
{
    p11_close(t->p11);
    t->p11 = NULL;
}
