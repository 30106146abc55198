/*
 * peers.c - the newest finalized head, told to a few other agents by datagrams
 *
 * Once a minute, to PEERS_TOLD of them by chance. A datagram is "RVH1" and a finalization; none is answered, so nobody can be
 * made to send anything to anybody. What comes in is bounded here (READS a turn) and again in the library.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "engine/attest_fork.h"

#define MAGIC      "RVH1"
#define MAGIC_LEN  4
#define PEERS_TOLD 3
#define READS      8
#define TELL_MS    60000

static struct addrinfo *resolve(const char *text, bool passive)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST | (passive ? AI_PASSIVE : 0) }, *out;
    size_t len = colon ? (size_t) (colon - text) : 0;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof host)
        return NULL;
    memcpy(host, text, len);
    host[len] = '\0';
    return getaddrinfo(host, colon + 1, &hints, &out) == 0 ? out : NULL;
}

/* -1: none is wanted, or it cannot be had; everything else goes on. */
int peers_open(const struct options *o)
{
    if (o->peer_listen[0] == '\0')
        return -1;
    struct addrinfo *ai = resolve(o->peer_listen, true);
    int fd = ai ? socket(ai->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0 && bind(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        log_line(AGENT_LOG_WARNING, "peers cannot reach us at %s: %s", o->peer_listen, ai ? strerror(errno) : "it is no address and port");
    if (ai)
        freeaddrinfo(ai);
    return fd;
}

/* ---- telling ---- */

static unsigned peer_count(const char *list)
{
    unsigned n = list[0] != '\0';
    for (const char *p = list; *p != '\0'; p++)
        n += *p == ',';
    return n;
}

static bool peer_at(const char *list, unsigned i, char out[300])
{
    while (i-- > 0)
        list = strchr(list, ',') + 1;
    size_t len = strcspn(list, ",");
    while (len > 0 && *list == ' ')
        list++, len--;
    snprintf(out, 300, "%.*s", (int) (len < 299 ? len : 299), list);
    return len > 0;
}

static void tell_one(struct daemon *d, unsigned i, struct slice head)
{
    uint8_t mem[MAGIC_LEN + HEAD_BYTES_MAX];
    char text[300];
    struct wr w = wr_fixed(mem, sizeof mem);
    struct addrinfo *ai = peer_at(d->o.peers, i, text) ? resolve(text, false) : NULL;
    wr_bytes(&w, MAGIC, MAGIC_LEN);
    wr_bytes(&w, head.p, head.len);
    if (ai == NULL)
        log_line(AGENT_LOG_DEBUG, "peer %s is no address and port", text);
    else if (!w.bad && sendto(d->peer_fd, w.p, w.len, 0, ai->ai_addr, ai->ai_addrlen) < 0)
        log_line(AGENT_LOG_DEBUG, "peer %s: %s", text, strerror(errno));
    if (ai)
        freeaddrinfo(ai);
}

/* Ours, or where there is evidence both heads of it: whoever holds one of them has then seen the other. */
static unsigned heads_to_tell(const struct daemon *d, struct slice out[2])
{
    struct rd r = rd_of(agent_fork(d->agent));
    out[0] = agent_head(d->agent);
    if (rd_left(&r) == 0)
        return out[0].len > 0;
    (void) rd_u8(&r);
    out[0] = rd_str16(&r, HEAD_BYTES_MAX);
    out[1] = rd_str16(&r, HEAD_BYTES_MAX);
    return r.bad ? 0 : 2;
}

static void tell(struct daemon *d)
{
    unsigned n = peer_count(d->o.peers), from = n > 0 ? random_below(n) : 0;
    struct slice head[2];
    unsigned n_heads = heads_to_tell(d, head);
    for (unsigned i = 0; i < n && i < PEERS_TOLD; i++)
        for (unsigned k = 0; k < n_heads; k++)
            tell_one(d, (from + i) % n, head[k]);
}

/* When to be called again. */
int64_t peers_run(struct daemon *d)
{
    int64_t now = now_read().mono.ms;
    uint32_t every = d->o.tick_ms != 0 ? d->o.tick_ms : TELL_MS;
    if (d->peer_fd < 0 || d->o.peers[0] == '\0')
        return INT64_MAX;
    if (now >= d->tell_ms) {
        tell(d);
        d->tell_ms = now + every * 8 / 10 + random_below(every * 4 / 10 + 1);
    }
    return d->tell_ms;
}

/* ---- being told ---- */

void peers_read(struct daemon *d)
{
    static uint8_t mem[MAGIC_LEN + HEAD_BYTES_MAX + 1];
    for (int i = 0; i < READS; i++) {
        ssize_t n = recv(d->peer_fd, mem, sizeof mem, 0);
        if (n < 0)
            return;
        if (n > MAGIC_LEN && (size_t) n < sizeof mem && memcmp(mem, MAGIC, MAGIC_LEN) == 0)
            agent_heard(d->agent, slice_of(mem + MAGIC_LEN, (size_t) n - MAGIC_LEN), now_read());
    }
}

/* ---- evidence ---- */

/* As a file beside the state, for people: once. */
void fork_write(struct daemon *d)
{
    char path[1100];
    struct slice s = agent_fork(d->agent);
    if (s.len == 0 || d->fork_written)
        return;
    d->fork_written = true;
    snprintf(path, sizeof path, "%s/fork.evidence", d->o.state);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (write(fd, s.p, s.len) != (ssize_t) s.len || fsync(fd) != 0)
        log_line(AGENT_LOG_ERROR, "%s could not be written: %s", path, strerror(errno));
    close(fd);
}
