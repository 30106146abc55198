/*
 * test_approval.c - approvals of updates: each refusal beside the nearest list that is accepted
 *
 * Five approvers: anna, bert and cora of security (DE, FR, DE), dora of security
 * and legal (FR), emil of legal (DE). The policy asks 2 of security and 1 of
 * legal from two jurisdictions, without the proposer; one of security may veto.
 */
#include "world.h"
#include "engine/approval.h"

enum { ANNA, BERT, CORA, DORA, EMIL, N_PEOPLE };
static const struct { const char *name, *role, *jurisdiction, *group, *group2; } people[N_PEOPLE] = {
    { "ops/anna", "anna", "DE", "security", NULL }, { "ops/bert", "bert", "FR", "security", NULL },
    { "ops/cora", "cora", "DE", "security", NULL }, { "ops/dora", "dora", "FR", "legal", "security" },
    { "law/emil", "emil", "DE", "legal", NULL },
};
static struct world w;
static struct sign_key key[N_PEOPLE];
static struct wr mem;

static struct approver_doc approver(int i)
{
    struct approver_doc d = { .jurisdiction = name_of(people[i].jurisdiction), .role = name_of(people[i].role), .n_groups = 1 };
    uint8_t seed[32] = { 99, (uint8_t) i };
    d.group[0] = name_of(people[i].group);
    if (people[i].group2 != NULL)
        d.group[d.n_groups++] = name_of(people[i].group2);
    sign_key_from_seed(&key[i], &d.key, seed);
    return d;
}

static struct policy_doc trust(void)
{
    return (struct policy_doc){ .subjects = SUBJECTS_ALWAYS, .n_terms = 2, .term = { { 1, name_of("legal") }, { 2, name_of("security") } },
                                .distinct = 2, .exclude_proposer = 1, .expires_s = 900, .veto_count = 1, .veto_group = name_of("security") };
}

static void register_people(void)
{
    for (int i = 0; i < N_PEOPLE; i++) {
        struct approver_doc d = approver(i);
        block_of(&w, AT_APPROVER, people[i].name, PAYLOAD(&w, approver, &d));
    }
}

static int setup_people(void **state)
{
    world_new(&w, 4);
    mem = wr_heap(1 << 20);
    world_furnish(&w);
    register_people();
    return 0;
}

static int setup(void **state)
{
    struct policy_doc p = trust();
    setup_people(state);
    block_of(&w, AT_POLICY, "trust", PAYLOAD(&w, policy, &p));
    return 0;
}

static int teardown(void **state)
{
    wr_free(&mem);
    world_free(&w);
    return 0;
}

/* ---- proposals ---- */

static struct update prepared(enum attest_type type, const char *object, struct slice payload)
{
    struct update u;
    struct name n = name_of(object);
    assert_ok(update_prepare(&w.a, type, &n, payload, &u));
    u.region = name_of("home");
    u.actor = name_of("zoe");
    return u;
}

static struct hash32 chain_id(void)
{
    struct attest_head head;
    assert_ok(attest_head(&w.a, &head));
    return head.chain_id;
}

static void sign_as(struct approval *a, int who, bool approve, const struct approval_ref *ref)
{
    struct hash32 chain = chain_id();
    uint8_t bytes[APPROVAL_TEXT_MAX];
    struct wr text = wr_fixed(bytes, sizeof bytes);
    approval_text(&text, &chain, approve, ref);
    a->approver = name_of(people[who].name);
    sign_detached(&a->sig, wr_slice(&text), &key[who]);
}

/* A set for the updates of u that nobody approved yet; policy "trust" as it stands. */
static struct approval_set proposal(const struct update *u, unsigned n)
{
    struct approval_set s = { .ref = { .proposal = name_of("p1"), .policy = name_of("trust") }, .n_parts = (uint8_t) n };
    struct attest_object o;
    struct hash32 chain = chain_id();
    assert_ok(attest_get(&w.a, AT_POLICY, &s.ref.policy, &o));
    s.ref.policy_version = o.version;
    s.ref.not_after_s = (uint64_t) w.now.ms / 1000 + 900;
    for (unsigned i = 0; i < n; i++) {
        struct wr m = wr_heap(ATTEST_LEAF_MAX);
        update_encode(&u[i], false, &m);
        assert_ok(update_content_hash(w.a.c, &s.content[i], wr_slice(&m)));
        wr_free(&m);
    }
    proposal_digest(w.a.c, &s.ref, &chain, s.content, s.n_parts);
    return s;
}

