/* hba.c - parsing and matching the rules of reeve_hba.conf; see the header. */
#include "backend/libpq/hba.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

const char hba_default_text[] =
    "# reeve_hba.conf - who may connect from where, and how they prove who they are.\n"
    "# The first line that fits decides. Forms:\n"
    "#   local      DATABASE  USER  METHOD\n"
    "#   host       DATABASE  USER  ADDRESS  METHOD     (hostssl: only TLS; hostnossl: never)\n"
    "# Methods: scram-sha-256, cert (hostssl), peer and trust (local), reject.\n"
    "# TYPE  DATABASE  USER  ADDRESS         METHOD\n"
    "local   all       all                   scram-sha-256\n"
    "host    all       all   127.0.0.1/32    scram-sha-256\n"
    "host    all       all   ::1/128         scram-sha-256\n"
    "# From elsewhere: TLS and a password.\n"
    "#hostssl all      all   all             scram-sha-256\n";

static const struct { const char *name; enum hba_method method; } methods[] = {
    { "reject", HBA_REJECT }, { "trust", HBA_TRUST }, { "scram-sha-256", HBA_SCRAM },
    { "cert", HBA_CERT }, { "peer", HBA_PEER },
};

const char *hba_method_name(enum hba_method m)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].method == m)
            return methods[i].name;
    return "?";
}

/* ---- words ---- */

struct cursor {
    struct arena *arena;
    struct slice rest;          /* of this line */
    int line;
    struct report *rep;
};

static enum reeve_err bad(struct cursor *c, const char *what)
{
    return report_set(c->rep, REEVE_E_CONFIG, "line %d of the hba file: %s", c->line, what);
}

static void skip(struct cursor *c, size_t n) { c->rest = slice_of(c->rest.p + n, c->rest.len - n); }

static bool space(uint8_t ch) { return ch == ' ' || ch == '\t' || ch == '\r'; }

static void skip_space(struct cursor *c)
{
    while (c->rest.len > 0 && space(*c->rest.p))
        skip(c, 1);
    if (c->rest.len > 0 && *c->rest.p == '#')
        skip(c, c->rest.len);
}

/* One name: up to a blank, a comma or #; or inside quotes. Empty at the end of the line. */
static enum reeve_err next_name(struct cursor *c, struct slice *out, bool *quoted)
{
    size_t n = 0;
    skip_space(c);
    *quoted = c->rest.len > 0 && *c->rest.p == '"';
    if (*quoted) {
        skip(c, 1);
        const uint8_t *end = memchr(c->rest.p, '"', c->rest.len);
        if (end == NULL)
            return bad(c, "unterminated quoted name");
        *out = slice_of(c->rest.p, (size_t) (end - c->rest.p));
        skip(c, out->len + 1);
        return REEVE_OK;
    }
    while (n < c->rest.len && !space(c->rest.p[n]) && c->rest.p[n] != ',' && c->rest.p[n] != '#')
        n++;
    *out = slice_of(c->rest.p, n);
    skip(c, n);
    return REEVE_OK;
}

static bool is(struct slice s, const char *word) { return slice_eq(s, slice_str(word)); }

/* A word of its own: no list. */
static enum reeve_err next_word(struct cursor *c, struct slice *out, const char *what)
{
    bool quoted;
    enum reeve_err err = next_name(c, out, &quoted);
    if (err != REEVE_OK)
        return err;
    return out->len > 0 ? REEVE_OK : bad(c, what);
}

#define NAMES_MAX 64

static enum reeve_err next_names(struct cursor *c, struct hba_names *out, const char *what)
{
    out->v = arena_alloc(c->arena, NAMES_MAX * sizeof *out->v);
    out->quoted = arena_alloc(c->arena, NAMES_MAX * sizeof *out->quoted);
    if (out->v == NULL || out->quoted == NULL)
        return REEVE_E_NOMEM;
    for (;;) {
        if (out->n == NAMES_MAX)
            return bad(c, "too many names in one list");
        enum reeve_err err = next_name(c, &out->v[out->n], &out->quoted[out->n]);
        if (err != REEVE_OK)
            return err;
        if (out->v[out->n].len == 0)
            return bad(c, what);
        out->n++;
        skip_space(c);
        if (c->rest.len == 0 || *c->rest.p != ',')
            return REEVE_OK;
        skip(c, 1);
    }
}

