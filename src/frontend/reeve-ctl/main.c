/* main.c - reeve-ctl init|genesis|recover|join|start|stop|restart|reload|status|backup|restore|waldump|evidence */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "ctl_int.h"

#define POLL_MS 20

/* Runs reeved in the foreground; its exit code. */
static int run_program(char *const argv[])
{
    char program[CTL_PATH_MAX];
    int status;
    server_program(program);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        execv(program, argv);
        fprintf(stderr, "reeve-ctl: could not run \"%s\": %s\n", program, strerror(errno));
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return EXIT_FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

/* Words for reeved; those that were not given are left out. */
struct words { const char *argv[32]; int n; };

static void add(struct words *w, const char *name, const char *value)
{
    if (value == NULL)
        return;
    w->argv[w->n++] = name;
    w->argv[w->n++] = value;
}

static int run_words(struct words *w)
{
    return run_program((char *const *) w->argv);
}

/* Step one of a region that begins with others: keys, and the card that shows them. */
static int init_card(const struct ctl *c)
{
    struct words w = { { "reeved", "--init", "-D", c->dir }, 4 };
    if (c->region == NULL || c->address == NULL) {
        fprintf(stderr, "reeve-ctl: a card takes --region NAME and --address HOST:PORT\n");
        return EXIT_USAGE;
    }
    add(&w, "--region", c->region);
    add(&w, "--address", c->address);
    add(&w, "--card", c->card);
    add(&w, "--pkcs11", c->pkcs11);
    if (c->follower)
        w.argv[w.n++] = "--follower";
    if (run_words(&w) != 0)
        return EXIT_FAILED;
    printf("keys of region \"%s\" made in \"%s\"; their card is \"%s\"\n"
           "when all regions' cards are together: reeve-ctl genesis --to FILE CARD ...\n", c->region, c->dir, c->card);
    return EXIT_OK;
}

/* Step two. */
static int init_found(const struct ctl *c)
{
    struct words w = { { "reeved", "--init", "-D", c->dir }, 4 };
    add(&w, "--genesis", c->genesis);
    if (c->standby)
        w.argv[w.n++] = "--standby";
    add(&w, "--superuser", c->superuser);
    add(&w, "--password-file", c->password_file);
    if (run_words(&w) != 0)
        return EXIT_FAILED;
    printf("compare the chain with that of the other regions; then start the server with: reeve-ctl start -D %s\n", c->dir);
    return EXIT_OK;
}

static int do_genesis(const struct ctl *c)
{
    struct words w = { { "reeved", "--make-genesis" }, 2 };
    if (c->to == NULL || c->n_files == 0 || c->n_files > CTL_FILES_MAX) {
        fprintf(stderr, "reeve-ctl: genesis takes --to FILE and the files of 1 to %d cards\n", CTL_FILES_MAX);
        return EXIT_USAGE;
    }
    add(&w, "--to", c->to);
    if (c->standby) {
        w.argv[w.n++] = "--standby";
        add(&w, "--region", c->region);
    }
    add(&w, "--recovery", c->recovery);
    for (int i = 0; i < c->n_files; i++)
        w.argv[w.n++] = c->files[i];
    return run_words(&w) == 0 ? EXIT_OK : EXIT_FAILED;
}

/* draft, sign, take: then files. */
static int do_recover(const struct ctl *c)
{
    struct words w = { { "reeved", "--recover", c->n_files > 0 ? c->files[0] : "" }, 3 };
    if (c->to == NULL || c->n_files > CTL_FILES_MAX) {
        fprintf(stderr, "reeve-ctl: recover takes draft, sign or take, and --to FILE\n");
        return EXIT_USAGE;
    }
    add(&w, "-D", c->dir);
    add(&w, "--to", c->to);
    add(&w, "--drop", c->drop);
    for (int i = 1; i < c->n_files; i++)
        w.argv[w.n++] = c->files[i];
    return run_words(&w) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int do_init(const struct ctl *c)
{
    struct words w = { { "reeved", "--init", "-D", c->dir }, 4 };
    if (c->card != NULL)
        return init_card(c);
    if (c->genesis != NULL)
        return init_found(c);
    add(&w, "--region", c->region);
    add(&w, "--pkcs11", c->pkcs11);
    add(&w, "--superuser", c->superuser);
    add(&w, "--password-file", c->password_file);
    if (run_words(&w) != 0)
        return EXIT_FAILED;
    printf("data directory \"%s\" made for region \"%s\", superuser \"%s\"%s\n"
           "start the server with: reeve-ctl start -D %s\n", c->dir, c->region ? c->region : "local",
           c->superuser ? c->superuser : "reeve", c->password_file ? "" : " (who has no password yet)", c->dir);
    return EXIT_OK;
}

/* The token goes by the command line: it is good for one member, for an hour. */
static int do_join(const struct ctl *c)
{
    const char *argv[12] = { "reeved", "--join", "-D", c->dir };
    int n = 4;
    if (c->ring == NULL || c->token == NULL) {
        fprintf(stderr, "reeve-ctl: join takes --ring HOST:PORT and --token TOKEN\n");
        return EXIT_USAGE;
    }
    argv[n++] = "--ring";
    argv[n++] = c->ring;
    argv[n++] = "--token";
    argv[n++] = c->token;
    if (c->address != NULL) {
        argv[n++] = "--address";
        argv[n++] = c->address;
    }
    if (run_program((char *const *) argv) != 0)
        return EXIT_FAILED;
    printf("data directory \"%s\" made; the ring sends its state when the server starts:\n"
           "reeve-ctl start -D %s\n", c->dir, c->dir);
    return EXIT_OK;
}

/* The program may be another user's than the one who asks: the file is made with the rights of whoever runs this. */
static int do_backup(const struct ctl *c)
{
    const char *argv[] = { "reeved", "--backup", "-D", c->dir, "--to", c->to, NULL };
    if (c->to == NULL) {
        fprintf(stderr, "reeve-ctl: backup takes --to FILE\n");
        return EXIT_USAGE;
    }
    return run_program((char *const *) argv);
}

static int do_restore(const struct ctl *c)
{
    const char *argv[] = { "reeved", "--restore", "-D", c->dir, "--from", c->from, NULL };
    if (c->from == NULL) {
        fprintf(stderr, "reeve-ctl: restore takes --from FILE\n");
        return EXIT_USAGE;
    }
    if (run_program((char *const *) argv) != 0)
        return EXIT_FAILED;
    printf("restored into \"%s\", as a ring of its own; start the server with: reeve-ctl start -D %s\n", c->dir, c->dir);
    return EXIT_OK;
}

static int not_running(const struct ctl *c, const struct server *s)
{
    fprintf(stderr, "reeve-ctl: no server is running in \"%s\"%s\n", c->dir,
            s->pid > 0 ? " (its pid file is stale)" : "");
    return EXIT_FAILED;
}

static const char *mode_of(int sig)
{
    return sig == SIGTERM ? "smart" : sig == SIGQUIT ? "immediate" : "fast";
}

static int stop_running(const struct ctl *c, struct server *s)
{
    int pid = s->pid;
    if (kill(pid, c->stop_signal) < 0 && errno != ESRCH) {
        fprintf(stderr, "reeve-ctl: could not signal the server (pid %d): %s\n", pid, strerror(errno));
        return EXIT_FAILED;
    }
    for (int64_t end = now_ms() + (int64_t) c->timeout_s * 1000; now_ms() < end; pause_ms(POLL_MS))
        if (!pid_is_alive(pid)) {
            printf("server stopped\n");
            return EXIT_OK;
        }
    fprintf(stderr, "reeve-ctl: the server (pid %d) has not stopped after %d s\n", pid, c->timeout_s);
    if (c->stop_signal == SIGTERM)
        fprintf(stderr, "HINT: -m fast does not wait for sessions to end.\n");
    return EXIT_FAILED;
}

static int do_stop(const struct ctl *c)
{
    struct server s;
    server_look(c, &s);
    return s.running ? stop_running(c, &s) : not_running(c, &s);
}

static int do_restart(const struct ctl *c)
{
    struct server s;
    server_look(c, &s);
    int rc = s.running ? stop_running(c, &s) : EXIT_OK;
    return rc == EXIT_OK ? ctl_start(c) : rc;
}

/* A configuration with an error in it is not taken over; say so here rather than in the log alone. */
static int do_reload(const struct ctl *c)
{
    struct server s;
    char *argv[] = { (char *) "reeved", (char *) "--check-config", (char *) "-D", (char *) c->dir, NULL };
    server_look(c, &s);
    if (!s.running)
        return not_running(c, &s);
    int out = dup(STDOUT_FILENO), null = -1;
    if ((null = open("/dev/null", O_WRONLY)) >= 0)
        dup2(null, STDOUT_FILENO);
    int rc = run_program(argv);
    dup2(out, STDOUT_FILENO);
    if (rc != 0) {
        fprintf(stderr, "reeve-ctl: not reloaded; the server goes on with what it has\n");
        return EXIT_FAILED;
    }
    if (kill(s.pid, SIGHUP) < 0) {
        fprintf(stderr, "reeve-ctl: could not signal the server (pid %d): %s\n", s.pid, strerror(errno));
        return EXIT_FAILED;
    }
    printf("server reloads its configuration\n");
    return EXIT_OK;
}

static int do_status(const struct ctl *c)
{
    struct server s;
    struct stat st;
    if (stat(c->dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
        fprintf(stderr, "reeve-ctl: could not use data directory \"%s\": %s\n", c->dir, strerror(ENOENT));
        return EXIT_NO_DIRECTORY;
    }
    server_look(c, &s);
    if (!s.running) {
        printf("no server is running\n");
        return EXIT_NOT_RUNNING;
    }
    bool up = strcmp(s.state, "ready") == 0 && server_answers(&s);
    printf("server is running (pid %d, port %d): %s\n", s.pid, s.port,
           up ? "answers" : strcmp(s.state, "ready") == 0 ? "does not answer" : s.state);
    return EXIT_OK;
}

static int do_waldump(const struct ctl *c)
{
    char *argv[] = { (char *) "reeved", (char *) "--waldump", (char *) c->dir, NULL };
    return run_program(argv);
}

static int do_evidence(const struct ctl *c)
{
    char *argv[] = { (char *) "reeved", (char *) "--evidence", (char *) c->dir, NULL };
    return run_program(argv);
}

/* ---- the command line ---- */

static bool names_dir(const char *command)
{
    return strcmp(command, "waldump") == 0 || strcmp(command, "evidence") == 0;
}

static void help(void)
{
    printf("reeve-ctl makes, starts, stops and asks after a Reeve server.\n\n"
           "  reeve-ctl init    -D DIR [--region NAME] [--superuser NAME] [--password-file FILE] [--pkcs11 URI]\n"
           "  reeve-ctl init    -D DIR --region NAME --address HOST:PORT --card FILE [--follower] [--pkcs11 URI]\n"
           "  reeve-ctl genesis --to FILE [--standby --region NAME] [--recovery FILE] CARD ...  from the cards of all regions, anywhere\n"
           "  reeve-ctl recover draft|take -D DIR --to FILE [--drop NAMES] [CARD ...]  past a lost quorum, beside a stopped server\n"
           "  reeve-ctl recover sign --to FILE KEY ...  with a recovery key\n"
           "  reeve-ctl init    -D DIR --genesis FILE [--standby] [--superuser NAME] [--password-file FILE]\n"
           "  reeve-ctl join    -D DIR --ring HOST:PORT --token TOKEN [--address HOST:PORT]\n"
           "  reeve-ctl start   -D DIR [-t SECONDS]\n"
           "  reeve-ctl stop    -D DIR [-m smart|fast|immediate] [-t SECONDS]\n"
           "  reeve-ctl restart -D DIR [-m smart|fast|immediate] [-t SECONDS]\n"
           "  reeve-ctl reload  -D DIR\n"
           "  reeve-ctl status  -D DIR          exit code 0 running, 3 not running, 4 no such directory\n"
           "  reeve-ctl backup  -D DIR --to FILE    the region's state as this server has it; it may be running\n"
           "  reeve-ctl restore -D DIR --from FILE  into a new directory, or beside keys and validator of the old one\n"
           "  reeve-ctl waldump DIR             print the ring's log; exit code 1 where it is damaged, 2 where there is none\n"
           "  reeve-ctl evidence DIR            proofs against validators that contradicted themselves; 2 where no validator is\n\n"
           "Without -D the environment variable REEVE_DATA is taken. Start waits until the server answers,\n"
           "stop until it is gone, at most 60 s unless -t says otherwise.\n");
}

static bool take_mode(struct ctl *c, const char *mode)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGQUIT };
    for (size_t i = 0; i < 3; i++)
        if (strcmp(mode, mode_of(signals[i])) == 0) {
            c->stop_signal = signals[i];
            return true;
        }
    fprintf(stderr, "reeve-ctl: -m takes smart, fast or immediate\n");
    return false;
}

static bool take_timeout(struct ctl *c, const char *text)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (end == text || *end != '\0' || v < 1 || v > 86400) {
        fprintf(stderr, "reeve-ctl: -t takes seconds\n");
        return false;
    }
    c->timeout_s = (int) v;
    return true;
}

