/* title.c - writes the title over argv and the old environment, which lie in one piece. */
#include "backend/utils/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

extern char **environ;

static char *area;
static size_t area_len;
static char **args;                     /* kept for good, as the environment is */

/* End of the unbroken run of strings that starts at p. */
static char *run_end(char *end, char **strings)
{
    for (int i = 0; strings[i] != NULL; i++)
        if (strings[i] == end)
            end = strings[i] + strlen(strings[i]) + 1;
    return end;
}

static char **copy_strings(char **strings)
{
    int n = 0;
    while (strings[n] != NULL)
        n++;
    char **copy = calloc((size_t) n + 1, sizeof *copy);
    for (int i = 0; copy != NULL && i < n; i++)
        if ((copy[i] = strdup(strings[i])) == NULL)
            return NULL;
    return copy;
}

char **title_init(int argc, char **argv)
{
    if (argc < 1)
        return argv;
    char **env = copy_strings(environ);
    args = copy_strings(argv);
    if (args == NULL || env == NULL)
        return argv;
    char *end = run_end(run_end(argv[0], argv), environ);
    area = argv[0];
    area_len = (size_t) (end - area);
    environ = env;
    return args;
}

void title_set(const char *fmt, ...)
{
    char text[256];
    va_list ap;
    int n = snprintf(text, sizeof text, "reeved: ");
    va_start(ap, fmt);
    vsnprintf(text + n, sizeof text - (size_t) n, fmt, ap);
    va_end(ap);
    prctl(PR_SET_NAME, text, 0, 0, 0);
    if (area_len < 2)
        return;
    memset(area, 0, area_len);
    snprintf(area, area_len - 1, "%s", text);
}
