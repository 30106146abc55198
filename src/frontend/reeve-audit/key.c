/* key.c - reeve-audit keygen and sign: a person's key, in a file or a token, and notes signed with it, far from any server */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "crypto/ops.h"
#include "crypto/sign.h"

static int could_not(const char *what, const char *why)
{
    fprintf(stderr, "reeve-audit: could not %s: %s\n", what, why);
    return EXIT_COULD_NOT;
}

/* ---- keygen ---- */

/* Made anew, for its owner alone: no key is ever overwritten. */
static int secret_write(const char *path, struct slice text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return could_not("make the key file", strerror(errno));
    bool ok = write(fd, text.p, text.len) == (ssize_t) text.len && fsync(fd) == 0;
    int why = errno;
    if (close(fd) == 0 && ok)
        return EXIT_SOUND;
    unlink(path);
    return could_not("write the key file", strerror(why));
}

static int keygen_file(const struct options *o)
{
    char secret[NOTE_KEY_TEXT_MAX], public[NOTE_KEY_TEXT_MAX];
    struct wr s = wr_fixed(secret, sizeof secret), p = wr_fixed(public, sizeof public);
    uint8_t seed[32];
    struct sign_key key;
    struct pubkey pub;
    struct note_key k;
    random_bytes(seed, sizeof seed);
    sign_key_from_seed(&key, &pub, seed);
    note_key_init(&crypto_ops_real, &k, slice_str(o->file), NOTE_ED25519, &pub);
    note_secret_format(&k, seed, &s);
    wr_u8(&s, '\n');
    note_key_format(&k, &p);
    int code = s.bad || p.bad ? could_not("make a key", "the name is too long") : secret_write(o->key, wr_slice(&s));
    secret_wipe(seed, sizeof seed);
    secret_wipe(&key, sizeof key);
    secret_wipe(secret, sizeof secret);
    if (code == EXIT_SOUND)
        printf("%.*s\n", (int) p.len, public);
    return code;
}

static int keygen_token(const struct options *o)
{
    struct token t;
    char text[NOTE_KEY_TEXT_MAX];
    struct wr p = wr_fixed(text, sizeof text);
    struct note_key k;
    if (!token_key(&t, o->pkcs11, o->file, true))
        return EXIT_COULD_NOT;
    note_key_init(&crypto_ops_real, &k, slice_str(o->file), NOTE_ED25519, &t.pub);
    note_key_format(&k, &p);
    token_close(&t);
    if (p.bad)
        return could_not("print the key", "the name is too long");
    printf("%.*s\n", (int) p.len, text);
    return EXIT_SOUND;
}

static bool one_place(const struct options *o)
{
    return (o->key == NULL) != (o->pkcs11 == NULL);
}

int audit_keygen(const struct options *o)
{
    if (!one_place(o) || !note_name_ok(slice_str(o->file)))
        return could_not("make a key", "keygen takes a name without spaces and '+', and --key FILE or --pkcs11 URI");
    return o->key != NULL ? keygen_file(o) : keygen_token(o);
}

/* ---- sign ---- */

/* key: of a file; token.p11: of a token. */
struct signer { struct sign_key key; struct token token; struct note_key public; char name[NOTE_NAME_MAX + 1]; };

static const char *secret_open(struct slice text, struct signer *s)
{
    struct slice name;
    struct pubkey pub;
    uint8_t seed[32];
    uint32_t id;
    while (text.len > 0 && text.p[text.len - 1] == '\n')
        text.len--;
    if (note_secret_parse(text, &name, &id, seed) != REEVE_OK)
        return "it holds no private key of keygen";
    memcpy(s->name, name.p, name.len);
    sign_key_from_seed(&s->key, &pub, seed);
    secret_wipe(seed, sizeof seed);
    note_key_init(&crypto_ops_real, &s->public, slice_of(s->name, name.len), NOTE_ED25519, &pub);
    return s->public.id == id ? NULL : "its key id is not that of its key";
}

static const char *secret_read(const char *path, struct signer *s)
{
    char text[NOTE_KEY_TEXT_MAX];
    struct stat st;
    const char *why = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof text) : -1;
    if (n < 0)
        why = "it cannot be read";
    else if ((st.st_mode & 077) != 0)
        why = "others may read it (mode 0600 is wanted)";
    else
        why = secret_open(slice_of(text, (size_t) n), s);
    secret_wipe(text, sizeof text);
    close(fd);
    return why;
}

/* A text that a note can carry: UTF-8, no control characters, ended lines. */
static bool text_is_signable(struct slice text)
{
    if (text.len == 0 || text.p[text.len - 1] != '\n' || text.len > NOTE_BYTES_MAX / 2)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < 0x20 && text.p[i] != '\n')
            return false;
    return utf8_valid(text);
}

static bool signature_make(const struct signer *s, struct slice text, struct sig64 *sig)
{
    if (s->token.p11 != NULL)
        return token_sign(&s->token, text, sig);
    sign_detached(sig, text, &s->key);
    return true;
}

static int sign_text(const struct signer *s, struct slice text, bool bare)
{
    struct sig64 sig;
    struct wr out = wr_heap(NOTE_BYTES_MAX);
    if (!text_is_signable(text))
        return could_not("sign", "the text must be UTF-8 without control characters, and its last line must end");
    if (!signature_make(s, text, &sig))
        return EXIT_COULD_NOT;
    if (!sign_verify(&sig, text, &s->public.key))
        return could_not("sign", "the signature made does not verify");
    if (!bare)
        note_put_text(&out, text);
    note_put_sig(&out, &s->public, &sig);
    bool ok = !out.bad && fwrite(out.p, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    wr_free(&out);
    return ok ? EXIT_SOUND : could_not("write the note", strerror(errno));
}

/* A key of a token signs under its label, which keygen made of the name; or under --name. */
static bool signer_of_token(const struct options *o, struct signer *s)
{
    if (!token_key(&s->token, o->pkcs11, NULL, false))
        return false;
    const char *name = o->name != NULL ? o->name : s->token.label;
    if (strlen(name) > NOTE_NAME_MAX || !note_name_ok(slice_str(name))) {
        could_not("sign", "the key's label is no name for a note: --name NAME is needed");
        return false;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
    note_key_init(&crypto_ops_real, &s->public, slice_str(s->name), NOTE_ED25519, &s->token.pub);
    return true;
}

static bool signer_open(const struct options *o, struct signer *s)
{
    if (o->pkcs11 != NULL)
        return signer_of_token(o, s);
    const char *why = secret_read(o->key, s);
    if (why != NULL)
        could_not("use the key file", why);
    return why == NULL;
}

int audit_sign(const struct options *o)
{
    static struct signer s;
    struct slice text;
    int code = EXIT_COULD_NOT;
    if (!one_place(o))
        return could_not("sign", "--key FILE or --pkcs11 URI is needed");
    if (!file_read(o->file ? o->file : "-", &text))
        return EXIT_COULD_NOT;
    if (signer_open(o, &s))
        code = sign_text(&s, text, o->bare);
    secret_wipe(&s.key, sizeof s.key);
    token_close(&s.token);
    file_free(&text);
    return code;
}