static void approve_by(struct approval_set *s, unsigned people_bits)
{
    static const int order[] = { EMIL, ANNA, BERT, CORA, DORA };    /* as their names stand */
    s->n = 0;
    for (unsigned i = 0; i < N_PEOPLE; i++)
        if (people_bits >> order[i] & 1)
            sign_as(&s->a[s->n++], order[i], true, &s->ref);
}

#define BY(...) by((const int[]){ __VA_ARGS__, -1 })
static unsigned by(const int *who)
{
    unsigned bits = 0;
    while (*who >= 0)
        bits |= 1u << *who++;
    return bits;
}

static struct slice leaf_with(struct update u, const struct approval_set *s, uint8_t part)
{
    struct approval_set mine = *s;
    struct wr m = wr_heap(1 << 16);
    mine.part = part;
    approval_set_encode(&mine, &m);
    u.approvals = wr_slice(&m);
    struct slice leaf = leaf_of(&w, u);
    wr_free(&m);
    return leaf;
}

static enum reeve_err check_with(struct update u, const struct approval_set *s)
{
    struct slice leaf = leaf_with(u, s, 0);
    return check(&w, &leaf, 1);
}

/* What everybody quarrels about: a longer life of the authority. */
static struct update wish(void)
{
    static struct authority_doc d;
    static uint8_t own[1024];           /* other payloads come and go in w.mem */
    struct wr m = wr_fixed(own, sizeof own);
    struct name ca = name_of("ca");
    assert_ok(attest_get_authority(&w.a, &ca, &d, NULL));
    d.ttl_s++;
    authority_doc_encode(&d, &m);
    return prepared(AT_AUTHORITY, "ca", wr_slice(&m));
}

static enum reeve_err check_plain(struct update u)
{
    struct slice leaf = leaf_of(&w, u);
    return check(&w, &leaf, 1);
}

/* ---- who needs them ---- */

static void without_a_policy_nothing_needs_approvals(void **state)
{
    assert_ok(check_plain(wish()));
}

static void with_a_policy_trust_needs_approvals(void **state)
{
    struct update u = wish();
    struct approval_set s = proposal(&u, 1);
    assert_err(check_plain(u), REEVE_E_APPROVAL_NEEDED);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    assert_ok(check_with(u, &s));
}

static void what_no_policy_covers_goes_on_without(void **state)
{
    struct class_doc d = { 1 };
    assert_ok(check_plain(prepared(AT_CLASS, "mail/", PAYLOAD(&w, class, &d))));
}

static void stopping_is_cheaper_than_starting(void **state)
{
    static struct authority_doc d;
    struct name ca = name_of("ca");
    struct region_doc home = { .key = w.genesis.region[0].key, .state = REGION_FROZEN };
    assert_ok(attest_get_authority(&w.a, &ca, &d, NULL));
    assert_ok(authority_gen_set_state(&d, 1, AUTH_TAINTED, NULL));
    assert_ok(check_plain(prepared(AT_AUTHORITY, "ca", PAYLOAD(&w, authority, &d))));
    d.ttl_s++;                                          /* not only stopped */
    assert_err(check_plain(prepared(AT_AUTHORITY, "ca", PAYLOAD(&w, authority, &d))), REEVE_E_APPROVAL_NEEDED);
    block_of(&w, AT_REGION, "home", PAYLOAD(&w, region, &home));
    home.state = REGION_OK;                             /* the thaw is a start */
    assert_err(check_plain(prepared(AT_REGION, "home", PAYLOAD(&w, region, &home))), REEVE_E_APPROVAL_NEEDED);
}

