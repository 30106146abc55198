/*
 * evidence.c - validators that contradicted themselves: kept with the proof, told to our region and to the other validators
 *
 * Two signed votes of one view that nobody honest gives (engine/simplex_blame.h) prove it to everybody who knows the
 * validator's key, so what others found is judged by its signatures alone. One pair is enough: the first is kept for
 * good, and whatever else that validator signs costs nothing here.
 */
#include "backend/validator/validator_int.h"

#include <stdio.h>

#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "common/text.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "engine/simplex_blame.h"

#define KEY_LEN (2 + 32)
#define VALUE_MAX (NAME_MAX_LEN + 16 + LETTER_EVIDENCE_LEN)

struct kept { struct pubkey key; struct name name; struct wall_ms at; struct letter_evidence e; };

/* ---- in the store ---- */

static struct slice kept_key(uint8_t mem[KEY_LEN], const struct pubkey *key)
{
    mem[0] = 'V';
    mem[1] = 'e';
    memcpy(mem + 2, key->b, 32);
    return slice_of(mem, KEY_LEN);
}

static bool kept_read(struct slice key, struct slice val, struct kept *out)
{
    struct rd r = rd_of(val);
    if (key.len != KEY_LEN)
        return false;
    memcpy(out->key.b, key.p + 2, 32);
    rd_name(&r, &out->name);
    out->at.ms = (int64_t) rd_u64(&r);
    struct slice body = rd_bytes(&r, rd_left(&r));
    return !r.bad && letter_evidence_decode(&out->e, body) == REEVE_OK;
}

static enum reeve_err each(struct chain *c, void (*fn)(void *arg, const struct kept *k), void *arg)
{
    struct storage_txn *t;
    struct kv_iter it;
    struct slice key, val;
    struct kept k;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    kv_iter_init(&it, storage_kv(t), slice_of("Ve", 2));
    while ((err = kv_iter_next(&it, &key, &val)) == REEVE_OK) {
        if (kept_read(key, val, &k))
            fn(arg, &k);
        else
            log_limited(LOG_SEV_ERROR, "evidence in the validator's store cannot be read");
    }
    storage_abort(t);
    return err == REEVE_E_NOT_FOUND ? REEVE_OK : err;
}

struct found { const struct pubkey *key; bool known; unsigned n; };

static void count(void *arg, const struct kept *k)
{
    struct found *f = arg;
    f->n++;
    f->known |= memcmp(k->key.b, f->key->b, 32) == 0;
}

static bool is_known(struct chain *c, const struct pubkey *key)
{
    struct found f = { key, false, 0 };
    return each(c, count, &f) == REEVE_OK && (f.known || f.n >= EVIDENCE_MAX);
}

static enum reeve_err keep(struct chain *c, const struct kept *k)
{
    uint8_t key[KEY_LEN], val[VALUE_MAX];
    struct wr w = wr_fixed(val, sizeof val);
    struct storage_txn *t;
    enum reeve_err err = storage_begin(c->store, STORAGE_RESERVED, &t);
    if (err != REEVE_OK)
        return err;
    wr_name(&w, &k->name);
    wr_u64(&w, (uint64_t) k->at.ms);
    letter_evidence_encode(&k->e, &w);
    reeve_assert(!w.bad);
    err = kv_put(storage_kv(t), kept_key(key, &k->key), wr_slice(&w));
    if (err == REEVE_OK)
        return storage_commit(t);
    storage_abort(t);
    return err;
}

/* ---- telling ---- */

static bool in_set(const struct voter *v, const struct pubkey *key, uint16_t *place)
{
    for (uint16_t i = 0; i < v->chain.set.n; i++)
        if (memcmp(v->chain.set.v[i].key.b, key->b, 32) == 0) {
            *place = i;
            return true;
        }
    return false;
}

static void culprit_write(const struct voter *v, const struct kept *k, struct wr *w)
{
    uint16_t place;
    wr_name(w, &k->name);
    wr_u64(w, k->e.vote[0].view);
    wr_u8(w, k->e.vote[0].type);
    wr_u8(w, k->e.vote[1].type);
    wr_u8(w, in_set(v, &k->key, &place));
}

struct telling { struct voter *v; struct ipc_channel *ring; uint32_t to; };

static void tell_one(void *arg, const struct kept *k)
{
    struct telling *t = arg;
    uint8_t mem[NAME_MAX_LEN + 16];
    struct wr w = wr_fixed(mem, sizeof mem);
    culprit_write(t->v, k, &w);
    if (ipc_send(t->ring, MSG_CHAIN_CULPRIT, wr_slice(&w), -1) != REEVE_OK)
        log_warning("the ring could not be told of evidence");
}

void evidence_tell(struct voter *v, struct ipc_channel *ring)
{
    struct telling t = { .v = v, .ring = ring };
    if (each(&v->chain, tell_one, &t) != REEVE_OK)
        log_error("evidence could not be read");
}

/* Others know the set in force, and whoever left it decides nothing any more. */
static void send_one(void *arg, const struct kept *k)
{
    struct telling *t = arg;
    struct letter_evidence e = k->e;
    uint8_t mem[LETTER_EVIDENCE_LEN];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (!in_set(t->v, &k->key, &e.signer) || !chain_vote_is_ours(&t->v->chain, &e.vote[0]))
        return;
    letter_evidence_encode(&e, &w);
    net_send_evidence(t->v, wr_slice(&w), t->to);
}

void evidence_send(struct voter *v, uint32_t to)
{
    struct telling t = { .v = v, .to = to };
    if (each(&v->chain, send_one, &t) != REEVE_OK)
        log_error("evidence could not be read");
}

/* ---- finding ---- */

