/*
 * options.h - what an operator says to reeve-agent: options and a file
 *
 * The file has lines "name = value", comments after #, and sections
 * "[cert NAME]" and "[labels]". Options on the command line win. Options that
 * speak of a certificate (--reload, --probe ...) belong to the --cert before.
 */
#ifndef REEVE_AGENT_OPTIONS_H
#define REEVE_AGENT_OPTIONS_H

#include "frontend/libreeve/install.h"

#define OPT_CERTS_MAX 64

struct options {
    const char *command;                /* run, get, status, key, cohort */
    const char *argument;               /* of the command */
    const char *program_file;           /* configuration file or NULL */
    char state[1024], servers[2048], token[WIRE_TOKEN_TEXT_MAX + 8], token_file[1024], config_json[1024], addr_hint[64];
    char peer_listen[300], peers[4096];  /* address:port; the latter several, separated by commas */
    struct labels labels;
    bool mtls, once, dry_run, log_json, debug, help, version;
    uint32_t tick_ms, config_ttl_ms, timeout_ms;
    unsigned n_certs;
    struct install_target cert[OPT_CERTS_MAX];
};

/* INVALID_VALUE with a report that names the option or file and line. */
enum reeve_err options_parse(struct options *o, int argc, char **argv, struct report *rep) REEVE_MUST_CHECK;
/* SIGHUP: file and command line again into a fresh structure. */
enum reeve_err options_again(struct options *o, struct report *rep) REEVE_MUST_CHECK;
/* The token from --token or --token-file, without white space around it; empty when none is given or the file is gone. */
enum reeve_err options_token(struct options *o, struct report *rep) REEVE_MUST_CHECK;
void options_usage(void);

#endif
