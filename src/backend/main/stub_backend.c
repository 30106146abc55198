/* stub_backend.c - until backend/tcop has its main function: says to every client that it is not there */
#include <poll.h>
#include <unistd.h>

#include "backend/tcop/backend.h"
#include "common/buf.h"

bool backend_prepare(const char *dir, const struct settings *s, struct report *rep) { return true; }

int backend_main(struct backend_fork *b)
{
    uint8_t in[1024], out[256];
    struct pollfd p = { b->fd, POLLIN, 0 };
    struct wr w = wr_fixed(out, sizeof out);
    fork_unblock_signals();
    if (poll(&p, 1, 5000) != 1 || read(b->fd, in, sizeof in) <= 0)
        return 0;
    wr_u8(&w, 'E');
    wr_u32(&w, 0);
    wr_bytes(&w, "SFATAL\0C0A000\0Msessions are not there yet\0\0", 43);
    wr_patch_u32(&w, 1, (uint32_t) w.len - 1);
    return write(b->fd, w.p, w.len) < 0;
}
