/*
 * world.h - members' links in one process, and one fake member whose bytes a test chooses
 *
 * All endpoints share one loop, so a test is the only thread (but for names
 * being looked up). Ports are the kernel's. What a test waits for is a
 * condition, with ten seconds as the bound that says it failed.
 */
#ifndef REEVE_PEER_WORLD_H
#define REEVE_PEER_WORLD_H

#include "../unit.h"

#include "backend/peer/peer.h"
#include "crypto/tls.h"

#define WORLD_NODES 5
#define RING_ID     0x5eed1234abcdULL
#define HEARD_MAX   64

struct heard { uint8_t type; uint32_t from; uint64_t term, index; uint32_t n_entries; size_t data; struct hash32 sum; };
struct node {
    struct world *w;
    uint32_t id;
    uint64_t incarnation;
    struct peer_identity identity;
    struct peers *p;                    /* NULL: not running */
    uint16_t port;                      /* kept over a restart */
    char addr[RAFT_ADDR_MAX + 1];
    size_t addr_len;
    struct peers_config config;         /* for the next start */
    struct raft_conf conf;
    uint64_t conf_index;
    uint64_t heard[WORLD_NODES + 1], lost[WORLD_NODES + 1], found[WORLD_NODES + 1];
    bool reach[WORLD_NODES + 1];
    struct heard last[HEARD_MAX];       /* last[n % HEARD_MAX] */
    uint64_t n;
    uint64_t news;                      /* bytes told to it */
    struct letter { uint32_t from; size_t len; struct hash32 sum; } letter;     /* the last one */
    uint64_t letters;
    void *user;                         /* with message, reachable: instead of counting */
    void (*message)(void *node, const struct raft_msg *m);
    void (*reachable)(void *node, uint32_t id, bool yes);
    void (*on_join)(struct node *n, uint64_t ticket, const struct peer_join_request *j);
};
struct world { struct loop *loop; struct node node[WORLD_NODES + 1]; unsigned n; };

/* Nodes 1..n with their listeners; not configured yet. */
struct world *world_new(unsigned n);
void world_free(struct world *w);
void node_start(struct node *n);
void node_stop(struct node *n);
/* A configuration of the nodes of that set (bit id), told to this node. */
void world_conf(struct world *w, struct raft_conf *out, unsigned set);
void node_conf(struct node *n, const struct raft_conf *c, uint64_t index);
/* All nodes know all. */
void world_join_all(struct world *w);
struct raft_msg node_msg(const struct node *from, const struct node *to, uint8_t type);
void node_send(struct node *from, const struct raft_msg *m);
struct peer_status node_status(const struct node *n, uint32_t peer, uint8_t purpose);
bool linked(const struct node *a, const struct node *b);        /* both connections that a dials to b stand */

int64_t now_ms(void);
/* Runs the loop until the condition holds; fails after ten seconds. */
#define world_until(w, cond) do { \
        int64_t end_ = now_ms() + 10000; \
        while (!(cond)) { \
            loop_run_once((w)->loop, 5); \
            if (now_ms() > end_) \
                fail_msg("%s:%d: waited in vain for %s", __FILE__, __LINE__, #cond); \
        } \
    } while (0)
#define world_for(w, ms) do { \
        for (int64_t end_ = now_ms() + (ms); now_ms() < end_;) \
            loop_run_once((w)->loop, 5); \
    } while (0)

/* ---- the fake ---- */

struct fake {
    struct world *w;
    int fd;
    struct tls *tls;
    struct tls_ctx *ctx;
    uint8_t in[1 << 16];
    size_t in_len;
    bool ended;
};
/* Connects with that identity (NULL: plain TCP only) and agrees on TLS. */
void fake_dial(struct fake *f, struct world *w, uint16_t port, const struct peer_identity *i);
/* Listens; the port. fake_accept() takes the next connection and agrees on TLS. */
int fake_listen(uint16_t *port);
void fake_accept(struct fake *f, struct world *w, int listener, const struct peer_identity *i);
void fake_write(struct fake *f, struct slice bytes);
/* The next frame; false when the connection ended instead. */
bool fake_frame(struct fake *f, uint8_t *kind, struct wr *body);
/* Waits for the end; what comes before it is passed over. */
void fake_ended(struct fake *f);
void fake_close(struct fake *f);

#endif
