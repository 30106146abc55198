/*
 * join.c - `reeved --join`: a data directory for a member that a ring lets in
 *
 * The directory has a key of its own before anybody is asked, and holds what
 * the ring answered before this ends. The state comes when the server starts,
 * and with it the chain that this member's own signing key is to serve. No
 * validator: that is where the region was made.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/main/init_int.h"
#include "backend/main/main_int.h"
#include "backend/ring/core.h"
#include "backend/signer/signer.h"
#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

#define TRY_MS      5000
#define GIVE_UP_MS  60000
#define MAP_BYTES   (64u << 20)
#define READERS     8
#define DEFAULT_PORT 7434

struct joining {
    struct loop *loop;
    struct storage *store;
    uint64_t incarnation;
    enum reeve_err err;
    uint32_t id;
    char text[256];
};

static void on_done(void *arg, enum reeve_err err, const struct peer_joined *joined, const char *text)
{
    struct joining *j = arg;
    j->err = err;
    snprintf(j->text, sizeof j->text, "%s", text ? text : "");
    if (err == REEVE_OK) {
        j->id = joined->id;
        j->err = core_join_write(j->store, j->incarnation, joined);
    }
    loop_stop(j->loop);
}

/* What this member is to be found by: --address, or this host's name. */
static enum reeve_err own_address(const struct options *o, char host[PEER_HOST_MAX + 1], uint16_t *port, struct report *rep)
{
    *port = DEFAULT_PORT;
    if (o->address == NULL) {
        char name[256] = "localhost";
        gethostname(name, sizeof name - 1);
        snprintf(host, PEER_HOST_MAX + 1, "%.*s", PEER_HOST_MAX, name);
        return REEVE_OK;
    }
    enum reeve_err err = peer_hostport_parse(host, port, slice_str(o->address));
    return err == REEVE_OK ? err : report_set(rep, err, "\"%s\" is no address: HOST:PORT is wanted", o->address);
}

static enum reeve_err append_conf(const char *dir, const char *host, uint16_t port, struct report *rep)
{
    char path[DATADIR_PATH_MAX];
    FILE *f = datadir_path(path, sizeof path, dir, "reeve.conf") ? fopen(path, "a") : NULL;
    bool v6 = strchr(host, ':') != NULL;
    if (f == NULL || fprintf(f, "peer_port = %u\npeer_address = '%s%s%s:%u'\n", port, v6 ? "[" : "", host, v6 ? "]" : "", port) < 0 ||
        fclose(f) != 0)
        return report_set(rep, REEVE_E_IO, "could not write \"%s\"", path);
    return REEVE_OK;
}

static enum reeve_err ask(struct joining *j, const struct options *o, const struct peer_token *token,
                          const struct peer_identity *id, struct slice addr, struct report *rep)
{
    char host[PEER_HOST_MAX + 1];
    uint16_t port;
    struct peer_join *pj = NULL;
    enum reeve_err err = peer_hostport_parse(host, &port, slice_str(o->ring));
    if (err != REEVE_OK)
        return report_set(rep, err, "\"%s\" is no address of a member: HOST:PORT is wanted", o->ring);
    struct peer_join_config c = { .identity = id, .token = token, .host = host, .port = port, .incarnation = j->incarnation,
                                  .addr = addr, .try_ms = TRY_MS, .give_up_ms = GIVE_UP_MS };
    TRY(peer_join_start(&pj, j->loop, &c, on_done, j, rep));
    loop_run(j->loop);
    err = j->err;
    if (err != REEVE_OK)
        report_set(rep, err, "the ring did not let this member in: %s", j->text[0] ? j->text : reeve_err_text(err));
out:
    peer_join_free(pj);
    return err;
}

static enum reeve_err join(struct joining *j, const char *dir, const struct options *o, const struct peer_token *token,
                           struct report *rep)
{
    char host[PEER_HOST_MAX + 1], addr[RAFT_ADDR_MAX + 1];
    struct peer_identity id = { 0 };
    uint16_t port;
    size_t len;
    enum reeve_err err;
    TRY(own_address(o, host, &port, rep));
    TRY(init_make_folders(dir, rep));
    TRY(init_make_files(dir, o->region, rep));
    TRY(append_conf(dir, host, port, rep));
    TRY(peer_identity_make(dir, rep));
    TRY(signer_join(dir, rep));
    TRY(peer_identity_load(&id, dir, rep));
    TRY(storage_open(&j->store, dir, STORAGE_WRITE, MAP_BYTES, READERS, rep));
    TRY(loop_new(&j->loop));
    err = peer_addr_format(addr, &len, host, port, &id.key);
    if (err != REEVE_OK)
        TRY(report_set(rep, err, "\"%s\" cannot be the name of a member's host", host));
    random_bytes(&j->incarnation, sizeof j->incarnation);
    j->incarnation |= 1;
    TRY(ask(j, o, token, &id, slice_of(addr, len), rep));
    TRY(datadir_write_version(dir, rep));
out:
    if (j->loop)
        loop_free(j->loop);
    storage_close(j->store);
    peer_identity_end(&id);
    return err;
}

static int refuse(enum reeve_err err, const struct report *rep)
{
    fprintf(stderr, "reeved: %s\n", rep->message[0] ? rep->message : reeve_err_text(err));
    if (rep->hint[0])
        fprintf(stderr, "HINT: %s\n", rep->hint);
    return 1;
}

int join_main(const struct options *o)
{
    char dir[DATADIR_PATH_MAX];
    struct joining j = { .err = REEVE_OK };
    struct peer_token token;
    struct report rep = { 0 };
    log_init("join");
    log_configure(LOG_SEV_WARNING, LOG_FORM_TEXT);
    umask(077);
    if (o->ring == NULL || o->token == NULL || peer_token_decode(&token, slice_str(o->token)) != REEVE_OK) {
        report_set(&rep, REEVE_E_INVALID_VALUE, o->ring && o->token ? "that is no token of a ring" : "--ring and --token are wanted");
        report_hint(&rep, "A member of the ring makes one: CREATE JOIN_TOKEN WITH (kind = 'member').");
        return refuse(rep.code, &rep);
    }
    enum reeve_err err = init_make_directory(o->dir, &rep);
    if (err != REEVE_OK)
        return refuse(err, &rep);
    err = datadir_resolve(dir, o->dir, &rep);
    if (err == REEVE_OK)
        err = join(&j, dir, o, &token, &rep);
    secret_wipe(&token, sizeof token);
    if (err == REEVE_OK) {
        printf("member %u of the ring\n", j.id);
        return 0;
    }
    init_undo(o->dir);
    return refuse(err, &rep);
}
