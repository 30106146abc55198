/*
 * libpq_probe.c CONNINFO - libpq itself against a real server, as TAP:
 * binary parameters and results, prepared statements, pipelines, single rows,
 * notices, cancel, error fields, COPY
 */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIVE "SELECT n::int4 FROM (VALUES (1),(2),(3),(4),(5)) v(n)"
#define LONG "SELECT count(*) FROM sys.settings a, sys.settings b, sys.settings c, sys.settings d"

static PGconn *c;
static int count, failures;

static void ok(bool good, const char *name)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++count, name);
    if (!good) {
        fprintf(stderr, "# %s\n", PQerrorMessage(c));
        failures++;
    }
}

static bool is(PGresult *r, ExecStatusType want)
{
    bool same = PQresultStatus(r) == want;
    if (!same)
        fprintf(stderr, "# status %s: %s\n", PQresStatus(PQresultStatus(r)), PQresultErrorMessage(r));
    return same;
}

static bool field_is(PGresult *r, char field, const char *want)
{
    const char *got = PQresultErrorField(r, field);
    return got != NULL && strcmp(got, want) == 0;
}

static void binary(void)
{
    uint32_t four = htonl(40);
    const Oid types[2] = { 23, 25 };
    const char *values[2] = { (const char *) &four, "text" };
    const int lengths[2] = { 4, 4 }, formats[2] = { 1, 0 };
    PGresult *r = PQexecParams(c, "SELECT $1 + 2, $2", 2, types, values, lengths, formats, 1);
    ok(is(r, PGRES_TUPLES_OK) && PQfformat(r, 0) == 1 && PQgetlength(r, 0, 0) == (PQftype(r, 0) == 20 ? 8 : 4) &&
       PQgetvalue(r, 0, 0)[PQgetlength(r, 0, 0) - 1] == 42 && strcmp(PQgetvalue(r, 0, 1), "text") == 0,
       "a binary parameter and binary results");
    PQclear(r);
    r = PQexecParams(c, "SELECT $1", 1, types, values, (const int[]){ 3 }, formats, 1);
    ok(is(r, PGRES_FATAL_ERROR) && field_is(r, PG_DIAG_SQLSTATE, "22P03"), "a binary parameter of the wrong length is refused");
    PQclear(r);
}

static void prepared(void)
{
    const char *values[1] = { "5" };
    PGresult *r = PQprepare(c, "p", "SELECT $1::int8 * 2", 0, NULL);
    ok(is(r, PGRES_COMMAND_OK), "PQprepare");
    PQclear(r);
    r = PQdescribePrepared(c, "p");
    ok(is(r, PGRES_COMMAND_OK) && PQnparams(r) == 1 && PQnfields(r) == 1 && PQftype(r, 0) == 20, "PQdescribePrepared");
    PQclear(r);
    r = PQexecPrepared(c, "p", 1, values, NULL, NULL, 0);
    ok(is(r, PGRES_TUPLES_OK) && strcmp(PQgetvalue(r, 0, 0), "10") == 0, "PQexecPrepared");
    PQclear(r);
    r = PQprepare(c, "p", "SELECT 1", 0, NULL);
    ok(is(r, PGRES_FATAL_ERROR) && field_is(r, PG_DIAG_SQLSTATE, "42P05"), "the name is taken");
    PQclear(r);
    r = PQexec(c, "DEALLOCATE p");
    ok(is(r, PGRES_COMMAND_OK), "DEALLOCATE");
    PQclear(r);
}

/* Takes all results up to the pipeline's sync; counts rows and errors. */
static void drain(int *rows, int *errors, int *aborted)
{
    *rows = *errors = *aborted = 0;
    for (bool synced = false; !synced;) {
        PGresult *r = PQgetResult(c);
        if (r == NULL)
            continue;
        synced = PQresultStatus(r) == PGRES_PIPELINE_SYNC || PQstatus(c) != CONNECTION_OK;
        *rows += PQresultStatus(r) == PGRES_TUPLES_OK ? PQntuples(r) : 0;
        *errors += PQresultStatus(r) == PGRES_FATAL_ERROR;
        *aborted += PQresultStatus(r) == PGRES_PIPELINE_ABORTED;
        PQclear(r);
    }
}

static void pipeline(void)
{
    int rows, errors, aborted;
    PQenterPipelineMode(c);
    for (int i = 0; i < 10; i++)
        PQsendQueryParams(c, FIVE, 0, NULL, NULL, NULL, NULL, 0);
    PQpipelineSync(c);
    drain(&rows, &errors, &aborted);
    ok(rows == 50 && errors == 0, "ten statements in one pipeline");
    PQsendQueryParams(c, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0);
    PQsendQueryParams(c, "SELECT 1/0", 0, NULL, NULL, NULL, NULL, 0);
    PQsendQueryParams(c, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0);
    PQpipelineSync(c);
    drain(&rows, &errors, &aborted);
    ok(rows == 1 && errors == 1 && aborted == 1, "an error in a pipeline skips to its sync");
    ok(PQexitPipelineMode(c) == 1, "and the pipeline can be left");
}