static bool take_dir(struct ctl *c, const char *dir)
{
    if (*dir == '\0' || strlen(dir) > CTL_PATH_MAX - 100) {
        fprintf(stderr, "reeve-ctl: not a directory's name: \"%.80s\"\n", dir);
        return false;
    }
    memcpy(c->dir, dir, strlen(dir) + 1);
    return true;
}

static bool take(struct ctl *c, int opt)
{
    switch (opt) {
    case 'D': return take_dir(c, optarg);
    case 'm': return take_mode(c, optarg);
    case 't': return take_timeout(c, optarg);
    case 'r': c->region = optarg; return true;
    case 'u': c->superuser = optarg; return true;
    case 'p': c->password_file = optarg; return true;
    case 'R': c->ring = optarg; return true;
    case 'T': c->token = optarg; return true;
    case 'A': c->address = optarg; return true;
    case 'O': c->to = optarg; return true;
    case 'F': c->from = optarg; return true;
    case 'C': c->card = optarg; return true;
    case 'G': c->genesis = optarg; return true;
    case 'L': c->follower = true; return true;
    case 'P': c->pkcs11 = optarg; return true;
    case 'Q': c->recovery = optarg; return true;
    case 'X': c->drop = optarg; return true;
    case 'S': c->standby = true; return true;
    case 'h': help(); exit(EXIT_OK);
    case 'V': printf("reeve-ctl (reeve) %s\n", PACKAGE_VERSION); exit(EXIT_OK);
    default:  fprintf(stderr, "Try \"reeve-ctl --help\".\n"); return false;
    }
}

