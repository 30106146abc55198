/*
 * ping.c - asks as a client would: a start-up packet of the PostgreSQL protocol
 *
 * Any answer of a server that is up will do, also "that role does not exist";
 * 57P03 (starting, stopping) will not.
 */
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "ctl_int.h"

#define WAIT_MS 3000

static int connect_local(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    if (*path == '\0' || strlen(path) >= sizeof un.sun_path)
        return -1;
    memcpy(un.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *) &un, sizeof un) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static int connect_loopback(int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *) &in, sizeof in) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static size_t startup_packet(uint8_t *out, size_t cap)
{
    static const char pairs[] = "user\0reeve-ctl\0database\0reeve\0application_name\0reeve-ctl\0";
    struct wr w = wr_fixed(out, cap);
    wr_u32(&w, 0);
    wr_u32(&w, 196608);
    wr_bytes(&w, pairs, sizeof pairs);
    wr_patch_u32(&w, 0, (uint32_t) w.len);
    return w.len;
}

/* SQLSTATE of an ErrorResponse; empty when there is none. */
static void find_sqlstate(struct rd *r, char out[6])
{
    memset(out, 0, 6);
    for (uint8_t field; !r->bad && (field = rd_u8(r)) != 0;) {
        const uint8_t *from = r->p;
        while (!r->bad && rd_u8(r) != 0)
            ;
        if (field == 'C' && !r->bad && r->p - from == 6)
            memcpy(out, from, 5);
    }
}

static bool is_up(const uint8_t *answer, size_t len)
{
    struct rd r = rd_of(slice_of(answer, len));
    char sqlstate[6];
    uint8_t type = rd_u8(&r);
    rd_u32(&r);
    if (type != 'E')
        return type == 'R';
    find_sqlstate(&r, sqlstate);
    return sqlstate[0] != '\0' && strcmp(sqlstate, "57P03") != 0;
}

static bool talk(int fd)
{
    uint8_t out[128], in[2048];
    size_t n = startup_packet(out, sizeof out), got = 0;
    ssize_t more;
    if (send(fd, out, n, MSG_NOSIGNAL) != (ssize_t) n)
        return false;
    do {
        struct pollfd p = { fd, POLLIN, 0 };
        if (poll(&p, 1, WAIT_MS) != 1 || (more = read(fd, in + got, sizeof in - got)) <= 0)
            break;
        got += (size_t) more;
    } while (got < sizeof in && in[0] == 'E');      /* an error is followed by the end */
    return got > 0 && is_up(in, got);
}

bool server_answers(const struct server *s)
{
    int fd = connect_local(s->socket);
    if (fd < 0 && s->port > 0)
        fd = connect_loopback(s->port);
    if (fd < 0)
        return false;
    bool up = talk(fd);
    close(fd);
    return up;
}
