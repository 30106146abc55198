/* file.c - files read whole, and what of them may be shown */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool complain(const char *path, int fd, uint8_t *bytes, const char *why)
{
    fprintf(stderr, "reeve-audit: could not read %s: %s\n", path, why);
    free(bytes);
    if (fd > STDIN_FILENO)
        close(fd);
    return false;
}

static bool grow(uint8_t **bytes, size_t *cap)
{
    size_t want = *cap ? *cap * 2 : 65536;
    uint8_t *more = want > FILE_BYTES_MAX ? NULL : realloc(*bytes, want);
    if (more == NULL)
        return false;
    *bytes = more;
    *cap = want;
    return true;
}

bool file_read(const char *path, struct slice *out)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *bytes = NULL;
    size_t len = 0, cap = 0;
    if (fd < 0)
        return complain(path, fd, NULL, strerror(errno));
    for (;;) {
        if (len == cap && !grow(&bytes, &cap))
            return complain(path, fd, bytes, "it is too large");
        ssize_t n = read(fd, bytes + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return complain(path, fd, bytes, strerror(errno));
        if (n == 0)
            break;
        len += (size_t) n;
    }
    if (fd > STDIN_FILENO)
        close(fd);
    *out = slice_of(bytes, len);
    return true;
}

void file_free(struct slice *s)
{
    free((void *) (uintptr_t) s->p);
    *s = slice_of(NULL, 0);
}

/* C0, DEL and, as UTF-8, C1: what a terminal would act upon. */
static bool is_control(struct slice s, size_t i)
{
    return s.p[i] < 0x20 || s.p[i] == 0x7f || (s.p[i] == 0xc2 && i + 1 < s.len && s.p[i + 1] >= 0x80 && s.p[i + 1] < 0xa0);
}

void put_safe(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (is_control(s, i))
            printf("\\x%02x", s.p[i]);
        else
            putchar(s.p[i]);
}