static bool parse(struct ctl *c, int argc, char **argv)
{
    static const struct option longs[] = {
        { "region", required_argument, NULL, 'r' }, { "superuser", required_argument, NULL, 'u' },
        { "password-file", required_argument, NULL, 'p' }, { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' }, { "mode", required_argument, NULL, 'm' },
        { "timeout", required_argument, NULL, 't' }, { "ring", required_argument, NULL, 'R' },
        { "token", required_argument, NULL, 'T' }, { "address", required_argument, NULL, 'A' },
        { "to", required_argument, NULL, 'O' }, { "from", required_argument, NULL, 'F' },
        { "card", required_argument, NULL, 'C' }, { "genesis", required_argument, NULL, 'G' },
        { "follower", no_argument, NULL, 'L' }, { "standby", no_argument, NULL, 'S' }, { "pkcs11", required_argument, NULL, 'P' },
        { "recovery", required_argument, NULL, 'Q' }, { "drop", required_argument, NULL, 'X' }, { NULL, 0, NULL, 0 },
    };
    int opt;
    while ((opt = getopt_long(argc, argv, "D:m:t:", longs, NULL)) != -1)
        if (!take(c, opt))
            return false;
    if (optind + 2 == argc && names_dir(argv[optind]) && !take_dir(c, argv[--argc]))
        return false;
    if (optind < argc && (strcmp(argv[optind], "genesis") == 0 || strcmp(argv[optind], "recover") == 0)) {
        c->command = argv[optind];
        c->files = argv + optind + 1;
        c->n_files = argc - optind - 1;
        return true;
    }
    if (optind + 1 != argc) {
        fprintf(stderr, optind < argc ? "reeve-ctl: one command at a time\n" : "reeve-ctl: no command\n");
        fprintf(stderr, "Try \"reeve-ctl --help\".\n");
        return false;
    }
    c->command = argv[optind];
    const char *dir = getenv("REEVE_DATA");
    if (c->dir[0] == '\0' && (dir == NULL || !take_dir(c, dir))) {
        fprintf(stderr, "reeve-ctl: no data directory: use -D DIR\n");
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int (*fn)(const struct ctl *c); } commands[] = {
        { "init", do_init }, { "genesis", do_genesis }, { "recover", do_recover }, { "join", do_join }, { "start", ctl_start }, { "stop", do_stop }, { "restart", do_restart },
        { "reload", do_reload }, { "status", do_status }, { "backup", do_backup },
        { "restore", do_restore }, { "waldump", do_waldump }, { "evidence", do_evidence },
    };
    static struct ctl c = { .stop_signal = SIGINT, .timeout_s = 60 };
    if (!parse(&c, argc, argv))
        return EXIT_USAGE;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(c.command, commands[i].name) == 0)
            return commands[i].fn(&c);
    fprintf(stderr, "reeve-ctl: no such command: \"%s\"\nTry \"reeve-ctl --help\".\n", c.command);
    return EXIT_USAGE;
}
