/*
 * x509_name.c - names in certificates: subjects as text, DNS names and addresses
 *
 * Subjects are a small part of RFC 4514: attribute=value parts separated by
 * commas, six attributes, a backslash before , + " \ < > ; = or # or a space.
 * What RFC 4514 has beyond that (multi-valued parts, #hex, \hex) is refused.
 */
#include "crypto/x509_int.h"
#include "common/text.h"

#include <arpa/inet.h>
#include <openssl/bio.h>

#define VALUE_MAX 128

static const struct attr { const char *name; int nid; size_t chars_max; } attrs[] = {
    { "CN", NID_commonName, 64 }, { "O", NID_organizationName, 64 },
    { "OU", NID_organizationalUnitName, 64 }, { "C", NID_countryName, 2 },
    { "ST", NID_stateOrProvinceName, 128 }, { "L", NID_localityName, 128 },
};

static const struct attr *attr_find(struct slice name)
{
    for (size_t i = 0; i < sizeof attrs / sizeof attrs[0]; i++)
        if (slice_eq(name, slice_str(attrs[i].name)))
            return &attrs[i];
    return NULL;
}

static void skip_spaces(struct rd *r)
{
    while (r->p < r->end && *r->p == ' ')
        r->p++;
}

/* "NAME=", spaces around the name allowed. */
static const struct attr *read_attr(struct rd *r)
{
    skip_spaces(r);
    const uint8_t *start = r->p;
    while (r->p < r->end && *r->p != '=' && *r->p != ',')
        r->p++;
    if (r->p == r->end || *r->p != '=')
        return NULL;
    return attr_find(slice_of(start, (size_t) (r->p++ - start)));
}

/* The value up to an unescaped comma (consumed) or the end; false when malformed or too long. */
static bool read_value(struct rd *r, struct wr *value, bool *more)
{
    *more = false;
    while (r->p < r->end) {
        uint8_t c = *r->p++;
        if (c == ',') {
            *more = true;
            break;
        }
        if (c == '\\') {
            if (r->p == r->end || strchr(",+\"\\<>;=# ", *r->p) == NULL || *r->p == 0)
                return false;
            c = *r->p++;
        } else if (strchr("+\"<>;", c) != NULL || c < 0x20 || c == 0x7f) {
            return false;
        }
        wr_u8(value, c);
    }
    return !value->bad && value->len > 0;
}

static size_t utf8_chars(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += (s.p[i] & 0xc0) != 0x80;
    return n;
}

static bool value_fits(const struct attr *a, struct slice v)
{
    if (!utf8_valid(v) || utf8_chars(v) > a->chars_max)
        return false;
    if (a->nid != NID_countryName)
        return true;
    return v.len == 2 && v.p[0] >= 'A' && v.p[0] <= 'Z' && v.p[1] >= 'A' && v.p[1] <= 'Z';
}

static enum reeve_err read_part(X509_NAME *name, struct rd *r, bool *more, struct report *rep)
{
    uint8_t mem[4 * VALUE_MAX];
    struct wr value = wr_fixed(mem, sizeof mem);
    const struct attr *a = read_attr(r);
    if (a == NULL)
        return report_set(rep, REEVE_E_INVALID_VALUE, "a subject is a list like CN=name,O=organisation"
                          " with the attributes CN, O, OU, C, ST, L");
    if (!read_value(r, &value, more) || !value_fits(a, wr_slice(&value)))
        return report_set(rep, REEVE_E_INVALID_VALUE, "the value of %s in the subject is not acceptable", a->name);
    /* loc 0: in front of what is there, which turns the order round */
    int ok = X509_NAME_add_entry_by_NID(name, a->nid, MBSTRING_UTF8, value.p, (int) value.len, 0, 0);
    return ok == 1 ? REEVE_OK : report_set(rep, REEVE_E_INVALID_VALUE, "the value of %s in the subject is not acceptable", a->name);
}

enum reeve_err x509_name_make(X509_NAME **out, struct slice text, struct report *rep)
{
    struct rd r = rd_of(text);
    bool more = text.len > 0;
    *out = X509_NAME_new();
    if (*out == NULL)
        return REEVE_E_NOMEM;
    enum reeve_err err = text.len > 255
        ? report_set(rep, REEVE_E_INVALID_VALUE, "the subject is longer than 255 bytes") : REEVE_OK;
    while (err == REEVE_OK && more)
        err = read_part(*out, &r, &more, rep);
    if (err != REEVE_OK) {
        X509_NAME_free(*out);
        *out = NULL;
    }
    return err;
}

enum reeve_err x509_name_text(char *out, size_t cap, const X509_NAME *name)
{
    char *p;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL)
        return REEVE_E_NOMEM;
    int r = X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
    long len = BIO_get_mem_data(bio, &p);
    bool ok = r >= 0 && len >= 0 && (size_t) len < cap && utf8_valid(slice_of(p, (size_t) len));
    if (ok) {
        if (len > 0)
            memcpy(out, p, (size_t) len);
        out[len] = '\0';
    }
    BIO_free(bio);
    return ok ? REEVE_OK : REEVE_E_MALFORMED;
}

static bool ldh(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* One label of 1..63 letters, digits, hyphens, underscores, no hyphen at either end. */
static bool label_ok(struct slice l, bool *digits)
{
    if (l.len == 0 || l.len > 63 || l.p[0] == '-' || l.p[l.len - 1] == '-')
        return false;
    *digits = true;
    for (size_t i = 0; i < l.len; i++) {
        if (!ldh(l.p[i]))
            return false;
        *digits = *digits && l.p[i] >= '0' && l.p[i] <= '9';
    }
    return true;
}

static bool dns_ok(struct slice s)
{
    bool digits = true;
    if (s.len == 0 || s.len > 253)
        return false;
    bool wildcard = s.len > 2 && s.p[0] == '*' && s.p[1] == '.';
    for (size_t at = wildcard ? 2 : 0; at <= s.len;) {
        const uint8_t *dot = at < s.len ? memchr(s.p + at, '.', s.len - at) : NULL;
        size_t end = dot ? (size_t) (dot - s.p) : s.len;
        if (!label_ok(slice_of(s.p + at, end - at), &digits))
            return false;
        at = end + 1;
    }
    return !digits;     /* a numeric last label would be a mistyped address */
}

enum reeve_err x509_san_parse(uint8_t ip[16], size_t *ip_len, struct slice text, struct report *rep)
{
    char z[64];
    *ip_len = 0;
    if (text.len < sizeof z && (text.len == 0 || memchr(text.p, 0, text.len) == NULL)) {
        memcpy(z, text.len ? (const void *) text.p : "", text.len);
        z[text.len] = '\0';
        if (inet_pton(AF_INET, z, ip) == 1)
            *ip_len = 4;
        else if (inet_pton(AF_INET6, z, ip) == 1)
            *ip_len = 16;
    }
    if (*ip_len == 0 && !dns_ok(text))
        return report_set(rep, REEVE_E_INVALID_VALUE, "\"%.*s\" is neither a DNS name nor an IP address",
                          text.len > 80 || !utf8_valid(text) ? 0 : (int) text.len, (const char *) text.p);
    return REEVE_OK;
}