static void the_members_of_its_ring_are_a_regions_own_affair_and_its_key_is_not(void **state)
{
    struct region_doc home = { .key = w.genesis.region[0].key, .state = REGION_OK, .n_members = 1, .member = { { 2, { { 5 } }, { { 6 } } } } };
    assert_ok(check_plain(prepared(AT_REGION, "home", PAYLOAD(&w, region, &home))));
    home.key.b[0] ^= 1;
    assert_err(check_plain(prepared(AT_REGION, "home", PAYLOAD(&w, region, &home))), REEVE_E_APPROVAL_NEEDED);
}

static void a_policy_may_ask_for_revocations_too(void **state)
{
    struct policy_doc p = { .subjects = SUBJECT_REVOCATION, .n_terms = 1, .term = { { 1, name_of("security") } }, .expires_s = 60 };
    struct update u = prepared(AT_POLICY, "stops", PAYLOAD(&w, policy, &p)), v;
    struct approval_set s = proposal(&u, 1);
    v = prepared(AT_NODE, "n-0123456789abcdef0123456789abcdef", slice_str("\1\1"));
    assert_ok(check_plain(v));
    approve_by(&s, BY(ANNA, BERT, EMIL));
    struct slice leaf = leaf_with(u, &s, 0);
    block(&w, &leaf, 1);
    assert_err(check_plain(v), REEVE_E_APPROVAL_NEEDED);
    s = proposal(&v, 1);
    s.ref.policy = name_of("stops");
    s.ref.policy_version = 1;
    struct hash32 chain = chain_id();
    proposal_digest(w.a.c, &s.ref, &chain, s.content, 1);
    approve_by(&s, BY(CORA));
    assert_ok(check_with(v, &s));
}

/* ---- who suffices ---- */

static enum reeve_err wish_by(unsigned bits)
{
    struct update u = wish();
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, bits);
    return check_with(u, &s);
}

static void one_too_few_is_too_few(void **state)
{
    assert_err(wish_by(BY(ANNA, BERT)), REEVE_E_APPROVAL_NEEDED);
    assert_err(wish_by(BY(ANNA, EMIL)), REEVE_E_APPROVAL_NEEDED);
    assert_ok(wish_by(BY(ANNA, BERT, EMIL)));
}

static void one_person_counts_for_one_factor(void **state)
{
    assert_err(wish_by(BY(ANNA, DORA)), REEVE_E_APPROVAL_NEEDED);       /* dora is in both groups */
    assert_ok(wish_by(BY(ANNA, CORA, DORA)));                           /* and stands where she is needed */
    assert_ok(wish_by(BY(ANNA, DORA, EMIL)));
}

static void one_jurisdiction_is_not_two(void **state)
{
    assert_err(wish_by(BY(ANNA, CORA, EMIL)), REEVE_E_APPROVAL_NEEDED);
    assert_ok(wish_by(BY(BERT, CORA, EMIL)));
}

static void the_proposer_does_not_approve(void **state)
{
    struct update u = wish();
    u.actor = name_of("anna");
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    assert_err(check_with(u, &s), REEVE_E_APPROVAL_NEEDED);
    approve_by(&s, BY(CORA, BERT, EMIL));
    assert_ok(check_with(u, &s));
}

static void a_signature_twice_is_no_set(void **state)
{
    struct update u = wish();
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    s.a[2] = s.a[1];
    assert_err(check_with(u, &s), REEVE_E_MALFORMED);
}

/* ---- what was signed ---- */

static void approvals_are_for_one_content(void **state)
{
    struct update u = wish(), other = u;
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    other.reason = slice_str("something else");
    assert_err(check_with(other, &s), REEVE_E_V_UPDATE);
    s = proposal(&other, 1);                                /* the other's digest over the first one's signatures */
    struct approval_set mine = proposal(&u, 1);
    approve_by(&mine, BY(ANNA, BERT, EMIL));
    memcpy(s.a, mine.a, sizeof s.a);
    s.n = mine.n;
    assert_err(check_with(other, &s), REEVE_E_V_SIGNATURE);
    assert_ok(check_with(u, &mine));
}

