/*
 * detour.c - connections to some ports of this machine go to others
 *
 *   LD_PRELOAD=detour.so REEVE_DETOUR=7435=9001,7436=9002 reeve-ctl start -D DIR
 *
 * With relay.c this puts a distance between servers that stand on one machine, another one for each pair: all dial the address
 * that genesis names, and each comes out at the relay made for it. The server knows nothing of it.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef int connect_fn(int, const struct sockaddr *, socklen_t);

static unsigned instead_of(unsigned port)
{
    const char *at = getenv("REEVE_DETOUR");
    while (at != NULL && *at != '\0') {
        char *end;
        unsigned from = (unsigned) strtoul(at, &end, 10);
        if (*end != '=')
            break;
        unsigned to = (unsigned) strtoul(end + 1, &end, 10);
        if (from == port)
            return to;
        at = *end == ',' ? end + 1 : NULL;
    }
    return port;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    static connect_fn *real;
    union { struct sockaddr any; struct sockaddr_in in; struct sockaddr_in6 in6; struct sockaddr_storage room; } to;
    if (real == NULL)
        real = (connect_fn *) dlsym(RTLD_NEXT, "connect");
    if (len > sizeof to)
        return real(fd, addr, len);
    memcpy(&to, addr, len);
    if (to.any.sa_family == AF_INET)
        to.in.sin_port = htons((uint16_t) instead_of(ntohs(to.in.sin_port)));
    else if (to.any.sa_family == AF_INET6)
        to.in6.sin6_port = htons((uint16_t) instead_of(ntohs(to.in6.sin6_port)));
    return real(fd, &to.any, len);
}
