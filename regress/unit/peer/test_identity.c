/* test_identity.c - the key of a member in its data directory */
#include "../unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "backend/peer/peer.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

static char dir[] = "/tmp/reeve-peer-XXXXXX";

static void path_of(char out[256], const char *name) { snprintf(out, 256, "%s/%s", dir, name); }

static void write_file(const char *name, const char *text)
{
    char path[256];
    path_of(path, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void a_key_is_made_for_this_member_only_and_read_back(void **state)
{
    struct report rep = { 0 };
    struct peer_identity a, b;
    struct stat st;
    char path[256];
    assert_ok(peer_identity_make(dir, &rep));
    path_of(path, "peer");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    path_of(path, "peer/peer.key");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_ok(peer_identity_load(&a, dir, &rep));
    assert_ok(peer_identity_load(&b, dir, &rep));
    assert_true(hash32_eq(&a.key, &b.key));
    assert_ok(x509_key_matches(slice_of(a.cert, a.cert_len), b.secret));
    peer_identity_end(&b);
    assert_ok(peer_identity_make(dir, &rep));
    assert_ok(peer_identity_load(&b, dir, &rep));
    assert_false(hash32_eq(&a.key, &b.key));
    peer_identity_end(&a);
    peer_identity_end(&b);
}

static void what_does_not_fit_is_refused_with_its_place(void **state)
{
    struct report rep = { 0 };
    struct peer_identity i;
    char key[256], kept[256];
    assert_ok(peer_identity_make(dir, &rep));
    path_of(key, "peer/peer.key");
    path_of(kept, "kept");
    assert_int_equal(rename(key, kept), 0);
    assert_err(peer_identity_load(&i, dir, &rep), REEVE_E_NOT_FOUND);
    assert_non_null(strstr(rep.message, "peer.key"));
    assert_ok(peer_identity_make(dir, &(struct report){ 0 }));
    assert_int_equal(rename(kept, key), 0);     /* the key of another certificate */
    report_clear(&rep);
    assert_err(peer_identity_load(&i, dir, &rep), REEVE_E_V_KEY);
    write_file("peer/peer.key", "no key");
    report_clear(&rep);
    assert_true(peer_identity_load(&i, dir, &rep) != REEVE_OK && rep.message[0] != '\0');
}

static int clean(void **state)
{
    static const char *const names[] = { "peer/peer.key", "peer/peer.crt", "peer", "kept", "" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        path_of(path, names[i]);
        remove(path);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_made_for_this_member_only_and_read_back),
        cmocka_unit_test(what_does_not_fit_is_refused_with_its_place),
    };
    if (crypto_init() != REEVE_OK || mkdtemp(dir) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, clean);
}
