/* init.c - `reeved --init`: a new region of one server, usable only once the last step is done. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/libpq/scram.h"
#include "backend/main/init_int.h"
#include "backend/main/main_int.h"
#include "backend/peer/peer.h"
#include "backend/ring/ring.h"
#include "backend/signer/signer.h"
#include "backend/utils/clock.h"
#include "backend/utils/datadir.h"
#include "backend/utils/log.h"
#include "backend/validator/validator.h"
#include "common/text.h"
#include "crypto/hash.h"

#define PASSWORD_MAX 1024
#define GENESIS_MAX  (1u << 20)

/* The first line of the file; empty without a file: the superuser then has no password yet. */
static enum reeve_err make_verifier(const char *file, char out[SCRAM_VERIFIER_MAX], struct report *rep)
{
    char text[PASSWORD_MAX + 1];
    size_t len = 0;
    out[0] = '\0';
    if (file == NULL)
        return REEVE_OK;
    enum reeve_err err = file_read(file, text, PASSWORD_MAX, &len);
    if (err != REEVE_OK)
        return report_set(rep, err, "could not read the password file \"%s\": %s", file, reeve_err_text(err));
    text[len] = '\0';
    len = strcspn(text, "\r\n");
    if (len == 0)
        err = report_set(rep, REEVE_E_INVALID_VALUE, "the password file \"%s\" is empty", file);
    else if ((err = scram_verifier_make(out, slice_of(text, len), 0)) != REEVE_OK)
        report_set(rep, err, "the password cannot be used: %s", reeve_err_text(err));
    secret_wipe(text, sizeof text);
    return err;
}

/* Keys, then the chain they begin, then the region's first state. */
static enum reeve_err make_state(const char *dir, const struct name *region, const char *token, const struct name *superuser,
                                 const char *verifier, struct report *rep)
{
    struct wr genesis = wr_heap(GENESIS_MAX);
    struct wall_ms now = clock_wall();
    enum reeve_err err;
    TRY(signer_init(dir, region, now, token, &genesis, rep));
    TRY(validator_init(dir, wr_slice(&genesis), NULL, rep));
    TRY(ring_init(dir, wr_slice(&genesis), region, superuser, slice_str(verifier), now, rep));
out:
    wr_free(&genesis);
    return err;
}

static enum reeve_err fill(const char *dir, const struct options *o, const struct name *region,
                           const struct name *superuser, const char *verifier, struct report *rep)
{
    enum reeve_err err;
    TRY(init_make_folders(dir, rep));
    TRY(init_make_files(dir, o->region, rep));
    TRY(peer_identity_make(dir, rep));
    TRY(make_state(dir, region, o->pkcs11, superuser, verifier, rep));
    TRY(datadir_write_version(dir, rep));
out:
    return err;
}

/* The same for a region whose keys are there and are in a genesis document with others. */
static enum reeve_err fill_found(const char *dir, const struct options *o, const struct name *superuser, const char *verifier,
                                 struct founding *f, struct report *rep)
{
    struct wr genesis = wr_heap(GENESIS_MAX);
    struct wall_ms now = clock_wall();
    enum reeve_err err;
    TRY(genesis_read(o->genesis, &genesis, rep));
    TRY(found_keys(dir, wr_slice(&genesis), o->standby, f, rep));
    TRY(init_make_folders(dir, rep));
    TRY(init_make_files(dir, f->region.s, rep));
    TRY(found_conf(dir, f, rep));
    TRY(peer_identity_make(dir, rep));
    TRY(ring_init(dir, wr_slice(&genesis), &f->region, superuser, slice_str(verifier), now, rep));
    TRY(datadir_write_version(dir, rep));
out:
    wr_free(&genesis);
    return err;
}

int init_refuse(enum reeve_err err, const struct report *rep)
{
    fprintf(stderr, "reeved: %s\n", rep->message[0] ? rep->message : reeve_err_text(err));
    if (rep->hint[0])
        fprintf(stderr, "HINT: %s\n", rep->hint);
    return 1;
}

static int found_main(const struct options *o, const struct name *superuser, const char *verifier, struct report *rep)
{
    char dir[DATADIR_PATH_MAX];
    struct founding f = { 0 };
    enum reeve_err err = init_take_directory(o->dir, rep);
    if (err == REEVE_OK)
        err = datadir_resolve(dir, o->dir, rep);
    if (err != REEVE_OK)
        return init_refuse(err, rep);
    err = fill_found(dir, o, superuser, verifier, &f, rep);
    if (err == REEVE_OK) {
        printf("region \"%s\", %s\n", f.region.s, f.validates ? (o->standby ? "with a validator that waits" : "with a validator") : "without a validator");
        return 0;
    }
    init_undo_founding(dir);
    return init_refuse(err, rep);
}

static int new_main(const struct options *o, const struct name *region, const struct name *superuser, const char *verifier,
                    struct report *rep)
{
    char dir[DATADIR_PATH_MAX];
    enum reeve_err err = init_make_directory(o->dir, rep);
    if (err != REEVE_OK)
        return init_refuse(err, rep);
    err = datadir_resolve(dir, o->dir, rep);
    if (err == REEVE_OK)
        err = o->card != NULL ? card_make(dir, o, region, rep) : fill(dir, o, region, superuser, verifier, rep);
    if (err == REEVE_OK)
        return 0;
    init_undo(o->dir);
    return init_refuse(err, rep);
}

int init_main(const struct options *o)
{
    char verifier[SCRAM_VERIFIER_MAX];
    struct name region, superuser;
    struct report rep = { 0 };
    log_init("init");
    log_configure(LOG_SEV_WARNING, LOG_FORM_TEXT);
    umask(077);
    if (!name_set_str(&region, o->region) || !name_set_str(&superuser, o->superuser)) {
        report_set(&rep, REEVE_E_INVALID_VALUE, "region and superuser need names of 1 to %d bytes", NAME_MAX_LEN);
        return init_refuse(rep.code, &rep);
    }
    if (o->card != NULL && o->genesis != NULL) {
        report_set(&rep, REEVE_E_INVALID_VALUE, "the card comes first, the genesis document of all cards later");
        return init_refuse(rep.code, &rep);
    }
    enum reeve_err err = make_verifier(o->password_file, verifier, &rep);
    if (err != REEVE_OK)
        return init_refuse(err, &rep);
    int code = o->genesis != NULL ? found_main(o, &superuser, verifier, &rep) : new_main(o, &region, &superuser, verifier, &rep);
    secret_wipe(verifier, sizeof verifier);
    return code;
}