static const char *kind_name(uint8_t type)
{
    static const char *const name[] = { "?", "propose", "notarize", "nullify", "finalize" };
    return type < sizeof name / sizeof *name ? name[type] : "?";
}

static void found(struct voter *v, const struct kept *k, const char *by)
{
    uint8_t mem[NAME_MAX_LEN + 16];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct telling t = { .v = v };
    enum reeve_err err = keep(&v->chain, k);
    log_error("validator \"%s\" contradicted itself in view %llu: %s and %s, both signed%s", k->name.s,
              (unsigned long long) k->e.vote[0].view, kind_name(k->e.vote[0].type), kind_name(k->e.vote[1].type), by);
    if (err != REEVE_OK)
        log_error("the evidence could not be kept: %s", reeve_err_text(err));
    culprit_write(v, k, &w);
    followers_tell(v, PROC_RING, MSG_CHAIN_CULPRIT, wr_slice(&w));
    send_one(&t, k);
}

static void kept_init(struct voter *v, uint16_t signer, struct kept *k)
{
    k->key = v->chain.set.v[signer].key;
    k->name = v->chain.set.v[signer].name;
    k->at = clock_wall();
    k->e.signer = signer;
}

void evidence_found(struct voter *v, uint16_t signer, const struct simplex_vote *a, const struct sig64 *sig_a,
                    const struct simplex_vote *b, const struct sig64 *sig_b)
{
    struct kept k = { .e = { .sig = { *sig_a, *sig_b } } };
    if (signer >= v->chain.set.n || is_known(&v->chain, &v->chain.set.v[signer].key))
        return;
    kept_init(v, signer, &k);
    chain_vote_of(&v->chain, a, &k.e.vote[0]);
    chain_vote_of(&v->chain, b, &k.e.vote[1]);
    found(v, &k, "");
}

void evidence_heard(struct voter *v, struct slice body)
{
    struct kept k;
    struct simplex_proof p;
    if (letter_evidence_decode(&k.e, body) != REEVE_OK || k.e.signer >= v->chain.set.n ||
        !chain_vote_is_ours(&v->chain, &k.e.vote[0]) || !chain_vote_is_ours(&v->chain, &k.e.vote[1]) ||
        is_known(&v->chain, &v->chain.set.v[k.e.signer].key))
        return;
    p.a = (struct simplex_signed){ k.e.signer, chain_vote_from(&k.e.vote[0]), k.e.sig[0] };
    p.b = (struct simplex_signed){ k.e.signer, chain_vote_from(&k.e.vote[1]), k.e.sig[1] };
    if (!simplex_proof_ok(&v->config, &p)) {
        log_limited(LOG_SEV_WARNING, "evidence against validator %u proves nothing", k.e.signer);
        return;
    }
    kept_init(v, k.e.signer, &k);
    found(v, &k, "; found by another validator");
}

/* ---- for people: what is kept, as text ---- */

struct printing { FILE *out; struct hash32 chain_id; unsigned n; };

static void print_hex(FILE *out, const char *what, const uint8_t *p, size_t len)
{
    char hex[2 * ATTEST_VOTE_LEN + 1];
    hex_encode(hex, p, len);
    fprintf(out, "%-11s%s\n", what, hex);
}

static void print_vote(struct printing *p, const struct kept *k, unsigned i)
{
    uint8_t bytes[ATTEST_VOTE_LEN];
    struct vote v = k->e.vote[i];
    v.chain_id = p->chain_id;
    vote_bytes(&v, bytes);
    bool good = sign_verify(&k->e.sig[i], slice_of(bytes, sizeof bytes), &k->key);
    fprintf(p->out, "%-11s%s, the signature %s\n", "vote", kind_name(v.type), good ? "is good" : "IS NOT GOOD");
    print_hex(p->out, "bytes", bytes, sizeof bytes);
    print_hex(p->out, "signature", k->e.sig[i].b, sizeof k->e.sig[i].b);
}

static void print_one(void *arg, const struct kept *k)
{
    struct printing *p = arg;
    char at[64];
    clock_text(at, k->at);
    fprintf(p->out, "%s%-11s%s\n%-11s%s\n", p->n++ > 0 ? "\n" : "", "validator", k->name.s, "found", at);
    print_hex(p->out, "key", k->key.b, sizeof k->key.b);
    fprintf(p->out, "%-11s%llu of epoch %llu\n", "view", (unsigned long long) k->e.vote[0].view, (unsigned long long) k->e.vote[0].epoch);
    for (unsigned i = 0; i < 2; i++)
        print_vote(p, k, i);
}

static enum reeve_err read_chain_id(struct chain *c)
{
    struct storage_txn *t;
    enum reeve_err err = storage_begin(c->store, STORAGE_READ, &t);
    if (err != REEVE_OK)
        return err;
    struct attest a = chain_attest(c, t);
    err = attest_head(&a, &c->head);
    storage_abort(t);
    return err;
}

int evidence_print(const char *dir, FILE *out)
{
    static struct chain c;
    struct report rep = { .code = REEVE_OK };
    struct printing p = { .out = out };
    char path[DATADIR_PATH_MAX];
    enum reeve_err err;
    if (!datadir_path(path, sizeof path, dir, "validator"))
        return 2;
    TRY(storage_open(&c.store, path, STORAGE_READ, 0, 0, &rep));
    TRY(read_chain_id(&c));
    p.chain_id = c.head.chain_id;
    err = each(&c, print_one, &p);
out:
    storage_close(c.store);
    if (err != REEVE_OK)
        fprintf(stderr, "reeved: \"%s\" cannot be read: %s\n", path, rep.message[0] ? rep.message : reeve_err_text(err));
    return err == REEVE_OK ? 0 : 2;
}