/* ---- addresses ---- */

static void mask_of(uint8_t mask[16], int bits)
{
    for (int i = 0; i < 16; i++, bits -= 8)
        mask[i] = bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t) (0xff << (8 - bits));
}

static bool parse_address(struct slice text, int *family, uint8_t out[16])
{
    char buf[INET6_ADDRSTRLEN];
    if (text.len >= sizeof buf)
        return false;
    memcpy(buf, text.p, text.len);
    buf[text.len] = '\0';
    memset(out, 0, 16);
    *family = strchr(buf, ':') ? AF_INET6 : AF_INET;
    return inet_pton(*family, buf, out) == 1;
}

static bool parse_bits(struct slice text, int max, int *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || text.len > 3)
            return false;
        *out = *out * 10 + (text.p[i] - '0');
    }
    return text.len > 0 && *out <= max;
}

static enum reeve_err network(struct cursor *c, struct hba_rule *r, struct slice word)
{
    const uint8_t *slash = memchr(word.p, '/', word.len);
    struct slice addr = slice_of(word.p, slash ? (size_t) (slash - word.p) : word.len);
    int bits, family;
    if (!parse_address(addr, &r->family, r->addr))
        return bad(c, "invalid address (host names are not supported)");
    if (slash != NULL) {
        if (!parse_bits(slice_of(slash + 1, word.len - addr.len - 1), r->family == AF_INET ? 32 : 128, &bits))
            return bad(c, "invalid network prefix");
        mask_of(r->mask, bits);
        return REEVE_OK;
    }
    enum reeve_err err = next_word(c, &word, "an address without prefix needs a mask");
    if (err != REEVE_OK)
        return err;
    return parse_address(word, &family, r->mask) && family == r->family ? REEVE_OK : bad(c, "invalid mask");
}

static enum reeve_err next_address(struct cursor *c, struct hba_rule *r)
{
    struct slice word;
    enum reeve_err err = next_word(c, &word, "missing address");
    if (err != REEVE_OK)
        return err;
    r->addr_kind = is(word, "all") ? HBA_ADDR_ALL
                   : is(word, "samehost") || is(word, "samenet") ? HBA_ADDR_SAMEHOST : HBA_ADDR_NET;
    return r->addr_kind == HBA_ADDR_NET ? network(c, r, word) : REEVE_OK;
}

/* ---- rules ---- */

static enum reeve_err next_type(struct cursor *c, struct hba_rule *r)
{
    static const char *const types[] = { "local", "host", "hostssl", "hostnossl" };
    struct slice word;
    enum reeve_err err = next_word(c, &word, "missing connection type");
    if (err != REEVE_OK)
        return err;
    for (int i = 0; i < 4; i++)
        if (is(word, types[i])) {
            r->type = i;
            return REEVE_OK;
        }
    return bad(c, "connection type must be local, host, hostssl or hostnossl");
}

static enum reeve_err method_fits(struct cursor *c, const struct hba_rule *r)
{
    if (r->method == HBA_CERT && r->type != HBA_HOSTSSL)
        return bad(c, "method cert is only for hostssl");
    if (r->method == HBA_TRUST && r->type != HBA_LOCAL)
        return bad(c, "method trust is only for local connections");
    if (r->method == HBA_PEER && r->type != HBA_LOCAL)
        return bad(c, "method peer is only for local connections");
    return REEVE_OK;
}

static enum reeve_err next_method(struct cursor *c, struct hba_rule *r)
{
    struct slice word;
    enum reeve_err err = next_word(c, &word, "missing authentication method");
    if (err != REEVE_OK)
        return err;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (is(word, methods[i].name)) {
            r->method = methods[i].method;
            return method_fits(c, r);
        }
    return bad(c, "method must be scram-sha-256, cert, peer, trust or reject");
}

static enum reeve_err parse_rule(struct cursor *c, struct hba_rule *r)
{
    enum reeve_err err;
    r->line = c->line;
    TRY(next_type(c, r));
    TRY(next_names(c, &r->databases, "missing database"));
    TRY(next_names(c, &r->users, "missing user"));
    if (r->type != HBA_LOCAL)
        TRY(next_address(c, r));
    TRY(next_method(c, r));
    skip_space(c);
    if (c->rest.len > 0)
        err = bad(c, "options after the method are not supported");
out:
    return err;
}

