/*
 * found.c - regions that begin a chain together: cards, the genesis document, keys that pin it
 *
 * Files are one line of text: "reeve-card-1." or "reeve-genesis-1." and base64url of the bytes (engine/attest.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/federation/federation.h"
#include "backend/main/init_int.h"
#include "backend/main/main_int.h"
#include "backend/peer/peer.h"
#include "backend/signer/signer.h"
#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/validator/validator.h"
#include "common/text.h"
#include "crypto/hash.h"
#include "crypto/ops.h"

#define CARD_PREFIX    "reeve-card-1."
#define GENESIS_PREFIX "reeve-genesis-1."
#define TEXT_MAX       (256u << 10)

/* ---- lines of text ---- */

enum reeve_err line_write(const char *file, const char *prefix, struct slice bytes, struct report *rep)
{
    size_t at = strlen(prefix);
    char *text = malloc(at + base64_len(bytes.len) + 2);
    if (text == NULL)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    memcpy(text, prefix, at);
    at += base64url_encode(text + at, bytes.p, bytes.len);
    text[at++] = '\n';
    enum reeve_err err = file_replace(file, slice_of(text, at), 0644, rep);
    free(text);
    return err;
}

static enum reeve_err decode_line(struct slice text, const char *prefix, struct wr *out)
{
    size_t skip = strlen(prefix);
    while (text.len > 0 && (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\r' || text.p[text.len - 1] == ' '))
        text.len--;
    if (text.len <= skip || memcmp(text.p, prefix, skip) != 0)
        return REEVE_E_MALFORMED;
    text = slice_of(text.p + skip, text.len - skip);
    uint8_t *p = wr_reserve(out, text.len);
    long n = p != NULL ? base64url_decode(p, text.len, text) : -1;
    if (n < 0)
        return REEVE_E_MALFORMED;
    out->len -= text.len - (size_t) n;
    return REEVE_OK;
}

enum reeve_err line_read(const char *file, const char *prefix, const char *what, struct wr *out, struct report *rep)
{
    size_t len = 0;
    char *text = malloc(TEXT_MAX);
    enum reeve_err err = text != NULL ? file_read(file, text, TEXT_MAX, &len) : REEVE_E_NOMEM;
    if (err != REEVE_OK)
        report_set(rep, err, "could not read \"%s\": %s", file, reeve_err_text(err));
    else if ((err = decode_line(slice_of(text, len), prefix, out)) != REEVE_OK)
        report_set(rep, err, "\"%s\" is no %s", file, what);
    free(text);
    return err;
}

enum reeve_err genesis_read(const char *file, struct wr *out, struct report *rep)
{
    return line_read(file, GENESIS_PREFIX, "genesis document", out, rep);
}

/* ---- the card ---- */

static enum reeve_err link_address(const char *dir, const char *hostport, char out[RAFT_ADDR_MAX + 1], size_t *len,
                                   struct report *rep)
{
    char host[PEER_HOST_MAX + 1];
    struct peer_identity id = { 0 };
    uint16_t port;
    enum reeve_err err = peer_hostport_parse(host, &port, slice_str(hostport));
    if (err != REEVE_OK)
        return report_set(rep, err, "\"%s\" is no address: HOST:PORT is wanted", hostport);
    TRY(federation_identity_make(dir, rep));
    TRY(federation_identity_load(&id, dir, rep));
    err = peer_addr_format(out, len, host, port, &id.key);
out:
    peer_identity_end(&id);
    return err;
}

enum reeve_err card_make(const char *dir, const struct options *o, const struct name *region, struct report *rep)
{
    char address[RAFT_ADDR_MAX + 1];
    size_t len = 0;
    struct wr card = wr_heap(REGION_CARD_MAX);
    enum reeve_err err;
    if (o->address == NULL) {
        report_set(rep, REEVE_E_INVALID_VALUE, "a card names where other regions reach this one: --address HOST:PORT is wanted");
        return rep->code;
    }
    TRY(link_address(dir, o->address, address, &len, rep));
    TRY(signer_card(dir, region, slice_of(address, len), !o->follower, o->pkcs11, &card, rep));
    TRY(line_write(o->card, CARD_PREFIX, wr_slice(&card), rep));
out:
    wr_free(&card);
    return err;
}

/* ---- the genesis document ---- */

enum reeve_err card_read(const char *file, struct region_card *out, struct report *rep)
{
    struct wr bytes = wr_heap(TEXT_MAX);
    enum reeve_err err;
    struct peer_addr a;
    TRY(line_read(file, CARD_PREFIX, "card of a region", &bytes, rep));
    err = card_decode(&crypto_ops_real, out, wr_slice(&bytes));
    if (err == REEVE_OK && (out->address.len == 0 || peer_addr_parse(&a, name_slice(&out->address)) != REEVE_OK))
        err = REEVE_E_MALFORMED;
    if (err != REEVE_OK)
        report_set(rep, err, "\"%s\" is no card of a region: %s", file,
                   err == REEVE_E_V_SIGNATURE ? "a key in it has not signed it" : "it is malformed");
out:
    wr_free(&bytes);
    return err;
}

static void print_genesis(const struct genesis *g, struct slice doc)
{
    struct hash32 id;
    char hex[65];
    genesis_chain_id(&crypto_ops_real, &id, doc);
    hex_encode(hex, id.b, sizeof id.b);
    printf("chain %s\n%u validators, %u of them decide; %u regions:\n", hex, g->set.n, valset_quorum(g->set.n), g->n_regions);
    if (g->recovery_n > 0)
        printf("%u of %u recovery keys may begin another set\n", g->recovery_m, g->recovery_n);
    for (uint16_t i = 0; i < g->n_regions; i++)
        printf("  %s at %.*s\n", g->region[i].name.s, (int) strcspn(g->region[i].address.s, "#"), g->region[i].address.s);
}

static const char *why_not(enum reeve_err err)
{
    switch (err) {
    case REEVE_E_INVALID_VALUE: return "no card brings a validator";
    case REEVE_E_DUPLICATE_OBJECT: return "a name or a key is there twice";
    case REEVE_E_TOO_COMPLEX: return "there are too many";
    default: return reeve_err_text(err);
    }
}

/* --standby: that region's validator is not in the first set. */
static enum reeve_err keep_waiting(const struct options *o, struct region_card *card, struct report *rep)
{
    for (int i = 0; o->standby && i < o->n_args; i++)
        if (slice_eq(name_slice(&card[i].region), slice_str(o->region))) {
            card[i].validates = false;
            return REEVE_OK;
        }
    return o->standby ? report_set(rep, REEVE_E_UNDEFINED_OBJECT, "no card is that of region \"%s\"", o->region) : REEVE_OK;
}

int genesis_main(const struct options *o)
{
    static struct region_card card[ROLLOUT_REGIONS_MAX];
    static struct genesis g;
    struct wr doc = wr_heap(TEXT_MAX);
    struct report rep = { 0 };
    enum reeve_err err = REEVE_OK;
    if (o->to == NULL || o->n_args == 0 || o->n_args > ROLLOUT_REGIONS_MAX)
        TRY(report_set(&rep, REEVE_E_INVALID_VALUE, "--to FILE and 1 to %d cards are wanted", ROLLOUT_REGIONS_MAX));
    for (int i = 0; i < o->n_args; i++)
        TRY(card_read(o->args[i], &card[i], &rep));
    TRY(keep_waiting(o, card, &rep));
    if (o->recovery != NULL)
        TRY(recovery_keys_read(o->recovery, &g, &rep));
    (void) name_set_str(&g.chain, "reeve");
    g.time = clock_wall();
    random_bytes(g.nonce, sizeof g.nonce);
    err = genesis_of_cards(&g, card, (size_t) o->n_args);
    if (err != REEVE_OK)
        TRY(report_set(&rep, err, "the cards do not make a genesis document: %s", why_not(err)));
    genesis_encode(&g, &doc);
    TRY(doc.bad ? REEVE_E_TOO_BIG : REEVE_OK);
    TRY(line_write(o->to, GENESIS_PREFIX, wr_slice(&doc), &rep));
    print_genesis(&g, wr_slice(&doc));
out:
    wr_free(&doc);
    return err == REEVE_OK ? 0 : init_refuse(err, &rep);
}

/* ---- pinning it ---- */

/* The address in the document must bear the key that is here, or nobody could link to us. */
static enum reeve_err check_address(const char *dir, const struct genesis *g, struct founding *f, struct report *rep)
{
    struct peer_identity id = { 0 };
    struct peer_addr a;
    enum reeve_err err = federation_identity_load(&id, dir, rep);
    if (err != REEVE_OK)
        return err;
    err = REEVE_E_V_KEY;
    for (uint16_t i = 0; i < g->n_regions; i++)
        if (name_eq(&g->region[i].name, &f->region) && peer_addr_parse(&a, name_slice(&g->region[i].address)) == REEVE_OK &&
            hash32_eq(&a.key, &id.key)) {
            f->port = a.port;
            err = REEVE_OK;
        }
    peer_identity_end(&id);
    return err == REEVE_OK ? err : report_set(rep, err, "the genesis document names another key for the links of region \"%s\"", f->region.s);
}

enum reeve_err found_keys(const char *dir, struct slice genesis, bool standby, struct founding *f, struct report *rep)
{
    static struct genesis g;
    struct pubkey validator;
    enum reeve_err err;
    if (genesis_decode(&g, genesis) != REEVE_OK)
        return report_set(rep, REEVE_E_MALFORMED, "that is no genesis document");
    TRY(signer_found(dir, genesis, &f->region, &validator, &f->validates, rep));
    TRY(check_address(dir, &g, f, rep));
    f->validates |= standby;
    if (f->validates)
        TRY(validator_init(dir, genesis, &validator, rep));
    print_genesis(&g, genesis);
out:
    return err;
}

enum reeve_err found_conf(const char *dir, const struct founding *f, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    FILE *conf = datadir_path(path, sizeof path, dir, "reeve.conf") ? fopen(path, "a") : NULL;
    if (conf == NULL || fprintf(conf, "federation_port = %u\n", f->port) < 0 || fclose(conf) != 0)
        return report_set(rep, REEVE_E_IO, "could not write \"%s\"", path);
    return REEVE_OK;
}
