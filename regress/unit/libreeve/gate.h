/*
 * gate.h - a gateway inside the test: real sockets and TLS, a real chain, a clock of our own
 *
 * The chain is regress/unit/attest's world. Each test changes what the gateway
 * says through `lie` or a hook and looks at what the agent makes of it.
 */
#ifndef REEVE_UNIT_LIBREEVE_GATE_H
#define REEVE_UNIT_LIBREEVE_GATE_H

#include "../attest/world.h"
#include "crypto/hash.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "engine/wire.h"
#include "frontend/libreeve/agent.h"

enum lie {
    LIE_NOT, LIE_GENESIS, LIE_SET, LIE_REGION_KEY, LIE_EXPORTER, LIE_DELEGATION_OLD, LIE_DELEGATION_REGION,
    LIE_FEW, LIE_OTHER_KEY, LIE_TEMPLATE, LIE_CA, LIE_NO_SEAL,
};

#define KEYS_MAX 16
struct stage {
    struct world w;
    enum lie lie;
    struct sign_key gw;
    struct pubkey gw_pub;
    struct xkey *ca, *leaf_key;         /* leaf_key: of shared certificates, and of lies */
    struct wr ca_cert;
    struct authority_doc auth;
    struct cert_doc cert;

    int lfd, fd;
    char endpoint[32];
    struct tls_ctx *ctx;
    struct tls *tls;
    bool shaken, refuse_tcp, plain_retry, known, mute;
    struct wr in, out;
    size_t out_off;
    struct hash32 challenge;
    uint64_t log_size;                  /* the agent's, as a gateway assumes it */
    struct object_key keys[KEYS_MAX];
    size_t n_keys;
    void (*mutate)(struct stage *g, uint8_t *bundle, size_t len);

    /* seen */
    unsigned accepted, subscribes, cert_requests, key_requests, reports, resumed;
    struct wire_auth auth_frame;
    struct wire_report report;
    char report_object[256];
    unsigned last_error;
    unsigned heads[4];                  /* HEADS by kind */
    struct wr evidence;                 /* of kind 3; the test frees it */

    /* the agent and its host */
    struct agent *a;
    struct agent_identity id;
    struct agent_now now;
    unsigned installs, refused[REEVE_E__COUNT];
    uint32_t installed_gen;
    unsigned install_code;              /* what the host answers */
    bool install_later;
    struct hash32 installed_fp;
};

void gate_new(struct stage *g, unsigned n_validators);
void gate_free(struct stage *g);
/* A new agent on the gate with a token, or from a store. */
void gate_agent(struct stage *g, struct agent_store *store, bool with_token);
void gate_agent_end(struct stage *g);
/* Turns of both sides, one millisecond each, until cond or 20,000 turns. */
bool gate_until(struct stage *g, bool (*cond)(struct stage *g));
void gate_turns(struct stage *g, int n);
/* The clock jumps; then one turn. */
void gate_jump(struct stage *g, int64_t ms);

/* Ends the connection from the gateway's side. */
void gate_cut(struct stage *g);
void gate_send(struct stage *g, const struct wire_frame *f);
/* Everything the agent follows, as a bundle of scope 1 from the log size it has. */
void gate_push(struct stage *g);
void gate_tick(struct stage *g);
void gate_follow(struct stage *g, enum attest_type type, const char *name);

/* The chain's story: a region, an authority with a real certificate, a certificate "web" whose generation 1 is active. */
void gate_furnish(struct stage *g, uint8_t mode);
/* A rollout of web from one generation to the next with wave bounds, opened waves so far. */
void gate_rollout(struct stage *g, uint64_t bound0);
/* An attested config key whose generation 1 is that value, rolled out to everybody. */
void gate_config(struct stage *g, const char *key, const char *value);
/* The region is frozen, or not any more. */
void gate_region(struct stage *g, uint8_t state);
void gate_rollout_step(struct stage *g, uint8_t state, uint8_t opened);

bool ready(struct stage *g);
bool installed(struct stage *g);
bool reported(struct stage *g);
bool refused(struct stage *g);

#endif