static void every_line_of_the_text_is_signed(void **state)
{
    struct update u = wish();
    struct approval_set s = proposal(&u, 1), t;
    approve_by(&s, BY(ANNA, BERT, EMIL));
    t = s, t.ref.not_after_s++;
    assert_err(check_with(u, &t), REEVE_E_V_SIGNATURE);
    t = s, t.ref.proposal = name_of("p2");
    assert_err(check_with(u, &t), REEVE_E_V_SIGNATURE);
    t = s, t.ref.policy_version++;
    assert_err(check_with(u, &t), REEVE_E_CONFLICT);
    t = s, sign_as(&t.a[1], ANNA, false, &t.ref);           /* a rejection is no approval */
    assert_err(check_with(u, &t), REEVE_E_V_SIGNATURE);
    t = s, sign_as(&t.a[1], CORA, true, &t.ref), t.a[1].approver = name_of("ops/anna");
    assert_err(check_with(u, &t), REEVE_E_V_SIGNATURE);     /* somebody else's hand */
    assert_ok(check_with(u, &s));
}

static void they_expire_by_header_time(void **state)
{
    struct update u = wish();
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    w.now.ms = (int64_t) s.ref.not_after_s * 1000 - 1000;   /* check() asks a second later */
    assert_ok(check_with(u, &s));
    w.now.ms++;
    assert_err(check_with(u, &s), REEVE_E_V_EXPIRED);
}

static void they_are_used_once(void **state)
{
    struct update u = wish();
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    struct slice leaf = leaf_with(u, &s, 0);
    block(&w, &leaf, 1);
    assert_err(check(&w, &leaf, 1), REEVE_E_CONFLICT);
    assert_err(check_with(wish(), &s), REEVE_E_V_UPDATE);   /* the same wish anew is another content */
}

/* ---- what changes meanwhile ---- */

static struct slice approved_leaf(struct update u)
{
    struct approval_set s = proposal(&u, 1);
    s.ref.proposal = name_of("meanwhile");
    struct hash32 chain = chain_id();
    proposal_digest(w.a.c, &s.ref, &chain, s.content, 1);
    approve_by(&s, BY(BERT, CORA, EMIL));
    return leaf_with(u, &s, 0);
}

static void another_key_voids_an_approval(void **state)
{
    struct approver_doc d = approver(ANNA);
    struct update u = wish();
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    d.key.b[0] ^= 1;
    struct slice list[2] = { approved_leaf(prepared(AT_APPROVER, "ops/anna", PAYLOAD(&w, approver, &d))), leaf_with(u, &s, 0) };
    assert_ok(check(&w, &list[1], 1));
    assert_err(check(&w, list, 2), REEVE_E_V_SIGNATURE);    /* in the same block, before */
    block(&w, list, 1);
    assert_err(check_with(u, &s), REEVE_E_V_SIGNATURE);
    approve_by(&s, BY(CORA, BERT, EMIL));
    assert_ok(check_with(u, &s));
}

static void a_dropped_approver_counts_no_more(void **state)
{
    struct update u = wish();
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    struct slice leaf = approved_leaf(prepared(AT_APPROVER, "ops/anna", slice_of(NULL, 0)));
    block(&w, &leaf, 1);
    assert_err(check_with(u, &s), REEVE_E_V_REVOKED);
}

static void another_policy_voids_what_was_approved_under_the_old_one(void **state)
{
    struct policy_doc p = trust();
    struct update u = wish();
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    p.expires_s = 60;
    struct slice leaf = approved_leaf(prepared(AT_POLICY, "trust", PAYLOAD(&w, policy, &p)));
    block(&w, &leaf, 1);
    assert_err(check_with(u, &s), REEVE_E_CONFLICT);
}

/* ---- vetoes ---- */

