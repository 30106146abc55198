/* main.c - the ring's process: opening, timers, orderly end. */
#include "backend/ring/ring_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "crypto/hash.h"
#include "crypto/ops.h"

#define READERS_EXTRA 64            /* gateways, tools, the ring itself */
#define READER_CHECK_MS 5000
#define ATTACH_RETRY_MS 1000

/* ---- links ---- */

static void signer_up(void *arg)
{
    submits_poke(arg);
}

static void validator_up(void *arg)
{
    follow_up(arg);
}

static void validator_down(void *arg, const char *why)
{
    (void) why;
    follow_down(arg);
}

static void validator_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    (void) ch;
    if (m->type == MSG_CHAIN_CULPRIT)
        culprit_heard(arg, m->body);
    else if (m->type == MSG_RING_LETTER_IN)
        regions_letter(arg, m->body);
    else
        follow_message(arg, m);
}

/* Beside a validator it is a link for letters alone: of the chain the validator tells. */
static void regions_message(void *arg, struct ipc_channel *ch, struct ipc_msg *m)
{
    (void) ch;
    if (m->type == MSG_RING_LETTER_IN)
        regions_letter(arg, m->body);
}

/* Which members have what is decided by their folders: the postmaster starts only what has one (service.c). */
static bool has_folder(const struct ring *r, const char *name)
{
    char path[DATADIR_PATH_MAX];
    struct stat st;
    return datadir_path(path, sizeof path, r->child->dir, name) && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum reeve_err open_links(struct ring *r)
{
    struct ipc_link_handler signer = { .arg = r, .up = signer_up };
    struct ipc_link_handler validator = { r, validator_up, validator_down, validator_message };
    struct ipc_link_handler regions = { .arg = r, .message = regions_message };
    enum reeve_err err = ipc_link_open(&r->signer, r->child->postmaster, r->loop, PROC_RING, PROC_SIGNER, &signer);
    if (err == REEVE_OK)
        err = ipc_link_open(&r->validator, r->child->postmaster, r->loop, PROC_RING, r->chain_of, &validator);
    if (r->chain_of == PROC_FEDERATION)
        r->regions = r->validator;
    else if (err == REEVE_OK && has_folder(r, "federation"))
        err = ipc_link_open(&r->regions, r->child->postmaster, r->loop, PROC_RING, PROC_FEDERATION, &regions);
    return err;
}

/* ---- opening ---- */

/* Before the log is open. A member that was let in has no region yet: 0. */
static enum reeve_err read_revision(struct ring *r, uint64_t *index, struct report *rep)
{
    struct ring_view v;
    enum reeve_err err;
    TRY(ring_view_open(r, &v));
    err = region_applied_index(&v.region, index);
    ring_view_close(&v);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the store does not hold a region (%s)", reeve_err_text(err));
}

static enum reeve_err read_state(struct ring *r, uint64_t *index, struct report *rep)
{
    struct ring_view v;
    struct attest_head head;
    enum reeve_err err;
    TRY(ring_view_open(r, &v));
    err = region_applied_index(&v.region, index);
    if (err == REEVE_OK)
        err = region_name(&v.region, &r->region_name);
    if (err == REEVE_OK)
        err = attest_head(&v.attest, &head);
    if (err == REEVE_OK)
        r->follow.applied = head.height;
    ring_view_close(&v);
out:
    return err == REEVE_OK ? err : report_set(rep, err, "the store does not hold a region (%s)", reeve_err_text(err));
}

#define LISTEN_MAX 32

/* listen_addresses, in pieces of list. */
static size_t listen_hosts(char *list, const char *hosts[LISTEN_MAX])
{
    size_t n = 0;
    char *save = NULL;
    for (char *h = strtok_r(list, ", \t", &save); h && n < LISTEN_MAX; h = strtok_r(NULL, ", \t", &save))
        hosts[n++] = h;
    return n;
}

/* Others are told the first address listened on; "*" tells nobody where to go. */
static const char *told_host(const char *const *hosts, size_t n)
{
    return n == 0 || strcmp(hosts[0], "*") == 0 ? "localhost" : hosts[0];
}

static enum reeve_err open_log(struct ring *r, const struct proposer_host *host, uint64_t index, struct report *rep)
{
    const struct settings *s = r->child->settings;
    uint32_t segment = (uint32_t) settings_int(s, SET_wal_segment_size) / WAL_BLOCK * WAL_BLOCK;
    const char *address = settings_text(s, SET_peer_address), *hosts[LISTEN_MAX];
    struct peer_identity identity;
    char list[1024];
    enum reeve_err err;
    snprintf(list, sizeof list, "%s", settings_text(s, SET_listen_addresses));
    struct core_net net = { .identity = &identity, .listen = hosts, .n_listen = listen_hosts(list, hosts),
                            .port = (uint16_t) settings_int(s, SET_peer_port), .address = *address ? address : NULL };
    net.host = told_host(hosts, net.n_listen);
    TRY(peer_identity_load(&identity, r->child->dir, rep));
    err = proposer_init(&r->prop, r->loop, r->store, r->child->dir, segment, index, host, &net, rep);
    peer_identity_end(&identity);
out:
    return err;
}

static enum reeve_err open_store(struct ring *r, struct report *rep)
{
    const struct settings *s = r->child->settings;
    struct proposer_host host = ring_host;
    uint64_t index = 0;
    enum reeve_err err;
    host.arg = r;
    host.apply_arg = &r->applier;
    r->region_scratch = malloc(region_scratch_size());
    r->attest_scratch = malloc(attest_scratch_size());
    if (r->region_scratch == NULL || r->attest_scratch == NULL || applier_init(&r->applier) != REEVE_OK)
        return report_set(rep, REEVE_E_NOMEM, "out of memory");
    TRY(storage_open(&r->store, r->child->dir, STORAGE_WRITE, (uint64_t) settings_int(s, SET_lmdb_map_size),
                     (unsigned) settings_int(s, SET_max_connections) + READERS_EXTRA, rep));
    TRY(level_check(r->store, rep));
    TRY(read_revision(r, &index, rep));
    TRY(open_log(r, &host, index, rep));
    err = read_state(r, &index, rep);
out:
    return err;
}

/* ---- timers ---- */

static void on_reader_check(void *arg)
{
    struct ring *r = arg;
    unsigned freed = storage_reader_check(r->store);
    if (freed > 0)
        log_info("freed the reader slots of %u dead process%s", freed, freed == 1 ? "" : "es");
    if (loop_timer_in(r->loop, &r->reader_timer, READER_CHECK_MS, on_reader_check, r) != REEVE_OK)
        log_error("no timer for the reader table");
}

/* ---- the end ---- */

static void on_stopped(void *arg)
{
    struct ring *r = arg;
    proposer_flush(&r->prop);
    submits_close(r);
    forward_close(r);
    child_stop(r->child, 0);
}

/* Leadership is handed over; what was accepted is committed and answered; submissions learn that they were given up. */
static void on_shutdown(struct child *c, enum shutdown_mode mode)
{
    struct ring *r = c->user;
    (void) mode;
    drivers_stop(r);
    proposer_stop(&r->prop, on_stopped, r);
}

static void close_all(struct ring *r)
{
    drivers_stop(r);
    submits_close(r);
    forward_close(r);
    struct ipc_link *signer = r->signer;
    r->signer = NULL;
    ipc_link_close(signer);
    key_calls_close(r);
    if (r->regions != r->validator)
        ipc_link_close(r->regions);
    r->regions = NULL;
    ipc_link_close(r->validator);
    proposer_flush(&r->prop);
    proposer_free(&r->prop);
    drivers_free(r);
    forwards_free(r->forwards);
    wake_close(r);
    clients_close(r);
    follow_close(r);
    loop_timer_cancel(r->loop, &r->reader_timer);
    loop_timer_cancel(r->loop, &r->old_timer);
    storage_close(r->store);
    applier_free(&r->applier);
    free(r->region_scratch);
    free(r->attest_scratch);
}

int ring_main(struct child *c)
{
    static struct ring r;
    static const struct child_ops ops = { .peer = ring_on_peer, .shutdown = on_shutdown };
    struct report rep = { .code = REEVE_OK };
    r.child = c;
    c->user = &r;
    if (child_start(c, &ops) != REEVE_OK)
        return 1;
    r.loop = c->loop;
    r.has_keys = has_folder(&r, "keys");
    /* Without a validator of its own a region hears of the chain from other regions. */
    r.chain_of = !has_folder(&r, "validator") && has_folder(&r, "federation") ? PROC_FEDERATION : PROC_VALIDATOR;
    r.attests = r.has_keys && has_folder(&r, r.chain_of == PROC_FEDERATION ? "federation" : "validator");
    if (crypto_init() != REEVE_OK || open_store(&r, &rep) != REEVE_OK) {
        log_report(rep.code == REEVE_E_SHUTDOWN ? LOG_SEV_INFO : LOG_SEV_FATAL, &rep);
        return rep.code == REEVE_E_SHUTDOWN ? 0 : 1;
    }
    follow_start(&r);
    if (open_links(&r) != REEVE_OK || drivers_start(&r) != REEVE_OK) {
        log_fatal("the ring could not start its parts");
        return 1;
    }
    on_reader_check(&r);
    old_reads_run(&r);
    log_info("region \"%s\" at revision %llu, attested height %llu", r.region_name.s,
             (unsigned long long) r.prop.applied, (unsigned long long) r.follow.applied);
    child_ready(c);
    int code = child_run(c);
    close_all(&r);
    return code;
}