static void single_rows(void)
{
    int rows = 0;
    PGresult *r;
    PQsendQuery(c, FIVE);
    PQsetSingleRowMode(c);
    while ((r = PQgetResult(c)) != NULL) {
        rows += PQresultStatus(r) == PGRES_SINGLE_TUPLE;
        PQclear(r);
    }
    ok(rows == 5, "rows one by one");
}

static void errors(void)
{
    PGresult *r = PQexec(c, "SELECT 1,\n  nosuch");
    ok(field_is(r, PG_DIAG_SQLSTATE, "42703") && field_is(r, PG_DIAG_SEVERITY_NONLOCALIZED, "ERROR") &&
       field_is(r, PG_DIAG_STATEMENT_POSITION, "13"), "SQLSTATE, severity and position of an error");
    PQclear(r);
    r = PQexecParams(c, "SELECT 1; SELECT 2", 0, NULL, NULL, NULL, NULL, 0);
    ok(field_is(r, PG_DIAG_SQLSTATE, "42601"), "two statements do not fit into one Parse");
    PQclear(r);
    r = PQexec(c, "");
    ok(is(r, PGRES_EMPTY_QUERY), "the empty query");
    PQclear(r);
}

static char noticed[6];
static void on_notice(void *arg, const PGresult *r) { snprintf(noticed, sizeof noticed, "%s", PQresultErrorField(r, PG_DIAG_SQLSTATE)); }

static void notices(void)
{
    PQsetNoticeReceiver(c, on_notice, NULL);
    PQclear(PQexec(c, "BEGIN"));
    PQclear(PQexec(c, "BEGIN"));
    ok(strcmp(noticed, "25001") == 0 && PQtransactionStatus(c) == PQTRANS_INTRANS, "a warning arrives as a notice");
    PQclear(PQexec(c, "ROLLBACK"));
    ok(PQtransactionStatus(c) == PQTRANS_IDLE, "ROLLBACK ends the block");
}

/* A cancel that comes before the statement began is too late for nothing and too early for it: ask until it answers. */
static bool cancel_until_ready(void)
{
    char err[256];
    bool sent = true;
    PGcancel *k = PQgetCancel(c);
    while (sent && PQconsumeInput(c) && PQisBusy(c)) {
        sent = PQcancel(k, err, sizeof err) == 1;
        struct pollfd p = { .fd = PQsocket(c), .events = POLLIN };
        poll(&p, 1, 200);
    }
    PQfreeCancel(k);
    return sent;
}

static void cancel(void)
{
    PQsendQuery(c, LONG);
    bool sent = cancel_until_ready();
    PGresult *r = PQgetResult(c);
    ok(sent && r != NULL && field_is(r, PG_DIAG_SQLSTATE, "57014"), "PQcancel");
    PQclear(r);
    while ((r = PQgetResult(c)) != NULL)
        PQclear(r);
}

static void copy(void)
{
    char *line;
    int lines = 0, n;
    PGresult *r = PQexec(c, "COPY (" FIVE ") TO STDOUT");
    bool out = is(r, PGRES_COPY_OUT);
    PQclear(r);
    while ((n = PQgetCopyData(c, &line, 0)) > 0) {
        lines++;
        PQfreemem(line);
    }
    r = PQgetResult(c);
    ok(out && lines == 5 && n == -1 && is(r, PGRES_COMMAND_OK) && strcmp(PQcmdStatus(r), "COPY 5") == 0, "COPY TO STDOUT");
    PQclear(r);
    PQclear(PQgetResult(c));
}

static void facts(void)
{
    static const char *const names[] = { "server_version", "server_encoding", "client_encoding", "is_superuser",
        "session_authorization", "DateStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings",
        "application_name", "in_hot_standby", "default_transaction_read_only", "IntervalStyle" };
    bool all = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        all &= PQparameterStatus(c, names[i]) != NULL;
    ok(all && PQserverVersion(c) == 150000, "what drivers ask is reported");
    PQclear(PQexec(c, "SET application_name = 'probe'"));
    ok(strcmp(PQparameterStatus(c, "application_name"), "probe") == 0, "and reported again after SET");
    ok(PQsslInUse(c), "TLS is in use");
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    c = PQconnectdb(argv[1]);
    ok(PQstatus(c) == CONNECTION_OK, "log-in");
    if (PQstatus(c) == CONNECTION_OK) {
        facts();
        binary();
        prepared();
        pipeline();
        single_rows();
        errors();
        notices();
        cancel();
        copy();
    }
    printf("1..%d\n", count);
    PQfinish(c);
    return failures != 0;
}
