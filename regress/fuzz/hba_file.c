/* hba_file.c - fuzz target of reeve_hba.conf: parsed, then asked about clients of every sort */
#include "backend/libpq/hba.h"

#include <arpa/inet.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool member(void *arg, struct slice user, struct slice role)
{
    return user.len == role.len;
}

static void ask(const struct hba *h, bool local, bool tls, int family)
{
    struct hba_client c = { .local = local, .tls = tls, .member = member, .database = slice_str("reeve"),
                            .user = slice_str("ann") };
    struct sockaddr_in *v4 = (struct sockaddr_in *) &c.peer;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &c.peer;
    c.peer.ss_family = (sa_family_t) family;
    if (family == AF_INET)
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (family == AF_INET6)
        v6->sin6_addr = in6addr_loopback;
    const struct hba_rule *r = hba_match(h, &c);
    reeve_assert(r == NULL || (r >= h->rules && r < h->rules + h->n));
    reeve_assert(r == NULL || (r->type == HBA_LOCAL) == local);
    reeve_assert(r == NULL || r->method != HBA_TRUST || local);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena a;
    struct hba h;
    struct report rep = { 0 };
    arena_init(&a, 64u << 20);
    if (hba_parse(&h, &a, slice_of(data, len), &rep) == REEVE_OK) {
        reeve_assert(h.n >= 0 && h.n <= HBA_RULES_MAX);
        ask(&h, true, false, AF_UNIX);
        ask(&h, false, false, AF_INET);
        ask(&h, false, true, AF_INET6);
    }
    arena_free(&a);
    return 0;
}