static struct update veto_of(const struct approval_set *s, int who, bool reject)
{
    struct veto_doc d = { .ref = s->ref, .n = 1 };
    struct name object;
    sign_as(&d.a[0], who, !reject, &s->ref);
    veto_object_name(&object, &s->ref.digest);
    return prepared(AT_VETO, object.s, PAYLOAD(&w, veto, &d));
}

static void a_veto_ends_a_proposal_for_good(void **state)
{
    struct update u = wish();
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    assert_err(check_plain(veto_of(&s, EMIL, true)), REEVE_E_APPROVAL_NEEDED);     /* not of the group */
    assert_err(check_plain(veto_of(&s, CORA, false)), REEVE_E_V_SIGNATURE);        /* an approval is no rejection */
    struct slice veto = leaf_of(&w, veto_of(&s, CORA, true)), list[2] = { veto, leaf_with(u, &s, 0) };
    assert_ok(check(&w, &list[1], 1));
    assert_err(check(&w, list, 2), REEVE_E_V_REVOKED);
    block(&w, &veto, 1);
    assert_err(check_with(u, &s), REEVE_E_V_REVOKED);
    struct approval_set again = proposal(&u, 1);
    again.ref.proposal = name_of("p1 again");
    struct hash32 chain = chain_id();
    proposal_digest(w.a.c, &again.ref, &chain, again.content, 1);
    approve_by(&again, BY(ANNA, BERT, EMIL));
    assert_ok(check_with(u, &again));
}

/* ---- several parts ---- */

static void parts_come_together_and_in_order(void **state)
{
    struct class_doc d = { 1 };
    struct update u[2] = { wish() };
    u[1] = prepared(AT_CLASS, "mail/", PAYLOAD(&w, class, &d));
    struct approval_set s = proposal(u, 2);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    struct slice list[3] = { leaf_with(u[0], &s, 0), leaf_with(u[1], &s, 1), leaf_of(&w, u[1]) };
    assert_ok(check(&w, list, 2));
    assert_err(check(&w, list, 1), REEVE_E_V_UPDATE);
    assert_err(check(&w, &list[1], 1), REEVE_E_V_UPDATE);
    struct slice turned[2] = { list[1], list[0] }, stripped[2] = { list[0], list[2] };
    assert_err(check(&w, turned, 2), REEVE_E_V_UPDATE);
    assert_err(check(&w, stripped, 2), REEVE_E_V_UPDATE);
}

/* ---- approvers and policies themselves ---- */

static enum reeve_err check_policy_doc(const char *name, const struct policy_doc *p)
{
    return check_plain(prepared(AT_POLICY, name, PAYLOAD(&w, policy, p)));
}

static void the_first_policy_covers_policies(void **state)
{
    struct policy_doc p = trust();
    p.subjects = SUBJECT_BIT(AT_AUTHORITY);
    assert_err(check_policy_doc("trust", &p), REEVE_E_V_UPDATE);
    p.subjects |= SUBJECT_BIT(AT_POLICY);
    assert_ok(check_policy_doc("trust", &p));
}

static void a_policy_must_be_reachable(void **state)
{
    struct policy_doc p = trust();
    p.term[1].count = 5;
    assert_err(check_policy_doc("trust", &p), REEVE_E_V_UPDATE);        /* four in the group */
    p.term[1].count = 4;
    assert_ok(check_policy_doc("trust", &p));                           /* dora then stands with security, emil alone with legal */
    p.term[0].count = 2;
    assert_err(check_policy_doc("trust", &p), REEVE_E_V_UPDATE);        /* and cannot be in both */
    p = trust(), p.distinct = 3;
    assert_err(check_policy_doc("trust", &p), REEVE_E_V_UPDATE);        /* two jurisdictions there are */
    p = trust(), p.veto_count = 5;
    assert_err(check_policy_doc("trust", &p), REEVE_E_V_UPDATE);
    p.veto_count = 4;
    assert_ok(check_policy_doc("trust", &p));
}

static enum reeve_err check_approved(struct update u)
{
    struct approval_set s = proposal(&u, 1);
    approve_by(&s, BY(ANNA, BERT, EMIL));
    return check_with(u, &s);
}

