/*
 * sql_latency.c CONNINFO ROUNDS STATEMENT... - one client, one statement after the other
 *
 * Prints one line per statement executed: its latency in microseconds and the
 * wall clock after it in milliseconds. %d in a statement is the round's number.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fill(char *to, size_t size, const char *statement, int round)
{
    const char *at = strstr(statement, "%d");
    if (at == NULL)
        snprintf(to, size, "%s", statement);
    else
        snprintf(to, size, "%.*s%d%s", (int) (at - statement), statement, round, at + 2);
}

static int one(PGconn *c, const char *sql)
{
    int64_t begin = clock_us(CLOCK_MONOTONIC);
    PGresult *r = PQexec(c, sql);
    int64_t took = clock_us(CLOCK_MONOTONIC) - begin, wall = clock_us(CLOCK_REALTIME) / 1000;
    ExecStatusType st = PQresultStatus(r);
    PQclear(r);
    if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s: %s", sql, PQerrorMessage(c));
        return 1;
    }
    printf("%" PRId64 " %" PRId64 "\n", took, wall);
    return 0;
}

int main(int argc, char **argv)
{
    char sql[8192];
    if (argc < 4)
        return 2;
    PGconn *c = PQconnectdb(argv[1]);
    int failed = PQstatus(c) != CONNECTION_OK;
    if (failed)
        fprintf(stderr, "%s", PQerrorMessage(c));
    for (int round = 1; round <= atoi(argv[2]) && !failed; round++)
        for (int i = 3; i < argc && !failed; i++) {
            fill(sql, sizeof sql, argv[i], round);
            failed = one(c, sql);
        }
    PQfinish(c);
    return failed;
}
