/*
 * rollout.c - the live view of a rollout: one bar a wave
 *
 * On a terminal the lines are redrawn in place; into a pipe a line is printed
 * only when something changed. The view only looks: leaving it with Ctrl-C
 * leaves the rollout running.
 */
#include "frontend/reeve/shell.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REFRESH_MS 250
#define REST_WIDTH 72           /* of a wave's line, beside the bar */

const char *shell_rollout_of(const PGresult *res)
{
    if (PQntuples(res) != 1 || PQnfields(res) != 6 || strcmp(PQfname(res, 0), "rollout_id") != 0 ||
        strcmp(PQfname(res, 5), "first_wave") != 0 || PQgetisnull(res, 0, 0) || PQgetisnull(res, 0, 2))
        return NULL;
    return PQgetvalue(res, 0, 0);
}

static bool is_end(const char *state)
{
    static const char *const ends[] = { "rolled_back", "rollback_failed", "canceled", "succeeded", "expired" };
    for (int i = 0; i < 5; i++)
        if (strcmp(state, ends[i]) == 0)
            return true;
    return false;
}

static int num(const PGresult *r, int row, const char *col)
{
    int c = PQfnumber(r, col);
    return c < 0 || PQgetisnull(r, row, c) ? 0 : atoi(PQgetvalue(r, row, c));
}

static const char *text(const PGresult *r, int row, const char *col)
{
    int c = PQfnumber(r, col);
    return c < 0 ? "" : PQgetvalue(r, row, c);
}

static const char *paint(const struct shell *sh, const char *code)
{
    return sh->color ? code : "";
}

static int bar_width(void)
{
    int w = shell_columns() - REST_WIDTH;
    return w < 8 ? 8 : w > 50 ? 50 : w;
}

/* A wave by node count has no share. */
static void wave_head(const PGresult *waves, int i, int nodes)
{
    double share = atof(text(waves, i, "share"));
    if (share > 0)
        printf(" %2d %5.4g%% ", num(waves, i, "wave"), 100 * share);
    else
        printf(" %2d %6d ", num(waves, i, "wave"), nodes);
}

/* What a wave's nodes have come to. */
struct counts { int nodes, done, failed, silent, reverted, left; };

static struct counts counts_of(const PGresult *waves, int i)
{
    return (struct counts){ num(waves, i, "nodes_total"), num(waves, i, "nodes_done"), num(waves, i, "nodes_failed"),
                            num(waves, i, "nodes_silent"), num(waves, i, "nodes_reverted"), num(waves, i, "nodes_remaining") };
}

/* done █ failed x silent ? reverted < left · — the sign says it without colour too */
static void bar(struct shell *sh, int width, const struct counts *c)
{
    static const struct { const char *sign, *color; } parts[] = {
        { "█", "\033[32m" }, { "x", "\033[31m" }, { "?", "\033[33m" }, { "<", "\033[35m" }, { "·", "\033[2m" } };
    const int nodes[4] = { c->done, c->failed, c->silent, c->reverted };
    int part[5] = { 0 }, used = 0;
    for (int i = 0; i < 4; i++) {
        part[i] = c->nodes > 0 ? (int) ((long) nodes[i] * width / c->nodes) : 0;
        if (part[i] == 0 && i > 0 && nodes[i] > 0)
            part[i] = 1;                /* trouble is never too small to be seen */
        if (used + part[i] > width)
            part[i] = width - used;
        used += part[i];
    }
    part[4] = width - used;
    for (int i = 0; i < 5; i++) {
        fputs(paint(sh, parts[i].color), stdout);
        for (int k = 0; k < part[i]; k++)
            fputs(parts[i].sign, stdout);
        fputs(paint(sh, "\033[0m"), stdout);
    }
}

/*
 * Once nodes go back, how many have is the question, and no longer how many
 * are to come. The state then stands in the first line; 80 columns are full.
 */
static void wave_line(struct shell *sh, const PGresult *waves, int i, const char *erase)
{
    const struct counts c = counts_of(waves, i);
    wave_head(waves, i, c.nodes);
    bar(sh, bar_width(), &c);
    printf(" %6d done %4d failed %4d silent ", c.done, c.failed, c.silent);
    if (c.reverted == 0)
        printf("%6d left %s%s\n", c.left, text(waves, i, "state"), erase);
    else if (c.left == 0)
        printf("%6d reverted%s\n", c.reverted, erase);
    else
        printf("%6d reverted %d left%s\n", c.reverted, c.left, erase);
}

