/*
 * ports.h - a port of its own for a test that starts a server or a part of one
 *
 * A server's default ports belong to whoever runs one on this machine: a ring
 * process of a test on 7434 keeps a real member from starting. Below the range
 * that the kernel hands out by itself, and free at the moment; the same program
 * may run twice at the same time, so numbers begin at a place of its own.
 */
#ifndef REEVE_UNIT_PORTS_H
#define REEVE_UNIT_PORTS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

static inline uint16_t unit_port(void)
{
    static uint16_t port;
    for (;;) {
        port = port && port < 31999 ? port + 1 : (uint16_t) (15000 + getpid() * 37 % 15000);
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_ANY) } };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool ok = bind(fd, (struct sockaddr *) &at, sizeof at) == 0;
        close(fd);
        if (ok)
            return port;
    }
}

#endif
