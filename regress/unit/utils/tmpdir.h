/* tmpdir.h - an empty directory of the test's own, gone at its end */
#ifndef REEVE_UNIT_TMPDIR_H
#define REEVE_UNIT_TMPDIR_H

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit.h"

static char tmpdir[64];

static inline int tmpdir_make(void **state)
{
    strcpy(tmpdir, "/tmp/reeve-unit-XXXXXX");
    return mkdtemp(tmpdir) == NULL;
}

static inline int tmpdir_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

static inline int tmpdir_remove(void **state)
{
    return nftw(tmpdir, tmpdir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void tmpdir_put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", tmpdir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static inline void tmpdir_mkdir(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", tmpdir, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

#endif
