/* main.c - reeve-audit verify|show|keygen|sign: what an auditor does without any server */
#include "mirror.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "crypto/hash.h"

static void usage(FILE *to)
{
    fprintf(to,
        "reeve-audit verifies what was exported from Reeve, without any server.\n\n"
        "  reeve-audit verify FILE --trust-root FILE [--leaf FILE]\n"
        "      FILE: a history bundle (COPY HISTORY), a region's config changes (WITH (format = 'config')), a tlog-proof, or\n"
        "      a checkpoint. A proof is about a leaf: --leaf, or the file beside it that ends in .leaf. The trust root is\n"
        "      a policy: COPY HISTORY TO STDOUT WITH (format = 'policy'), got from somebody you believe, or compared with\n"
        "      what others got.\n"
        "  reeve-audit verify FOLDER | http://HOST[:PORT][/PATH] --trust-root FILE\n"
        "      a whole mirror of the log (C2SP tlog-tiles): every entry and every tile up to its checkpoint\n"
        "  reeve-audit monitor FOLDER | http://... --trust-root FILE --state FILE [--once] [--interval SECONDS] [--stalled SECONDS]\n"
        "      follows the log, and ends with an alarm when it forks (both checkpoints are kept beside STATE) or when nobody\n"
        "      cosigns it for so long (default: looks every 10 s, 300 s; 0 never)\n"
        "  reeve-audit show FILE [--trust-root FILE] [--leaf FILE]\n"
        "      what is in it; with a trust root only if it is sound\n"
        "  reeve-audit keygen NAME --key FILE | --pkcs11 URI\n"
        "      makes a private key, in a file or a token, and prints the public one\n"
        "  reeve-audit sign [FILE] --key FILE | --pkcs11 URI [--name NAME] [--signature]\n"
        "      signs a text (standard input without FILE) as a note; --signature prints the signature line alone\n"
        "      URI: pkcs11:token=LABEL;object=KEY?module-path=FILE&pin-source=FILE (RFC 7512). Without pin-source the\n"
        "      PIN is asked for at the terminal. A note is signed in the name of the key's label, or in NAME.\n\n"
        "Exit status: 0 sound, 1 unsound or forked (the reason is on standard error), 2 it could not be judged, 3 it stands still.\n");
}

static int mistaken(const char *what)
{
    if (what != NULL)
        fprintf(stderr, "reeve-audit: %s\n", what);
    fprintf(stderr, "Try \"reeve-audit --help\".\n");
    return EXIT_COULD_NOT;
}

static const struct { const char *name; int (*fn)(const struct options *o); bool file; } commands[] = {
    { "verify", audit_verify, true }, { "show", audit_show, true }, { "monitor", audit_monitor, true },
    { "keygen", audit_keygen, true }, { "sign", audit_sign, false },
};

static int run(const struct options *o)
{
    if (o->second != NULL)
        return mistaken("too many files");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, o->command) != 0)
            continue;
        if (commands[i].file && o->file == NULL)
            return mistaken("a file is needed");
        return commands[i].fn(o);
    }
    fprintf(stderr, "reeve-audit: unknown command \"%s\"\n", o->command);
    return mistaken(NULL);
}

static bool seconds(const char *text, long min, int *out, int *done)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || n < min || n > 86400 * 365) {
        *done = mistaken("seconds are a number");
        return false;
    }
    *out = (int) n;
    return true;
}

static bool options_read(int argc, char **argv, struct options *o, int *done)
{
    static const struct option longs[] = {
        { "trust-root", required_argument, NULL, 't' }, { "leaf", required_argument, NULL, 'l' },
        { "key", required_argument, NULL, 'k' }, { "pkcs11", required_argument, NULL, 'p' }, { "signature", no_argument, NULL, 's' },
        { "name", required_argument, NULL, 'n' },
        { "state", required_argument, NULL, 'S' }, { "once", no_argument, NULL, 'o' },
        { "interval", required_argument, NULL, 'i' }, { "stalled", required_argument, NULL, 'x' },
        { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { NULL, 0, NULL, 0 },
    };
    *done = EXIT_COULD_NOT;
    for (int c; (c = getopt_long(argc, argv, "hV", longs, NULL)) != -1;) {
        switch (c) {
        case 't': o->trust_root = optarg; break;
        case 'l': o->leaf = optarg; break;
        case 'k': o->key = optarg; break;
        case 'p': o->pkcs11 = optarg; break;
        case 'n': o->name = optarg; break;
        case 'S': o->state = optarg; break;
        case 'o': o->once = true; break;
        case 'i': if (!seconds(optarg, 1, &o->interval_s, done)) return false; break;
        case 'x': if (!seconds(optarg, 0, &o->stalled_s, done)) return false; break;
        case 's': o->bare = true; break;
        case 'h': usage(stdout); *done = EXIT_SOUND; return false;
        case 'V': printf("reeve-audit %s\n", PACKAGE_VERSION); *done = EXIT_SOUND; return false;
        default: *done = mistaken(NULL); return false;
        }
    }
    const char **words[] = { &o->command, &o->file, &o->second };
    for (int i = 0; i < 3 && optind + i < argc; i++)
        *words[i] = argv[optind + i];
    if (o->command == NULL)
        *done = mistaken("a command is needed");
    return o->command != NULL;
}

int main(int argc, char **argv)
{
    struct options o = { .interval_s = 10, .stalled_s = 300 };
    int code;
    if (!options_read(argc, argv, &o, &code))
        return code;
    if (crypto_init() != REEVE_OK) {
        fprintf(stderr, "reeve-audit: this libsodium cannot be used\n");
        return EXIT_COULD_NOT;
    }
    code = run(&o);
    if (fflush(stdout) != 0 && code == EXIT_SOUND)
        code = EXIT_COULD_NOT;
    return code;
}
