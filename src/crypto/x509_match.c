/* x509_match.c - is a certificate what its template says? */
#include "crypto/x509_int.h"

#include <openssl/x509v3.h>

static bool same_time(const ASN1_TIME *t, struct wall_ms want)
{
    struct tm tm;
    return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 && (int64_t) timegm(&tm) == want.ms / 1000;
}

static bool same_subject(X509 *c, struct slice text)
{
    X509_NAME *name;
    if (x509_name_make(&name, text, NULL) != REEVE_OK)
        return false;
    bool same = X509_NAME_cmp(X509_get_subject_name(c), name) == 0;
    X509_NAME_free(name);
    return same;
}

static bool same_san(const GENERAL_NAME *g, struct slice text)
{
    uint8_t ip[16];
    size_t ip_len;
    if (x509_san_parse(ip, &ip_len, text, NULL) != REEVE_OK)
        return false;
    const ASN1_STRING *s = g->type == GEN_DNS ? g->d.dNSName : g->type == GEN_IPADD ? g->d.iPAddress : NULL;
    if (s == NULL || (g->type == GEN_IPADD) != (ip_len > 0))
        return false;
    return slice_eq(slice_of(ASN1_STRING_get0_data(s), (size_t) ASN1_STRING_length(s)),
                    ip_len > 0 ? slice_of(ip, ip_len) : text);
}

static bool same_sans(X509 *c, const struct x509_spec *spec)
{
    int crit;
    GENERAL_NAMES *names = X509_get_ext_d2i(c, NID_subject_alt_name, &crit, NULL);
    if (names == NULL)
        return crit == -1 && spec->n_sans == 0;
    bool same = (size_t) sk_GENERAL_NAME_num(names) == spec->n_sans;
    for (size_t i = 0; same && i < spec->n_sans; i++)
        same = same_san(sk_GENERAL_NAME_value(names, (int) i), spec->sans[i]);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return same;
}

static enum reeve_err match(X509 *c, const struct x509_spec *spec, struct report *rep)
{
    const char *part = NULL;
    if (X509_check_ca(c) != 0)
        part = "it is an authority's";
    else if (!same_subject(c, spec->subject))
        part = "another subject";
    else if (!same_sans(c, spec))
        part = "other alternative names";
    else if (!same_time(X509_get0_notBefore(c), spec->not_before) || !same_time(X509_get0_notAfter(c), spec->not_after))
        part = "another validity";
    return part ? report_set(rep, REEVE_E_INVALID_VALUE, "not the template's certificate: %s", part) : REEVE_OK;
}

enum reeve_err x509_cert_matches(const struct x509_cert *c, const struct x509_spec *spec, struct report *rep)
{
    return match(c->x, spec, rep);
}

enum reeve_err x509_matches(struct slice der, const struct x509_spec *spec, struct report *rep)
{
    struct x509_cert *c;
    enum reeve_err err = x509_open(&c, der);
    if (err == REEVE_OK)
        err = x509_cert_matches(c, spec, rep);
    x509_close(c);
    return err;
}