static const char *state_color(const char *state)
{
    if (strcmp(state, "succeeded") == 0)
        return "\033[32m";
    if (strncmp(state, "roll", 4) == 0 || strcmp(state, "expired") == 0 || strcmp(state, "canceled") == 0)
        return "\033[31m";
    return strcmp(state, "paused") == 0 ? "\033[33m" : "\033[36m";
}

/* Lines printed. */
static int draw(struct shell *sh, const PGresult *ro, const PGresult *waves)
{
    const char *state = text(ro, 0, "state"), *why = text(ro, 0, "reason"), *k = sh->tty_out ? "\033[K" : "";
    int lines = 1;
    /* A line that wraps would count twice when the view is drawn again: it is cut instead. */
    printf("%s", sh->tty_out ? "\033[?7l" : "");
    printf("rollout %s  %s '%s'  %s%s%s  wave %d/%d  %d of %d nodes%s\n", text(ro, 0, "rollout_id"), text(ro, 0, "kind"),
           text(ro, 0, "object"), paint(sh, state_color(state)), state, paint(sh, "\033[0m"), num(ro, 0, "wave"),
           num(ro, 0, "waves"), num(ro, 0, "done"), num(ro, 0, "targets"), k);
    for (int i = 0; i < PQntuples(waves); i++, lines++)
        wave_line(sh, waves, i, k);
    if (why[0]) {
        printf("    %s%s\n", why, k);
        lines++;
    }
    printf("%s", sh->tty_out ? "\033[?7h" : "");
    fflush(stdout);
    return lines;
}

static PGresult *fetch(struct shell *sh, const char *what, const char *id)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT * FROM sys.%s WHERE rollout_id = $1", what);
    return shell_query(sh, sql, 1, &id);
}

static unsigned digest(const PGresult *r)
{
    unsigned h = 5381;
    for (int i = 0; i < PQntuples(r); i++)
        for (int c = 0; c < PQnfields(r); c++)
            for (const char *s = PQgetvalue(r, i, c); *s; s++)
                h = h * 33 + (unsigned char) *s;
    return h;
}

/* What JSON and CSV readers get is the final row alone. */
static void final_row(struct shell *sh, const PGresult *ro)
{
    const char *state = text(ro, 0, "state");
    if (sh->format != OUT_TABLE)
        shell_print(sh, ro, stdout);
    if (strcmp(state, "succeeded") != 0 && sh->exit_code == EXIT_ALL_WELL)
        sh->exit_code = EXIT_ROLLOUT;
}

void shell_rollout_follow(struct shell *sh, const char *rollout_id)
{
    unsigned seen = 0;
    int lines = 0;
    bool end = false, visible = sh->format == OUT_TABLE;
    char id[32];
    snprintf(id, sizeof id, "%s", rollout_id);
    shell_interrupted = 0;
    while (!end && !shell_interrupted) {
        PGresult *ro = fetch(sh, "rollouts", id), *waves = ro ? fetch(sh, "rollout_waves", id) : NULL;
        if (waves == NULL || PQntuples(ro) == 0) {
            if (waves != NULL) {
                fprintf(stderr, "There is no rollout %s.\n", id);
                sh->exit_code = EXIT_STATEMENT;
            }
            PQclear(ro);
            PQclear(waves);
            return;
        }
        unsigned now = digest(ro) ^ digest(waves);
        if (visible && now != seen) {
            if (lines > 0 && sh->tty_out)
                printf("\033[%dA", lines);
            lines = draw(sh, ro, waves);
        }
        seen = now;
        end = is_end(text(ro, 0, "state"));
        if (end)
            final_row(sh, ro);
        PQclear(ro);
        PQclear(waves);
        struct timespec t = { 0, REFRESH_MS * 1000000L };
        if (!end)
            nanosleep(&t, NULL);
    }
    if (shell_interrupted && visible)
        printf("\nThe rollout goes on; \\rollout %s shows it again.\n", id);
}
