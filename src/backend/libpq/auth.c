/* auth.c - the hba rule and its method; see the header. */
#include "backend/libpq/auth.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "backend/libpq/reply.h"
#include "backend/libpq/scram.h"
#include "common/text.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

/* Everything a method needs. */
struct attempt {
    struct pq_conn *c;
    const struct serve_start *b;
    struct mono_ms deadline;
    const struct pq_startup *su;
    struct session *s;
    struct name user;
    struct role_row *row;
    bool found;                 /* there is such a role */
    bool exists;                /* and it may log in, and has not expired */
    bool usable_name;
    struct report *rep;
};

static enum reeve_err failed(struct attempt *at, enum reeve_err code, const char *method)
{
    return report_set(at->rep, code, "%s authentication failed for user \"%s\"", method, at->user.s);
}

/* ---- the role ---- */

static bool role_usable(const struct role_row *row)
{
    if (!(row->attrs & ROLE_ATTR_LOGIN))
        return false;
    return row->valid_until.ms == 0 || row->valid_until.ms > session_wall_now().ms;
}

static enum reeve_err load_role(struct attempt *at)
{
    memset(at->row, 0, sizeof *at->row);
    enum reeve_err err = at->usable_name
        ? at->b->hooks->role(at->b->arg, at->s, &at->user, at->row, at->rep) : REEVE_E_NOT_FOUND;
    if (err != REEVE_OK && err != REEVE_E_NOT_FOUND)
        return err;
    at->found = err == REEVE_OK;
    at->exists = at->found && role_usable(at->row);
    return REEVE_OK;
}

/* After a method proved the name: does the role exist and may it log in? */
static enum reeve_err check_login(struct attempt *at)
{
    if (at->exists)
        return REEVE_OK;
    if (!at->found)
        return report_set(at->rep, REEVE_E_AUTH, "role \"%s\" does not exist", at->user.s);
    return report_set(at->rep, REEVE_E_AUTH, "role \"%s\" is not permitted to log in", at->user.s);
}

/* ---- SCRAM ---- */

static enum reeve_err next_response(struct attempt *at, struct slice *body)
{
    uint8_t type;
    for (;;) {
        enum reeve_err err = pq_next(at->c, PQ_FRAME_AUTH_MAX, at->deadline, &type, body);
        bool over = at->deadline.ms != 0 && session_mono_now().ms >= at->deadline.ms;
        bool dying = at->c->signals != NULL && at->c->signals->die;
        if (err == REEVE_E_AGAIN && !over && !dying)
            continue;
        if (err != REEVE_OK)
            return err;
        return type == 'p' ? REEVE_OK
                           : report_set(at->rep, REEVE_E_PROTOCOL, "expected SASL response, got message type %d", type);
    }
}

static enum reeve_err offer(struct attempt *at, bool plus)
{
    uint8_t mem[128];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (plus)
        pq_cstr(&w, SCRAM_NAME_PLUS);
    pq_cstr(&w, SCRAM_NAME);
    wr_u8(&w, 0);
    enum reeve_err err = reply_auth(at->c, 10, wr_slice(&w));
    return err == REEVE_OK ? pq_flush(at->c) : err;
}

/* The stored verifier, or one that nothing fits but that looks the same each time. */
static void choose_verifier(struct attempt *at, struct scram_verifier *v, bool *doomed)
{
    *doomed = !at->exists || !scram_verifier_parse(v, slice_str(at->row->verifier));
    if (*doomed)
        scram_verifier_mock(v, at->su->user, at->b->mock_secret);
}

static enum reeve_err scram_steps(struct attempt *at, struct scram *x)
{
    struct slice body;
    struct pq_sasl_initial first;
    uint8_t mem[1024];
    struct wr out = wr_fixed(mem, sizeof mem);
    enum reeve_err err;
    TRY(offer(at, x->plus_offered));
    TRY(next_response(at, &body));
    TRY(pq_sasl_initial_parse(&first, body));
    TRY(scram_first(x, first.mechanism, first.data, &out, at->rep));
    TRY(reply_auth(at->c, 11, wr_slice(&out)));
    TRY(pq_flush(at->c));
    TRY(next_response(at, &body));
    wr_reset(&out);
    TRY(scram_final(x, body, &out, at->rep));
    TRY(reply_auth(at->c, 12, wr_slice(&out)));
out:
    return err;
}

static enum reeve_err method_scram(struct attempt *at)
{
    struct scram_verifier v;
    struct scram x;
    uint8_t binding[64];
    bool doomed;
    size_t len = at->c->tls ? tls_ctx_end_point(at->b->tls, binding) : 0;
    choose_verifier(at, &v, &doomed);
    scram_init(&x, &v, doomed, slice_of(binding, len));
    enum reeve_err err = scram_steps(at, &x);
    scram_wipe(&x);
    secret_wipe(&v, sizeof v);
    if (err == REEVE_E_PASSWORD) {
        report_clear(at->rep);
        return failed(at, REEVE_E_PASSWORD, "password");
    }
    if (err == REEVE_E_MALFORMED)
        return report_set(at->rep, REEVE_E_PROTOCOL, "malformed SASL message");
    return err;
}

/* ---- the other methods ---- */