static void a_policy_stays_reachable(void **state)
{
    struct policy_doc p = { .subjects = SUBJECT_BIT(AT_CERT), .n_terms = 1, .term = { { 2, name_of("legal") } }, .expires_s = 60 };
    struct slice leaf = approved_leaf(prepared(AT_POLICY, "certs", PAYLOAD(&w, policy, &p)));
    assert_ok(check_approved(prepared(AT_APPROVER, "ops/dora", slice_of(NULL, 0))));
    block(&w, &leaf, 1);
    assert_err(check_approved(prepared(AT_APPROVER, "ops/dora", slice_of(NULL, 0))), REEVE_E_DEPENDENT);
    assert_ok(check_approved(prepared(AT_APPROVER, "ops/cora", slice_of(NULL, 0))));
}

static void a_subject_has_one_policy_and_policies_always_have_one(void **state)
{
    struct policy_doc p = { .subjects = SUBJECT_BIT(AT_CERT), .n_terms = 1, .term = { { 1, name_of("legal") } }, .expires_s = 60 };
    struct slice leaf = approved_leaf(prepared(AT_POLICY, "certs", PAYLOAD(&w, policy, &p)));
    block(&w, &leaf, 1);
    assert_err(check_approved(prepared(AT_POLICY, "other", PAYLOAD(&w, policy, &p))), REEVE_E_V_UPDATE);
    assert_err(check_approved(prepared(AT_POLICY, "trust", slice_of(NULL, 0))), REEVE_E_V_UPDATE);
    assert_ok(check_approved(prepared(AT_POLICY, "certs", slice_of(NULL, 0))));
}

static void two_approvers_never_have_one_key(void **state)
{
    struct approver_doc d = approver(ANNA);
    assert_err(check_plain(prepared(AT_APPROVER, "ops/anna2", PAYLOAD(&w, approver, &d))), REEVE_E_V_KEY);
    d.key.b[0] ^= 1;
    assert_ok(check_plain(prepared(AT_APPROVER, "ops/anna2", PAYLOAD(&w, approver, &d))));
}

/* ---- asking beforehand ---- */

static void one_can_ask_which_policy_a_list_needs(void **state)
{
    struct proposal_need need;
    struct class_doc d = { 1 };
    struct slice leaf = leaf_of(&w, wish());
    assert_ok(attest_check_proposal(&w.a, &leaf, 1, (struct wall_ms){ w.now.ms + 1 }, &need, &w.rep));
    assert_true(need.needed);
    assert_string_equal(need.policy.s, "trust");
    assert_int_equal(need.version, 1);
    assert_int_equal(need.expires_s, 900);
    leaf = leaf_of(&w, prepared(AT_CLASS, "mail/", PAYLOAD(&w, class, &d)));
    assert_ok(attest_check_proposal(&w.a, &leaf, 1, (struct wall_ms){ w.now.ms + 1 }, &need, &w.rep));
    assert_false(need.needed);
}

/* ---- notes ---- */

static void the_text_is_this_to_the_byte(void **state)
{
    struct approval_ref ref = { .proposal = name_of("p1"), .policy = name_of("trust root"), .policy_version = 12, .not_after_s = 1800000900 };
    struct hash32 chain = { { 0xab } };
    uint8_t bytes[APPROVAL_TEXT_MAX];
    struct wr text = wr_fixed(bytes, sizeof bytes);
    ref.digest.b[31] = 1;
    approval_text(&text, &chain, true, &ref);
    wr_u8(&text, 0);
    assert_string_equal(bytes, "reeve approval v1\n"
                        "ab00000000000000000000000000000000000000000000000000000000000000\n"
                        "approve\np1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=\ntrust root 12\n1800000900\n");
}