static struct slice take_line(struct slice *text)
{
    const uint8_t *nl = text->len ? memchr(text->p, '\n', text->len) : NULL;
    struct slice line = slice_of(text->p, nl ? (size_t) (nl - text->p) : text->len);
    size_t used = line.len + (nl != NULL);
    *text = slice_of(text->p + used, text->len - used);
    return line;
}

enum reeve_err hba_parse(struct hba *out, struct arena *a, struct slice text, struct report *rep)
{
    struct cursor c = { .arena = a, .rep = rep };
    *out = (struct hba){ 0 };
    if (text.len > HBA_FILE_MAX)
        return report_set(rep, REEVE_E_CONFIG, "the hba file is too long");
    out->rules = arena_alloc(a, HBA_RULES_MAX * sizeof *out->rules);
    if (out->rules == NULL)
        return REEVE_E_NOMEM;
    while (text.len > 0) {
        c.rest = take_line(&text);
        c.line++;
        skip_space(&c);
        if (c.rest.len == 0)
            continue;
        if (out->n == HBA_RULES_MAX)
            return bad(&c, "too many rules");
        enum reeve_err err = parse_rule(&c, &out->rules[out->n]);
        if (err != REEVE_OK)
            return err;
        out->n++;
    }
    return REEVE_OK;
}

/* ---- matching ---- */

/* The peer's address; an IPv4 address inside IPv6 counts as IPv4. */
static int peer_address(const struct hba_client *c, uint8_t out[16])
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    memset(out, 0, 16);
    if (c->peer.ss_family == AF_INET) {
        memcpy(out, &((const struct sockaddr_in *) &c->peer)->sin_addr, 4);
        return AF_INET;
    }
    memcpy(out, &((const struct sockaddr_in6 *) &c->peer)->sin6_addr, 16);
    if (memcmp(out, mapped, 12) != 0)
        return AF_INET6;
    memmove(out, out + 12, 4);
    memset(out + 4, 0, 12);
    return AF_INET;
}

static bool is_loopback(int family, const uint8_t addr[16])
{
    return family == AF_INET ? addr[0] == 127 : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *) addr);
}

static bool address_fits(const struct hba_rule *r, const struct hba_client *c)
{
    uint8_t addr[16];
    int family = peer_address(c, addr);
    if (r->addr_kind == HBA_ADDR_ALL)
        return true;
    if (r->addr_kind == HBA_ADDR_SAMEHOST)
        return is_loopback(family, addr);
    if (family != r->family)
        return false;
    for (int i = 0; i < 16; i++)
        if (((addr[i] ^ r->addr[i]) & r->mask[i]) != 0)
            return false;
    return true;
}

static bool type_fits(const struct hba_rule *r, const struct hba_client *c)
{
    switch (r->type) {
    case HBA_LOCAL:
        return c->local;
    case HBA_HOST:
        return !c->local;
    case HBA_HOSTSSL:
        return !c->local && c->tls;
    case HBA_HOSTNOSSL:
        return !c->local && !c->tls;
    }
    return false;
}

static bool database_fits(const struct hba_names *l, const struct hba_client *c)
{
    for (int i = 0; i < l->n; i++) {
        if (!l->quoted[i] && is(l->v[i], "all"))
            return true;
        if (!l->quoted[i] && is(l->v[i], "sameuser") && slice_eq(c->database, c->user))
            return true;
        if (slice_eq(l->v[i], c->database))
            return true;
    }
    return false;
}

static bool user_fits(const struct hba_names *l, const struct hba_client *c)
{
    for (int i = 0; i < l->n; i++) {
        struct slice name = l->v[i];
        if (!l->quoted[i] && is(name, "all"))
            return true;
        if (!l->quoted[i] && name.len > 1 && name.p[0] == '+') {
            if (c->member != NULL && c->member(c->arg, c->user, slice_of(name.p + 1, name.len - 1)))
                return true;
        } else if (slice_eq(name, c->user)) {
            return true;
        }
    }
    return false;
}

const struct hba_rule *hba_match(const struct hba *h, const struct hba_client *c)
{
    for (int i = 0; i < h->n; i++) {
        const struct hba_rule *r = &h->rules[i];
        if (type_fits(r, c) && database_fits(&r->databases, c) && user_fits(&r->users, c) &&
            (r->type == HBA_LOCAL || address_fits(r, c)))
            return r;
    }
    return NULL;
}