static enum reeve_err method_peer(struct attempt *at)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    char mem[4096];
    struct passwd pw, *found = NULL;
    if (getsockopt(at->c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
        getpwuid_r(cred.uid, &pw, mem, sizeof mem, &found) != 0 || found == NULL)
        return failed(at, REEVE_E_AUTH, "peer");
    return strcmp(pw.pw_name, at->user.s) == 0 ? check_login(at) : failed(at, REEVE_E_AUTH, "peer");
}

/* The CN of an RFC 4514 text; escapes are not a name of ours. */
static bool common_name(const char *subject, struct slice *out)
{
    const char *cn = strncmp(subject, "CN=", 3) == 0 ? subject + 3 : strstr(subject, ",CN=");
    if (cn == NULL)
        return false;
    if (*cn == ',')
        cn += 4;
    *out = slice_of(cn, strcspn(cn, ","));
    return memchr(out->p, '\\', out->len) == NULL && out->len > 0;
}

/* The TLS layer lets any certificate in (its key was proved); whether to believe it is decided here. */
static enum reeve_err trusted_cert(struct attempt *at, struct wr *der, struct x509_info *info)
{
    enum reeve_err err;
    TRY(tls_peer_cert(at->c->tls, der));
    TRY(x509_parse(info, wr_slice(der)));
    TRY(x509_verify_chain(wr_slice(der), NULL, 0, at->b->client_roots, at->b->n_client_roots, session_wall_now()));
out:
    return err;
}

static enum reeve_err method_cert(struct attempt *at)
{
    struct wr der = wr_heap(X509_DER_MAX);
    struct x509_info info;
    struct slice cn;
    enum reeve_err err = at->b->n_client_roots ? trusted_cert(at, &der, &info) : REEVE_E_NOT_FOUND;
    wr_free(&der);
    if (err != REEVE_OK)
        return report_set(at->rep, REEVE_E_AUTH, "connection requires a valid client certificate");
    if (!common_name(info.subject, &cn) || !slice_eq(cn, name_slice(&at->user)))
        return failed(at, REEVE_E_AUTH, "certificate");
    return check_login(at);
}

static enum reeve_err run_method(struct attempt *at, enum hba_method method)
{
    switch (method) {
    case HBA_SCRAM:
        return method_scram(at);
    case HBA_TRUST:
        return check_login(at);
    case HBA_PEER:
        return method_peer(at);
    case HBA_CERT:
        return method_cert(at);
    case HBA_REJECT:
        break;
    }
    return REEVE_E_BUG;
}

/* ---- the rule ---- */

static bool is_member(void *arg, struct slice user, struct slice role)
{
    struct attempt *at = arg;
    struct name r;
    return at->usable_name && name_set(&r, role) &&
           at->b->hooks->role_member(at->b->arg, at->s, &r, &at->user);
}

static enum reeve_err no_rule(struct attempt *at, const struct hba_rule *rule)
{
    const char *enc = at->c->tls ? "SSL encryption" : "no encryption";
    int len = (int) (at->su->database.len < 64 ? at->su->database.len : 64);
    if (rule != NULL)
        return report_set(at->rep, REEVE_E_AUTH,
                          "reeve_hba.conf rejects connection for host \"%s\", user \"%s\", database \"%.*s\", %s",
                          at->s->client_addr, at->user.s, len, (const char *) at->su->database.p, enc);
    return report_set(at->rep, REEVE_E_AUTH,
                      "no reeve_hba.conf entry for host \"%s\", user \"%s\", database \"%.*s\", %s",
                      at->s->client_addr, at->user.s, len, (const char *) at->su->database.p, enc);
}

static const struct hba_rule *find_rule(struct attempt *at)
{
    struct hba_client client = {
        .local = at->b->peer.ss_family == AF_UNIX, .tls = at->c->tls != NULL, .peer = at->b->peer,
        .database = at->su->database, .user = at->su->user, .member = is_member, .arg = at,
    };
    return at->b->hba ? hba_match(at->b->hba, &client) : NULL;
}

uint32_t auth_attributes(const struct role_row *row)
{
    return (row->attrs & ROLE_ATTR_SUPERUSER ? ROLE_SUPERUSER : 0) | (row->attrs & ROLE_ATTR_LOGIN ? ROLE_LOGIN : 0) |
           (row->attrs & ROLE_ATTR_CREATEROLE ? ROLE_CREATEROLE : 0);
}

enum reeve_err auth_check(struct pq_conn *c, const struct serve_start *b, struct mono_ms deadline,
                          const struct pq_startup *su, struct session *s, struct role_row *row, struct report *rep)
{
    struct attempt at = { .c = c, .b = b, .deadline = deadline, .su = su, .s = s, .row = row, .rep = rep };
    at.usable_name = name_set(&at.user, su->user);
    if (!at.usable_name)
        (void) !name_set_str(&at.user, "?");
    const struct hba_rule *rule = find_rule(&at);
    if (rule == NULL || rule->method == HBA_REJECT)
        return no_rule(&at, rule);
    enum reeve_err err;
    TRY(load_role(&at));
    TRY(run_method(&at, rule->method));
    snprintf(s->auth_method, sizeof s->auth_method, "%s", hba_method_name(rule->method));
    s->role = s->login_role = at.user;
    s->role_attributes = auth_attributes(row);
    err = reply_auth(c, 0, slice_of(NULL, 0));
out:
    return err;
}
