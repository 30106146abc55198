/* pidfile.c - DIR/reeve.pid; its first line is a contract. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/utils/datadir.h"

#define PID_FILE "reeve.pid"

enum reeve_err pidfile_write(const char *dir, const struct pidfile *p, struct report *rep)
{
    char path[DATADIR_PATH_MAX], text[3 * DATADIR_PATH_MAX];
    if (!datadir_path(path, sizeof path, dir, PID_FILE))
        return report_set(rep, REEVE_E_TOO_BIG, "the data directory's name is too long");
    snprintf(text, sizeof text, "%d\n%s\n%lld\n%d\n%s\n%s\n", p->pid, dir, (long long) p->started_s, p->port,
             p->socket, p->state);
    return file_replace(path, slice_str(text), 0600, rep);
}

/* Copies line n (from 0) without its end; empty when there is none. */
static void line_of(const char *text, int n, char *out, size_t cap)
{
    while (n-- > 0 && text != NULL)
        text = (text = strchr(text, '\n')) ? text + 1 : NULL;
    size_t len = text ? strcspn(text, "\n") : 0;
    if (len >= cap)
        len = 0;
    if (len > 0)
        memcpy(out, text, len);
    out[len] = '\0';
}

enum reeve_err pidfile_read(struct pidfile *out, const char *dir)
{
    char path[DATADIR_PATH_MAX], text[3 * DATADIR_PATH_MAX], word[32], *end;
    size_t len = 0;
    memset(out, 0, sizeof *out);
    if (!datadir_path(path, sizeof path, dir, PID_FILE))
        return REEVE_E_TOO_BIG;
    enum reeve_err err = file_read(path, text, sizeof text - 1, &len);
    if (err != REEVE_OK)
        return err;
    text[len] = '\0';
    line_of(text, 0, word, sizeof word);
    errno = 0;
    long pid = strtol(word, &end, 10);
    if (end == word || *end != '\0' || errno != 0 || pid < 1 || pid > INT32_MAX)
        return REEVE_E_MALFORMED;
    out->pid = (int32_t) pid;
    line_of(text, 2, word, sizeof word);
    out->started_s = strtoll(word, NULL, 10);
    line_of(text, 3, word, sizeof word);
    out->port = (int) strtol(word, NULL, 10);
    line_of(text, 4, out->socket, sizeof out->socket);
    line_of(text, 5, out->state, sizeof out->state);
    return REEVE_OK;
}

void pidfile_remove(const char *dir)
{
    char path[DATADIR_PATH_MAX];
    if (datadir_path(path, sizeof path, dir, PID_FILE))
        unlink(path);
}
