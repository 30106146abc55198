/* note.c - fuzz target of notes, checkpoints, single proofs, keys and policies: same bytes or refused. */
#include "crypto/hash.h"
#include "crypto/ops.h"
#include "engine/note.h"
#include "engine/note_tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t mem[NOTE_BYTES_MAX + 64];

static void same(const struct wr *w, struct slice in)
{
    reeve_assert(slice_eq(wr_slice(w), in));
}

static void checkpoint(struct slice in)
{
    struct checkpoint cp;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (checkpoint_parse(&cp, in) != REEVE_OK)
        return;
    checkpoint_format(&cp, &w);
    same(&w, in);
}

static void proof(struct slice in)
{
    static struct tlog_proof p;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (tlog_proof_parse(&p, in) != REEVE_OK)
        return;
    tlog_proof_format(&p, &w);
    same(&w, in);
}

static void tile(struct slice in)
{
    struct tile t;
    struct wr w = wr_fixed(mem, sizeof mem);
    if (tile_path_parse(&t, in) != REEVE_OK)
        return;
    tile_path_format(&t, &w);
    same(&w, in);
}

static void key(struct slice in)
{
    struct note_key k;
    struct slice name;
    uint32_t id;
    uint8_t seed[32];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (note_key_parse(&crypto_ops_real, &k, in) == REEVE_OK) {
        note_key_format(&k, &w);
        same(&w, in);
    }
    if (note_secret_parse(in, &name, &id, seed) != REEVE_OK)
        return;
    k = (struct note_key){ .name = name, .id = id, .alg = NOTE_ED25519 };
    wr_reset(&w);
    note_secret_format(&k, seed, &w);
    same(&w, in);
}

/* Every line once under a key of its name and id, so that verification is reached: nothing there verifies but by chance. */
static void note(struct slice in)
{
    static struct note n;
    struct note_key k[NOTE_SIGS_MAX];
    bool seen[NOTE_SIGS_MAX];
    struct checkpoint cp;
    if (note_parse(&n, in) != REEVE_OK)
        return;
    for (unsigned i = 0; i < n.n; i++)
        k[i] = (struct note_key){ n.sig[i].name, n.sig[i].id, i % 2 ? NOTE_ED25519 : NOTE_COSIGNATURE, { { (uint8_t) i } } };
    (void) !note_verify(&crypto_ops_real, &n, k, n.n, seen, NULL, NULL);
    (void) !checkpoint_parse(&cp, n.text);
}

static void policy(struct slice in)
{
    static struct policy p;
    static struct note n;
    struct checkpoint cp;
    unsigned witnesses;
    if (policy_parse(&crypto_ops_real, &p, in) != REEVE_OK)
        return;
    reeve_assert(p.n_members <= POLICY_WITNESSES_MAX + POLICY_GROUPS_MAX);
    n.text = slice_str("o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    reeve_assert(policy_check(&crypto_ops_real, &p, &n, &cp, &witnesses) != REEVE_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static bool ready;
    struct slice in = slice_of(data, len);
    if (!ready)
        ready = crypto_init() == REEVE_OK;
    checkpoint(in);
    proof(in);
    key(in);
    note(in);
    policy(in);
    return 0;
}
