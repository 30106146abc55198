/* sanitize.c - reports of sanitizers and leak checks; empty in a release. */
#include "backend/utils/sanitize.h"

#include "config.h"

#ifdef REEVE_SANITIZE
#include <fcntl.h>
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *reports_path(void)
{
    return getenv("REEVE_SANITIZER_LOG");
}

bool sanitize_has_stderr(void)
{
    struct stat a, b;
    const char *path = reports_path();
    return path != NULL && fstat(STDERR_FILENO, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

/* The postmaster opens it; children, who could not, have it as their stderr from the start. */
bool sanitize_take_stderr(void)
{
    if (reports_path() == NULL || sanitize_has_stderr())
        return reports_path() != NULL;
    int fd = open(reports_path(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    dup2(fd, STDERR_FILENO);
    close(fd);
    return true;
}

void sanitize_leaks(void)
{
    __lsan_do_leak_check();
}
#else
bool sanitize_has_stderr(void)
{
    return false;
}

bool sanitize_take_stderr(void)
{
    return false;
}

void sanitize_leaks(void)
{
}
#endif
