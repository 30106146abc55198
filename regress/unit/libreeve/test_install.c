/* test_install.c - a generation as files: one rename forward, one back. */
#include "../unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "frontend/libreeve/install.h"

static char dir[64];
static struct install_target target;
static struct xkey *ca, *key[4];
static struct wr ca_cert, leaf[4];
static struct x509_info info[4];

static void make(struct wr *out, struct xkey *subject, bool is_ca)
{
    uint8_t mem[256];
    struct wr spki = wr_fixed(mem, sizeof mem);
    struct x509_spec spec = { .subject = slice_str(is_ca ? "CN=ca" : "CN=leaf"), .not_before = { 1000000 },
                              .not_after = { 2000000000000 }, .is_ca = is_ca };
    x509_serial_random(spec.serial);
    *out = wr_heap(X509_DER_MAX);
    assert_ok(xkey_spki(subject, &spki));
    assert_ok(x509_issue(out, &spec, wr_slice(&spki), ca, is_ca ? slice_of(NULL, 0) : wr_slice(&ca_cert)));
}

static int group_setup(void **state)
{
    assert_ok(crypto_init());
    assert_ok(xkey_generate(&ca, KEY_ED25519));
    make(&ca_cert, ca, true);
    for (int i = 0; i < 4; i++) {
        assert_ok(xkey_generate(&key[i], KEY_ECDSA_P256));
        make(&leaf[i], key[i], false);
        assert_ok(x509_parse(&info[i], wr_slice(&leaf[i])));
    }
    return 0;
}

static int group_teardown(void **state)
{
    xkey_free(ca);
    wr_free(&ca_cert);
    for (int i = 0; i < 4; i++) {
        xkey_free(key[i]);
        wr_free(&leaf[i]);
    }
    return 0;
}

static int setup(void **state)
{
    strcpy(dir, "/tmp/reeve-install-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    target = (struct install_target){ .uid = (uid_t) -1, .gid = (gid_t) -1, .timeout_ms = 2000 };
    assert_true(name_set_str(&target.cert, "web"));
    snprintf(target.dir, sizeof target.dir, "%s/web", dir);
    return 0;
}

static int teardown(void **state)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

static struct agent_install_result put(uint32_t gen, bool fallback_ok)
{
    struct agent_install_result res;
    struct agent_cert c = { .gen = gen, .key = key[gen], .leaf = wr_slice(&leaf[gen]), .chain = wr_slice(&ca_cert),
                            .ca = wr_slice(&ca_cert), .info = &info[gen], .fallback_ok = fallback_ok };
    c.object = target.cert;
    install_run(&target, &c, &res);
    return res;
}

/* Which generation `current` holds, by its certificate; 0 none. */
static uint32_t current(void)
{
    char path[1100], text[8192];
    snprintf(path, sizeof path, "%s/current/cert.pem", target.dir);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0)
        close(fd);
    struct slice pem = slice_of(text, n > 0 ? (size_t) n : 0);
    struct wr der = wr_heap(X509_DER_MAX);
    uint32_t found = 0;
    if (n > 0 && x509_pem_next(&pem, &der) == REEVE_OK)
        for (uint32_t i = 0; i < 4; i++)
            if (slice_eq(wr_slice(&der), wr_slice(&leaf[i])))
                found = i;
    wr_free(&der);
    return found;
}

