/* attest_note.c - fuzz target of notes and verifier keys: the first line is a vkey, the rest a note; a key that is read can be read again. */
#include "crypto/ops.h"
#include "engine/approval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char known[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    char mem[NAME_MAX_LEN + 64];
    struct wr w = wr_fixed(mem, sizeof mem);
    const uint8_t *end = len > 0 ? memchr(data, '\n', len) : NULL;
    struct slice vkey = slice_of(data, end != NULL ? (size_t) (end - data) : len);
    struct slice note = end != NULL ? slice_of(end + 1, len - vkey.len - 1) : slice_of(data, 0);
    struct name name, again;
    struct pubkey key, same;
    struct sig64 sig;
    if (vkey_read(&crypto_ops_real, &name, &key, vkey) == REEVE_OK) {
        vkey_write(&crypto_ops_real, &w, &name, &key);
        reeve_assert(vkey_read(&crypto_ops_real, &again, &same, wr_slice(&w)) == REEVE_OK);
        reeve_assert(memcmp(&again, &name, sizeof name) == 0 && memcmp(&same, &key, sizeof key) == 0);
    } else if (vkey_read(&crypto_ops_real, &name, &key, slice_str(known)) != REEVE_OK) {
        return 0;
    }
    (void) (approval_note_read(&crypto_ops_real, &sig, note, slice_str("text\n"), &name, &key) == REEVE_OK);
    return 0;
}
