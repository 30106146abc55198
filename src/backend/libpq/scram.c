/* scram.c - the exchange; see the header. Verifiers are in scram_verifier.c. */
#include "backend/libpq/scram.h"

#include <stdio.h>

#include "common/text.h"
#include "crypto/hash.h"

void scram_init(struct scram *s, const struct scram_verifier *v, bool doomed, struct slice binding)
{
    uint8_t raw[18];
    memset(s, 0, sizeof *s);
    s->verifier = *v;
    s->doomed = doomed;
    s->binding_len = binding.len <= sizeof s->binding ? binding.len : 0;
    if (s->binding_len)
        memcpy(s->binding, binding.p, binding.len);
    s->plus_offered = s->binding_len > 0;
    random_bytes(raw, sizeof raw);
    base64_encode(s->server_nonce, raw, sizeof raw);
}

void scram_wipe(struct scram *s) { secret_wipe(s, sizeof *s); }

static enum reeve_err malformed(struct report *rep, const char *detail)
{
    report_set(rep, REEVE_E_PROTOCOL, "malformed SCRAM message");
    return report_detail(rep, "%s", detail);
}

/* ---- attributes: "x=value," ---- */

/* Takes "x=value" and the comma after it (or the end). False where it is not there. */
static bool attr(struct slice *rest, char name, struct slice *value)
{
    if (rest->len < 2 || rest->p[0] != (uint8_t) name || rest->p[1] != '=')
        return false;
    const uint8_t *from = rest->p + 2, *end = rest->p + rest->len;
    const uint8_t *comma = from < end ? memchr(from, ',', (size_t) (end - from)) : NULL;
    const uint8_t *stop = comma ? comma : end;
    *value = slice_of(from, (size_t) (stop - from));
    *rest = comma ? slice_of(comma + 1, (size_t) (end - comma - 1)) : slice_of(end, 0);
    return true;
}

static bool printable(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e)
            return false;
    return s.len > 0;
}

/* ---- first message ---- */

static enum reeve_err choose_mechanism(struct scram *s, struct slice mechanism, struct report *rep)
{
    s->plus = slice_eq(mechanism, slice_str(SCRAM_NAME_PLUS));
    if ((s->plus && s->plus_offered) || slice_eq(mechanism, slice_str(SCRAM_NAME)))
        return REEVE_OK;
    return report_set(rep, REEVE_E_PROTOCOL, "client selected an invalid SASL authentication mechanism");
}

static enum reeve_err flag_plain(struct scram *s, uint8_t flag, struct report *rep)
{
    if (s->plus)
        return malformed(rep, "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include "
                              "channel binding data.");
    if (flag == 'y' && s->plus_offered) {
        report_set(rep, REEVE_E_AUTH, "SCRAM channel binding negotiation error");
        return report_detail(rep, "The client supports SCRAM channel binding but thinks the server does not.  "
                                  "However, this server does support channel binding.");
    }
    return REEVE_OK;
}

static enum reeve_err flag_binding(struct scram *s, struct slice name, struct report *rep)
{
    if (!s->plus)
        return malformed(rep, "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message "
                              "includes channel binding data.");
    if (slice_eq(name, slice_str("tls-server-end-point")))
        return REEVE_OK;
    return report_set(rep, REEVE_E_PROTOCOL, "unsupported SCRAM channel-binding type");
}

/* gs2-header: ("n" | "y" | "p=" name) "," [authzid] "," - and drops it from *rest. */
static enum reeve_err gs2_header(struct scram *s, struct slice *rest, struct report *rep)
{
    struct slice name;
    enum reeve_err err;
    if (rest->len < 3)
        return malformed(rep, "The message is too short.");
    if (attr(rest, 'p', &name)) {
        err = flag_binding(s, name, rep);
    } else if ((rest->p[0] == 'n' || rest->p[0] == 'y') && rest->p[1] == ',') {
        err = flag_plain(s, rest->p[0], rep);
        *rest = slice_of(rest->p + 2, rest->len - 2);
    } else {
        return malformed(rep, "Unexpected channel-binding flag.");
    }
    if (err != REEVE_OK)
        return err;
    if (rest->len > 0 && rest->p[0] == 'a')
        return report_set(rep, REEVE_E_UNSUPPORTED, "client uses authorization identity, but it is not supported");
    if (rest->len == 0 || rest->p[0] != ',')
        return malformed(rep, "Unexpected attribute in the first message.");
    *rest = slice_of(rest->p + 1, rest->len - 1);
    return REEVE_OK;
}

/* n=user (ignored: the start-up packet said who) ,r=nonce [,extensions] */
static enum reeve_err first_bare(struct slice rest, struct slice *nonce, struct report *rep)
{
    struct slice user;
    if (rest.len > 0 && rest.p[0] == 'm')
        return report_set(rep, REEVE_E_UNSUPPORTED, "client requires an unsupported SCRAM extension");
    if (!attr(&rest, 'n', &user) || !attr(&rest, 'r', nonce))
        return malformed(rep, "User name or nonce is missing.");
    if (!printable(*nonce) || nonce->len > 256)
        return report_set(rep, REEVE_E_PROTOCOL, "non-printable characters in SCRAM nonce");
    return REEVE_OK;
}

