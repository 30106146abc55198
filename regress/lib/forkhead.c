/*
 * forkhead.c - a second history for tests: a head that the only validator's own key has made final beside the true one
 *
 *   forkhead VALIDATOR_KEY HOST:PORT [spoiled]
 *
 * reads a history bundle on standard input, changes the root in its head, signs it and sends it as a peer does; spoiled: with a
 * broken signature
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"
#include "engine/attest_fork.h"
#include "engine/attest_history.h"

static struct history_work work;
static uint8_t in[64 << 20];

static int fail(const char *why)
{
    fprintf(stderr, "forkhead: %s\n", why);
    return 1;
}

static bool head_read(struct finalization *f)
{
    struct history_reader r;
    struct history_tail t;
    size_t len = fread(in, 1, sizeof in, stdin);
    enum reeve_err err = history_open(&r, slice_of(in, len));
    while (err == REEVE_OK && (err = history_next(&r, &work.b)) == REEVE_OK)
        ;
    if (err != REEVE_E_NOT_FOUND || history_tail(&r, &t) != REEVE_OK)
        return false;
    *f = t.head;
    return true;
}

static bool sign_again(struct finalization *f, const char *path, bool spoiled)
{
    uint8_t seed[32], bytes[ATTEST_VOTE_LEN];
    struct sign_key key;
    struct pubkey pub;
    struct vote v;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(seed, 1, sizeof seed, file) != sizeof seed || f->n_sigs != 1 || f->n_links != 0)
        return false;
    fclose(file);
    sign_key_from_seed(&key, &pub, seed);
    f->header.log_root.b[0] ^= 1;
    vote_of_header(&crypto_ops_real, &v, VOTE_FINALIZE, &f->header);
    vote_bytes(&v, bytes);
    sign_detached(&f->sig[0], slice_of(bytes, sizeof bytes), &key);
    f->sig[0].b[5] ^= spoiled;
    return true;
}

static bool send_to(const char *to, struct slice bytes)
{
    char host[256];
    const char *colon = strrchr(to, ':');
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *ai;
    if (colon == NULL || snprintf(host, sizeof host, "%.*s", (int) (colon - to), to) >= (int) sizeof host ||
        getaddrinfo(host, colon + 1, &hints, &ai) != 0)
        return false;
    int fd = socket(ai->ai_family, SOCK_DGRAM, 0);
    bool ok = fd >= 0 && sendto(fd, bytes.p, bytes.len, 0, ai->ai_addr, ai->ai_addrlen) == (ssize_t) bytes.len;
    freeaddrinfo(ai);
    close(fd);
    return ok;
}

int main(int argc, char **argv)
{
    static struct finalization f;
    static uint8_t mem[HEAD_BYTES_MAX + 4];
    struct wr w = wr_fixed(mem, sizeof mem);
    if (argc < 3 || crypto_init() != REEVE_OK)
        return fail("usage: forkhead VALIDATOR_KEY HOST:PORT [spoiled]");
    if (!head_read(&f))
        return fail("no history bundle on standard input");
    if (!sign_again(&f, argv[1], argc > 3))
        return fail("the head cannot be signed again");
    wr_text(&w, "RVH1");
    finalization_encode(&f, &w);
    return send_to(argv[2], wr_slice(&w)) ? 0 : fail("it could not be sent");
}