/* golang.org/x/mod/sumdb/note's own example key. */
static void verifier_keys_are_those_of_signed_notes(void **state)
{
    static const char vkey[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    struct name name;
    struct pubkey k;
    char out[100] = "";
    struct wr m = wr_fixed(out, sizeof out - 1);
    assert_ok(vkey_read(w.a.c, &name, &k, slice_str(vkey)));
    assert_string_equal(name.s, "PeterNeumann");
    vkey_write(w.a.c, &m, &name, &k);
    assert_string_equal(out, vkey);
    assert_err(vkey_read(w.a.c, &name, &k, slice_str("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")), REEVE_E_V_KEY);
    assert_err(vkey_read(w.a.c, &name, &k, slice_str("PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")), REEVE_E_MALFORMED);
    assert_err(vkey_read(w.a.c, &name, &k, slice_str("PeterNeumann+c74f20a3")), REEVE_E_MALFORMED);
}

/* The same package's example message. */
static void a_note_is_read_by_the_line_of_its_key(void **state)
{
    static const char text[] = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    static const char line[] = "\xe2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
    struct name name;
    struct pubkey k;
    struct sig64 sig;
    char note[1024];
    assert_ok(vkey_read(w.a.c, &name, &k, slice_str("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")));
    assert_ok(approval_note_read(w.a.c, &sig, slice_str(line), slice_str(text), &name, &k));
    assert_true(w.a.c->verify(&sig, slice_str(text), &k));
    snprintf(note, sizeof note, "%s\n\xe2\x80\x94 EnochRoot af4zVHxXaVfcbBHZUN0L3Yy3mPBY\n%s\n", text, line);
    assert_ok(approval_note_read(w.a.c, &sig, slice_str(note), slice_str(text), &name, &k));
    note[0] = 'i';
    assert_err(approval_note_read(w.a.c, &sig, slice_str(note), slice_str(text), &name, &k), REEVE_E_V_UPDATE);
    assert_err(approval_note_read(w.a.c, &sig, slice_str("- PeterNeumann x"), slice_str(text), &name, &k), REEVE_E_MALFORMED);
    assert_err(approval_note_read(w.a.c, &sig, slice_str("\xe2\x80\x94 PeterNeumann x08go"), slice_str(text), &name, &k), REEVE_E_MALFORMED);
    assert_err(approval_note_read(w.a.c, &sig, slice_str("\xe2\x80\x94 EnochRoot af4zVA=="), slice_str(text), &name, &k), REEVE_E_NOT_FOUND);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define FREE(f) cmocka_unit_test_setup_teardown(f, setup_people, teardown)
    const struct CMUnitTest tests[] = {
        FREE(without_a_policy_nothing_needs_approvals),
        T(with_a_policy_trust_needs_approvals),
        T(what_no_policy_covers_goes_on_without),
        T(stopping_is_cheaper_than_starting),
        T(the_members_of_its_ring_are_a_regions_own_affair_and_its_key_is_not),
        T(a_policy_may_ask_for_revocations_too),
        T(one_too_few_is_too_few),
        T(one_person_counts_for_one_factor),
        T(one_jurisdiction_is_not_two),
        T(the_proposer_does_not_approve),
        T(a_signature_twice_is_no_set),
        T(approvals_are_for_one_content),
        T(every_line_of_the_text_is_signed),
        T(they_expire_by_header_time),
        T(they_are_used_once),
        T(another_key_voids_an_approval),
        T(a_dropped_approver_counts_no_more),
        T(another_policy_voids_what_was_approved_under_the_old_one),
        T(a_veto_ends_a_proposal_for_good),
        T(parts_come_together_and_in_order),
        FREE(the_first_policy_covers_policies),
        FREE(a_policy_must_be_reachable),
        T(a_policy_stays_reachable),
        T(a_subject_has_one_policy_and_policies_always_have_one),
        FREE(two_approvers_never_have_one_key),
        T(one_can_ask_which_policy_a_list_needs),
        T(the_text_is_this_to_the_byte),
        T(verifier_keys_are_those_of_signed_notes),
        T(a_note_is_read_by_the_line_of_its_key),
    };
    return cmocka_run_group_tests_name("attest_approval", tests, NULL, NULL);
}
