/* keydir.c - files of DIR/keys: read whole, written by rename. */
#include "backend/signer/signer_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"

#define TEMP_PREFIX ".new-"

static enum reeve_err errno_err(void)
{
    switch (errno) {
    case ENOENT: return REEVE_E_NOT_FOUND;
    case EEXIST: return REEVE_E_DUPLICATE_OBJECT;
    case ENOSPC: case EDQUOT: return REEVE_E_DISK_FULL;
    default: return REEVE_E_IO;
    }
}

enum reeve_err keydir_read(int dirfd, const char *name, void *out, size_t cap, size_t *len)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0)
        return errno_err();
    enum reeve_err err = REEVE_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        err = REEVE_E_IO;
    else if ((uint64_t) st.st_size > cap)
        err = REEVE_E_TOO_BIG;
    else if (read(fd, out, (size_t) st.st_size) != st.st_size)
        err = REEVE_E_IO;
    else
        *len = (size_t) st.st_size;
    close(fd);
    return err;
}

static enum reeve_err write_all(int fd, struct slice data)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.p, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return errno_err();
        data.p += n;
        data.len -= (size_t) n;
    }
    return fsync(fd) == 0 ? REEVE_OK : errno_err();
}

enum reeve_err keydir_write(int dirfd, const char *name, struct slice data, bool excl)
{
    char temp[32];
    uint64_t id;
    random_bytes(&id, sizeof id);
    snprintf(temp, sizeof temp, TEMP_PREFIX "%016llx", (unsigned long long) id);
    int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno_err();
    enum reeve_err err = write_all(fd, data);
    if (close(fd) != 0 && err == REEVE_OK)
        err = REEVE_E_IO;
    if (err == REEVE_OK && renameat2(dirfd, temp, dirfd, name, excl ? RENAME_NOREPLACE : 0) != 0)
        err = errno_err();
    if (err != REEVE_OK) {
        unlinkat(dirfd, temp, 0);
        return err;
    }
    return fsync(dirfd) == 0 ? REEVE_OK : REEVE_E_IO;
}

/* Calls fn for each name that starts with prefix. */
static unsigned each_file(int dirfd, const char *prefix, void (*fn)(int dirfd, const char *name))
{
    unsigned n = 0;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
            continue;
        n++;
        if (fn)
            fn(dirfd, e->d_name);
    }
    closedir(d);
    return n;
}

static void sweep_one(int dirfd, const char *name)
{
    unlinkat(dirfd, name, 0);
}

void keydir_sweep(int dirfd)
{
    each_file(dirfd, TEMP_PREFIX, sweep_one);
}

unsigned keydir_count(int dirfd, const char *prefix)
{
    return each_file(dirfd, prefix, NULL);
}

static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Longest escaped name that leaves room for ".GEN.SPKI.crt". */
#define ESCAPED_MAX 180

static size_t escape(char *out, const struct name *name)
{
    size_t n = 0;
    for (size_t i = 0; i < name->len; i++) {
        if (n + 3 > ESCAPED_MAX) {
            struct hash32 h;
            sha256(&h, name_slice(name));
            memcpy(out, "%%", 2);
            hex_encode(out + 2, h.b, 32);
            return 66;
        }
        if (plain(name->s[i]))
            out[n++] = name->s[i];
        else
            n += (size_t) snprintf(out + n, 4, "%%%02X", (unsigned char) name->s[i]);
    }
    return n;
}

void key_file_name(char out[KEY_FILE_NAME_MAX], const struct name *name, uint32_t gen, const struct hash32 *spki)
{
    size_t n = escape(out, name);
    n += (size_t) snprintf(out + n, KEY_FILE_NAME_MAX - n, ".%u.", gen);
    if (spki)
        hex_encode(out + n, spki->b, 8);
}