static unsigned folders(void)
{
    unsigned n = 0;
    DIR *d = opendir(target.dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        n += strncmp(e->d_name, "gen-", 4) == 0;
    closedir(d);
    return n;
}

static mode_t mode_of(const char *name)
{
    char path[1100];
    struct stat st;
    snprintf(path, sizeof path, "%s/current/%s", target.dir, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void key_and_certificate_appear_together(void **state)
{
    assert_int_equal(put(1, false).code, 0);
    assert_int_equal(current(), 1);
    assert_int_equal(mode_of("key.pem"), 0600);
    assert_int_equal(mode_of("cert.pem"), 0644);
    assert_int_equal(put(2, true).code, 0);
    assert_int_equal(current(), 2);
    assert_int_equal(folders(), 2);
    assert_int_equal(put(3, true).code, 0);
    assert_int_equal(folders(), 2);     /* one backup, not more */
}

static void a_mode_set_by_hand_is_kept(void **state)
{
    char path[1100];
    assert_int_equal(put(1, false).code, 0);
    snprintf(path, sizeof path, "%s/current/key.pem", target.dir);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(put(2, true).code, 0);
    assert_int_equal(mode_of("key.pem"), 0640);
    target.mode = 0600;
    assert_int_equal(put(3, true).code, 0);
    assert_int_equal(mode_of("key.pem"), 0600);
}

static void a_failing_reload_brings_the_generation_before_back(void **state)
{
    assert_int_equal(put(1, false).code, 0);
    snprintf(target.reload, sizeof target.reload, "echo $REEVE_GENERATION >>%s/log; test \"$(readlink $REEVE_DIR/current | cut -d- -f2)\" != 2", dir);
    struct agent_install_result res = put(2, true);
    assert_int_equal(res.code, WE_RELOAD);
    assert_string_equal(res.text, "the reload command ended with status 1");
    assert_int_equal(current(), 1);
    char path[200], text[16] = "";
    snprintf(path, sizeof path, "%s/log", dir);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof text - 1), 4);   /* told twice: forward and back, each by its number */
    close(fd);
    assert_string_equal(text, "2\n1\n");
    assert_int_equal(put(3, true).code, 0);
    assert_int_equal(current(), 3);
}

static void a_way_back_that_is_closed_or_fails_is_said_plainly(void **state)
{
    assert_int_equal(put(1, false).code, 0);
    strcpy(target.reload, "false");
    struct agent_install_result res = put(2, false);
    assert_int_equal(res.code, WE_ROLLBACK);                /* the one before is revoked */
    assert_string_equal(res.text, "the reload command ended with status 1; the generation before is revoked or expired");
    assert_int_equal(current(), 2);
    res = put(3, true);
    assert_int_equal(res.code, WE_ROLLBACK);                /* the reload on the way back fails too */
    assert_string_equal(res.text, "the reload command ended with status 1; then: the reload command ended with status 1");
    assert_int_equal(current(), 2);
}

static void a_reload_that_hangs_is_ended_with_its_children(void **state)
{
    char path[200];
    int64_t before = time(NULL);
    assert_int_equal(put(1, false).code, 0);
    target.timeout_ms = 300;
    snprintf(target.reload, sizeof target.reload, "case $(readlink $REEVE_DIR/current) in gen-2*) sleep 60 & echo $! >%s/pid; wait;; esac", dir);
    assert_int_equal(put(2, true).code, WE_RELOAD_TIMEOUT);
    assert_int_equal(current(), 1);
    assert_true(time(NULL) - before < 10);
    snprintf(path, sizeof path, "%s/pid", dir);
    FILE *f = fopen(path, "r");
    int pid = 0;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    char stat_path[64], text[256] = "";
    for (int i = 0; i < 200; i++) {     /* gone, or a zombie that nobody has collected yet */
        snprintf(stat_path, sizeof stat_path, "/proc/%d/stat", pid);
        f = fopen(stat_path, "r");
        if (f == NULL)
            return;
        assert_non_null(fgets(text, sizeof text, f));
        fclose(f);
        const char *paren = strrchr(text, ')');
        if (paren != NULL && paren[2] == 'Z')
            return;
        usleep(10000);
    }
    fail_msg("process %d lives on", pid);
}

static void a_service_that_does_not_answer_the_probe_is_a_failure(void **state)
{
    assert_int_equal(put(1, false).code, 0);
    target.timeout_ms = 200;
    strcpy(target.probe_host, "127.0.0.1");
    strcpy(target.probe_port, "1");
    assert_int_equal(put(2, true).code, WE_PROBE);
    assert_int_equal(current(), 1);
}

static void the_first_generation_has_no_way_back(void **state)
{
    strcpy(target.reload, "exit 3");
    assert_int_equal(put(1, false).code, WE_RELOAD);
    assert_int_equal(current(), 1);
}

static void a_folder_that_cannot_be_written_changes_nothing(void **state)
{
    assert_int_equal(put(1, false).code, 0);
    struct install_target good = target;
    snprintf(target.dir, sizeof target.dir, "%s/file/web", dir);
    char path[200];
    snprintf(path, sizeof path, "%s/file", dir);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    assert_int_equal(put(2, true).code, WE_WRITE);
    target = good;
    assert_int_equal(current(), 1);
}

/* A reader in a loop never misses the link and never sees a key that is not its certificate's. */
static void nobody_ever_sees_half_a_change(void **state)
{
    char cert[1100], keyfile[1200];
    assert_int_equal(put(1, false).code, 0);
    int stop[2];
    assert_int_equal(pipe(stop), 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (uint32_t i = 0; i < 40; i++)
            if (put(1 + (i + 1) % 3, true).code != 0)
                _exit(1);
        _exit(0);
    }
    snprintf(cert, sizeof cert, "%s/current", target.dir);
    unsigned seen = 0;
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        char to[64];
        ssize_t n = readlink(cert, to, sizeof to - 1);
        assert_true(n > 0);
        to[n] = '\0';
        snprintf(keyfile, sizeof keyfile, "%s/%s/key.pem", target.dir, to);
        seen += access(keyfile, R_OK) == 0;
    }
    assert_true(seen > 0);
    close(stop[0]);
    close(stop[1]);
    assert_int_not_equal(current(), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(key_and_certificate_appear_together), T(a_mode_set_by_hand_is_kept),
        T(a_failing_reload_brings_the_generation_before_back), T(a_way_back_that_is_closed_or_fails_is_said_plainly),
        T(a_reload_that_hangs_is_ended_with_its_children), T(a_service_that_does_not_answer_the_probe_is_a_failure),
        T(the_first_generation_has_no_way_back), T(a_folder_that_cannot_be_written_changes_nothing),
        T(nobody_ever_sees_half_a_change),
    };
    return cmocka_run_group_tests_name("libreeve_install", tests, group_setup, group_teardown);
}