static void write_server_first(struct scram *s, struct slice client_nonce, struct wr *out)
{
    char salt[SCRAM_SALT_MAX * 2];
    base64_encode(salt, s->verifier.salt, s->verifier.salt_len);
    snprintf(s->nonce, sizeof s->nonce, "%.*s%s", (int) client_nonce.len, (const char *) client_nonce.p,
             s->server_nonce);
    snprintf(s->server_first, sizeof s->server_first, "r=%s,s=%s,i=%u", s->nonce, salt, s->verifier.iterations);
    wr_text(out, s->server_first);
}

enum reeve_err scram_first(struct scram *s, struct slice mechanism, struct slice msg, struct wr *out,
                           struct report *rep)
{
    enum reeve_err err;
    struct slice rest = msg, nonce;
    TRY(choose_mechanism(s, mechanism, rep));
    if (msg.len > sizeof s->client_first || (msg.len && memchr(msg.p, 0, msg.len)))
        return malformed(rep, "The message is too long, or contains a NUL byte.");
    TRY(gs2_header(s, &rest, rep));
    memcpy(s->client_first, msg.p, msg.len);
    s->client_first_len = msg.len;
    s->gs2_len = msg.len - rest.len;
    TRY(first_bare(rest, &nonce, rep));
    write_server_first(s, nonce, out);
    err = out->bad ? REEVE_E_NOMEM : REEVE_OK;
out:
    return err;
}

/* ---- last message ---- */

/* c= must be the gs2 header of the first message and, for -PLUS, the binding. */
static bool binding_ok(const struct scram *s, struct slice c)
{
    uint8_t want[SCRAM_CLIENT_FIRST_MAX + 64];
    char text[sizeof want * 2];
    size_t n = s->gs2_len;
    memcpy(want, s->client_first, n);
    if (s->plus) {
        memcpy(want + n, s->binding, s->binding_len);
        n += s->binding_len;
    }
    size_t len = base64_encode(text, want, n);
    return slice_eq(c, slice_of(text, len));
}

/* ClientSignature = HMAC(StoredKey, AuthMessage); the same message signs the answer. */
static void auth_message(const struct scram *s, struct slice without_proof, const struct hash32 *key,
                         struct hash32 *out)
{
    uint8_t text[4096];
    struct wr w = wr_fixed(text, sizeof text);
    wr_bytes(&w, s->client_first + s->gs2_len, s->client_first_len - s->gs2_len);
    wr_u8(&w, ',');
    wr_text(&w, s->server_first);
    wr_u8(&w, ',');
    wr_bytes(&w, without_proof.p, without_proof.len);
    hmac_sha256(out, slice_of(key->b, 32), wr_slice(&w));
}

static bool proof_ok(const struct scram *s, struct slice without_proof, const uint8_t proof[32])
{
    struct hash32 key, stored;
    auth_message(s, without_proof, &s->verifier.stored_key, &key);
    for (int i = 0; i < 32; i++)
        key.b[i] ^= proof[i];
    sha256(&stored, slice_of(key.b, 32));
    secret_wipe(&key, sizeof key);
    return secret_eq(stored.b, s->verifier.stored_key.b, 32);
}

static void write_server_final(const struct scram *s, struct slice without_proof, struct wr *out)
{
    struct hash32 sig;
    char text[64];
    auth_message(s, without_proof, &s->verifier.server_key, &sig);
    base64_encode(text, sig.b, 32);
    wr_text(out, "v=");
    wr_text(out, text);
}

/* c=,r=,[extensions,]p= where p is the last attribute; proof and the text before ",p=" come out. */
static enum reeve_err final_split(const struct scram *s, struct slice msg, struct slice *without_proof,
                                  uint8_t proof[32], struct report *rep)
{
    struct slice rest = msg, c, r, skipped, p = { 0 };
    if (!attr(&rest, 'c', &c) || !attr(&rest, 'r', &r))
        return malformed(rep, "Channel binding or nonce is missing.");
    while (rest.len > 0 && rest.p[0] != 'p')
        if (!attr(&rest, (char) rest.p[0], &skipped))
            return malformed(rep, "Attribute expected.");
    *without_proof = slice_of(msg.p, msg.len - rest.len - (rest.len ? 1 : 0));
    if (!attr(&rest, 'p', &p) || rest.len != 0 || base64_decode(proof, 32, p) != 32)
        return malformed(rep, "Malformed proof in the last message.");
    if (!binding_ok(s, c))
        return report_set(rep, REEVE_E_AUTH, "SCRAM channel binding check failed");
    if (!slice_eq(r, slice_str(s->nonce))) {
        report_set(rep, REEVE_E_PROTOCOL, "invalid SCRAM response");
        return report_detail(rep, "Nonce does not match.");
    }
    return REEVE_OK;
}

enum reeve_err scram_final(struct scram *s, struct slice msg, struct wr *out, struct report *rep)
{
    struct slice without_proof;
    uint8_t proof[32];
    if (s->client_first_len == 0 || msg.len > 2048)
        return malformed(rep, "Unexpected message.");
    enum reeve_err err = final_split(s, msg, &without_proof, proof, rep);
    if (err != REEVE_OK)
        return err;
    /* Both checks always run, so that time does not tell a missing role from a wrong password. */
    bool good = proof_ok(s, without_proof, proof);
    secret_wipe(proof, sizeof proof);
    if (!good || s->doomed)
        return report_set(rep, REEVE_E_PASSWORD, "password authentication failed");
    write_server_final(s, without_proof, out);
    return out->bad ? REEVE_E_NOMEM : REEVE_OK;
}
