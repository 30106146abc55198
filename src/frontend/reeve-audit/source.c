/* source.c - where a mirror is: a folder, or http://HOST[:PORT][/PATH] */
#include "mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool source_is(const char *where)
{
    struct stat st;
    return strstr(where, "://") != NULL || (stat(where, &st) == 0 && S_ISDIR(st.st_mode));
}

static bool refuse(const char *where, const char *why)
{
    fprintf(stderr, "reeve-audit: %s: %s\n", where, why);
    return false;
}

/* What goes into a request line and a Host header: nothing that could end either. */
static bool is_plain(const char *s)
{
    for (; *s; s++)
        if ((unsigned char) *s <= ' ' || (unsigned char) *s >= 0x7f)
            return false;
    return true;
}

static bool url_parse(struct source *s, const char *where)
{
    const char *host = where + 7, *slash = strchr(host, '/'), *end = slash ? slash : host + strlen(host), *h_end = end;
    if (*host == '[')
        h_end = memchr(host, ']', (size_t) (end - host));
    else if (memchr(host, ':', (size_t) (end - host)) != NULL)
        h_end = memchr(host, ':', (size_t) (end - host));
    if (h_end == NULL || h_end == host || !is_plain(where))
        return false;
    const char *name = *host == '[' ? host + 1 : host, *port = *host == '[' ? h_end + 1 : h_end;
    int n = snprintf(s->host, sizeof s->host, "%.*s", (int) (h_end - name), name);
    int p = snprintf(s->port, sizeof s->port, "%.*s", *port == ':' ? (int) (end - port - 1) : 2, *port == ':' ? port + 1 : "80");
    int b = snprintf(s->base, sizeof s->base, "%s", slash ? slash : "");
    size_t len = strlen(s->base);
    while (len > 0 && s->base[len - 1] == '/')
        s->base[--len] = '\0';
    return n > 0 && n < (int) sizeof s->host && p > 0 && p < (int) sizeof s->port && b < (int) sizeof s->base &&
           strspn(s->port, "0123456789") == strlen(s->port);
}

bool source_open(struct source *s, const char *where)
{
    memset(s, 0, sizeof *s);
    s->http = strncmp(where, "http://", 7) == 0;
    if (s->http)
        return url_parse(s, where) || refuse(where, "this is no URL");
    if (strstr(where, "://") != NULL)
        return refuse(where, "only http:// and folders are read: what is fetched is believed for its signatures alone");
    return snprintf(s->base, sizeof s->base, "%s", where) < (int) sizeof s->base || refuse(where, "the name is too long");
}

/* ---- files ---- */

static enum source_err failed(struct source *s, const char *path, const char *why)
{
    snprintf(s->why, sizeof s->why, "%s: %s", path, why);
    return SOURCE_FAILED;
}

static enum source_err read_all(struct source *s, const char *path, int fd, struct wr *out)
{
    uint8_t piece[16384];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno != EINTR)
            return failed(s, path, strerror(errno));
        if (n == 0)
            return SOURCE_OK;
        if (n > 0)
            wr_bytes(out, piece, (size_t) n);
        if (out->bad)
            return failed(s, path, "it is larger than any such file may be");
    }
}

static enum source_err file_get(struct source *s, const char *path, struct wr *out)
{
    char name[1200];
    struct stat st;
    snprintf(name, sizeof name, "%s/%s", s->base, path);
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? SOURCE_MISSING : failed(s, path, strerror(errno));
    enum source_err err = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read_all(s, path, fd, out) : failed(s, path, "it is no file");
    close(fd);
    return err;
}

enum source_err source_read(struct source *s, const char *path, struct wr *out)
{
    wr_reset(out);
    return s->http ? http_get(s, path, out) : file_get(s, path, out);
}
