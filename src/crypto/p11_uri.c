/* p11_uri.c - which key of which token, as text; and the PIN's file */
#include "crypto/p11.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"
#include "crypto/hash.h"

/* ---- URI ---- */

/* %XX undone; -1: malformed, or longer than cap. */
static long decode(struct slice in, uint8_t *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++, n++) {
        uint8_t c = in.p[i];
        if (c == '%' && (i + 2 >= in.len || !hex_decode(&c, 1, slice_of(in.p + i + 1, 2))))
            return -1;
        if (in.p[i] == '%')
            i += 2;
        if (n == cap)
            return -1;
        out[n] = c;
    }
    return (long) n;
}

static bool text(struct slice in, char *out, size_t size)
{
    long n = decode(in, (uint8_t *) out, size - 1);
    if (n <= 0 || memchr(out, '\0', (size_t) n) != NULL || *out == '\0')
        return false;
    out[n] = '\0';
    return true;
}

static bool source(struct slice in, char *out, size_t size)
{
    if (!text(in, out, size))
        return false;
    const char *path = strncmp(out, "file://", 7) == 0 ? out + 7 : strncmp(out, "file:", 5) == 0 ? out + 5 : out;
    memmove(out, path, strlen(path) + 1);
    return *out != '\0' && *out != '|';     /* RFC 7512's commands are run by nobody */
}

static bool is(struct slice s, const char *word)
{
    return s.len == strlen(word) && memcmp(s.p, word, s.len) == 0;
}

static bool set(struct p11_uri *u, struct slice name, struct slice value)
{
    if (is(name, "token"))
        return *u->token == '\0' && text(value, u->token, sizeof u->token);
    if (is(name, "serial"))
        return *u->serial == '\0' && text(value, u->serial, sizeof u->serial);
    if (is(name, "object"))
        return *u->object == '\0' && text(value, u->object, sizeof u->object);
    if (is(name, "module-path"))
        return *u->module == '\0' && text(value, u->module, sizeof u->module);
    if (is(name, "pin-source"))
        return *u->pin_source == '\0' && source(value, u->pin_source, sizeof u->pin_source);
    if (is(name, "id")) {
        long n = u->id_len > 0 ? -1 : decode(value, u->id, sizeof u->id);
        u->id_len = n > 0 ? (size_t) n : 0;
        return n > 0;
    }
    return is(name, "type") && is(value, "private");
}

static enum reeve_err refuse(struct report *rep, struct slice name)
{
    if (is(name, "pin-value"))
        return report_set(rep, REEVE_E_INVALID_VALUE, "a PIN is no argument, which others can see: pin-source=FILE");
    return report_set(rep, REEVE_E_INVALID_VALUE, "\"%.*s\" of the pkcs11: URI is not known, comes twice or has no such value",
                      (int) (name.len < 64 ? name.len : 64), (const char *) name.p);
}

enum reeve_err p11_uri_parse(struct p11_uri *u, struct slice t, struct report *rep)
{
    memset(u, 0, sizeof *u);
    if (t.len < 7 || memcmp(t.p, "pkcs11:", 7) != 0 || t.len > 2048)
        return report_set(rep, REEVE_E_INVALID_VALUE, "a key of a token is named by pkcs11:token=...;object=...?module-path=...");
    for (size_t i = 7; i < t.len;) {
        size_t from = i, eq = 0;
        for (; i < t.len && strchr(";?&", t.p[i]) == NULL; i++)
            if (eq == 0 && t.p[i] == '=')
                eq = i;
        struct slice name = slice_of(t.p + from, (eq ? eq : i) - from);
        if (eq == 0 || !set(u, name, slice_of(t.p + eq + 1, i - eq - 1)))
            return refuse(rep, name);
        i++;
    }
    if (*u->module == '\0')
        return report_set(rep, REEVE_E_INVALID_VALUE, "the pkcs11: URI does not name its module: module-path=FILE");
    return REEVE_OK;
}

/* ---- PIN ---- */

static enum reeve_err pin_of(int fd, char *pin, size_t *len, struct report *rep, const char *path)
{
    struct stat st;
    ssize_t n = -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        return report_set(rep, REEVE_E_DENIED, "others may use the PIN's file %s (mode 0600 is wanted)", path);
    n = read(fd, pin, P11_PIN_MAX);
    if (n < 0)
        return report_set(rep, REEVE_E_IO, "could not read the PIN's file %s: %s", path, strerror(errno));
    const char *end = memchr(pin, '\n', (size_t) n);
    *len = end ? (size_t) (end - pin) : (size_t) n;
    if (*len == 0 || *len == P11_PIN_MAX)
        return report_set(rep, REEVE_E_TOO_BIG, "the PIN's file %s has no PIN in its first line, or a very long one", path);
    return REEVE_OK;
}

enum reeve_err p11_pin_read(const char *path, char *pin, size_t *len, struct report *rep)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return report_set(rep, REEVE_E_IO, "could not open the PIN's file %s: %s", path, strerror(errno));
    enum reeve_err err = pin_of(fd, pin, len, rep, path);
    close(fd);
    return err;
}
