/*
 * ipc_frames.c - fuzz target of what one process of the server sends another
 *
 * The first byte chooses who hears whom, the second how many bytes arrive at
 * a time. Bodies of replies are taken apart as well.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/ipc/ipc_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void reply(struct slice body)
{
    enum reeve_err err;
    struct report rep;
    struct slice result;
    if (reply_split(body, &err, &rep, &result) == REEVE_OK)
        reeve_assert(result.len <= body.len);
}

/* False once the channel is refused. */
static bool hear(struct ipc_channel *ch)
{
    struct ipc_msg m;
    enum reeve_err err = frame_read(ch);
    if (err == REEVE_OK)
        while ((err = frame_next(ch, &m)) == REEVE_OK) {
            reeve_assert(m.fd < 0 && m.body.len <= IPC_BODY_MAX && msg_allowed(m.type, ch->peer, ch->self));
            if (m.type == MSG_REPLY)
                reply(m.body);
        }
    reeve_assert(err == REEVE_E_AGAIN || ch->why[0] != '\0' || err == REEVE_E_NOMEM);
    return err == REEVE_E_AGAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int pair[2];
    struct ipc_channel *ch;
    if (len < 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return 0;
    enum proc_kind self = data[0] % PROC__COUNT, peer = data[0] / PROC__COUNT % PROC__COUNT;
    size_t step = data[1] ? data[1] : 4096;
    reeve_assert(ipc_open(&ch, pair[0], self, peer, 1) == REEVE_OK);
    for (size_t at = 2; at < len; at += step) {
        size_t n = len - at < step ? len - at : step;
        if (write(pair[1], data + at, n) != (ssize_t) n || !hear(ch))
            break;
    }
    close(pair[1]);
    ipc_close(ch);
    reply(slice_of(data, len));
    return 0;
}
