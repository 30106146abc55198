/* print.c - results as an aligned table, expanded, CSV (RFC 4180), JSON or plain text. */
#include "frontend/reeve/shell.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

int shell_width(const char *s)
{
    int w = 0;
    mbstate_t st;
    memset(&st, 0, sizeof st);
    while (*s) {
        wchar_t wc;
        size_t n = mbrtowc(&wc, s, strlen(s), &st);
        if (n == (size_t) -1 || n == (size_t) -2 || n == 0) {
            memset(&st, 0, sizeof st);
            n = 1;
            w++;
        } else {
            int cw = wcwidth(wc);
            w += cw > 0 ? cw : 0;
        }
        s += n;
    }
    return w;
}

int shell_columns(void)
{
    struct winsize ws;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 ? ws.ws_col : 80;
}

static bool is_number(Oid t)
{
    return t == 20 || t == 21 || t == 23 || t == 26 || t == 700 || t == 701 || t == 1700;
}

/* Cells come from agents and operators: control characters must not reach the terminal. */
static char *cell_text(const PGresult *res, int row, int col)
{
    const char *v = PQgetisnull(res, row, col) ? "" : PQgetvalue(res, row, col);
    char *out = malloc(strlen(v) * 4 + 1), *o = out;
    if (out == NULL)
        return NULL;
    for (; *v; v++) {
        unsigned char c = (unsigned char) *v;
        if (c == '\n' || c >= 0x20)
            *o++ = (char) c;
        else if (c == '\t')
            *o++ = ' ';
        else
            o += snprintf(o, 5, "\\x%02x", c);
    }
    *o = '\0';
    return out;
}

static const char *line_at(const char *s, int n)
{
    for (; n > 0 && s != NULL; n--)
        if ((s = strchr(s, '\n')) != NULL)
            s++;
    return s;
}

static int count_lines(const char *s)
{
    int n = 1;
    for (; *s; s++)
        n += *s == '\n';
    return n;
}

static int widest_line(const char *s)
{
    int best = 0;
    char *copy = strdup(s), *save = NULL;
    if (copy == NULL)
        return 0;
    for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        int w = shell_width(l);
        best = w > best ? w : best;
    }
    free(copy);
    return best;
}

static void pad(FILE *out, int n)
{
    while (n-- > 0)
        fputc(' ', out);
}

/* The last column is not filled up: nothing trails a line. */
static void put_aligned(FILE *out, const char *text, size_t len, int width, bool right, bool last)
{
    char *s = strndup(text, len);
    int w = s ? shell_width(s) : 0;
    fputc(' ', out);
    if (right)
        pad(out, width - w);
    if (s)
        fputs(s, out);
    if (!last)
        pad(out, (right ? 0 : width - w) + 1);
    free(s);
}

struct table { int rows, cols; char **cell; int *width; };

static struct table table_make(const PGresult *res)
{
    struct table t = { PQntuples(res), PQnfields(res), NULL, NULL };
    t.cell = calloc((size_t) t.rows * (size_t) t.cols + 1, sizeof *t.cell);
    t.width = calloc((size_t) t.cols + 1, sizeof *t.width);
    if (t.cell == NULL || t.width == NULL)
        abort();
    for (int c = 0; c < t.cols; c++)
        t.width[c] = shell_width(PQfname(res, c));
    for (int r = 0; r < t.rows; r++)
        for (int c = 0; c < t.cols; c++) {
            char *s = t.cell[r * t.cols + c] = cell_text(res, r, c);
            if (s == NULL)
                abort();
            int w = widest_line(s);
            t.width[c] = w > t.width[c] ? w : t.width[c];
        }
    return t;
}

static void table_free(struct table *t)
{
    for (int i = 0; i < t->rows * t->cols; i++)
        free(t->cell[i]);
    free(t->cell);
    free(t->width);
}

static void table_head(struct shell *sh, const PGresult *res, const struct table *t, FILE *out)
{
    for (int c = 0; c < t->cols; c++) {
        const char *name = PQfname(res, c);
        int left = (t->width[c] - shell_width(name)) / 2;
        fputs(c ? "|" : "", out);
        pad(out, left + 1);
        fprintf(out, "%s%s%s", sh->color ? "\033[1m" : "", name, sh->color ? "\033[0m" : "");
        if (c + 1 < t->cols)
            pad(out, t->width[c] - left - shell_width(name) + 1);
    }
    fputc('\n', out);
    for (int c = 0; c < t->cols; c++) {
        fputs(c ? "+" : "", out);
        for (int i = 0; i < t->width[c] + 2; i++)
            fputc('-', out);
    }
    fputc('\n', out);
}

static void table_row(const PGresult *res, const struct table *t, int r, FILE *out)
{
    int lines = 1;
    for (int c = 0; c < t->cols; c++) {
        int n = count_lines(t->cell[r * t->cols + c]);
        lines = n > lines ? n : lines;
    }
    for (int l = 0; l < lines; l++) {
        for (int c = 0; c < t->cols; c++) {
            const char *s = line_at(t->cell[r * t->cols + c], l);
            fputs(c ? "|" : "", out);
            put_aligned(out, s ? s : "", s ? strcspn(s, "\n") : 0, t->width[c],
                        is_number(PQftype(res, c)), c + 1 == t->cols);
        }
        fputc('\n', out);
    }
}

static int table_width(const struct table *t)
{
    int w = t->cols > 0 ? 3 * t->cols - 1 : 0;
    for (int c = 0; c < t->cols; c++)
        w += t->width[c];
    return w;
}

static void print_rows(struct shell *sh, const PGresult *res, const struct table *t, FILE *out)
{
    if (!sh->tuples_only)
        table_head(sh, res, t, out);
    for (int r = 0; r < t->rows; r++)
        table_row(res, t, r, out);
    if (!sh->tuples_only)
        fprintf(out, "(%d row%s)\n\n", t->rows, t->rows == 1 ? "" : "s");
}

static void print_expanded(struct shell *sh, const PGresult *res, const struct table *t, FILE *out)
{
    int width = 0;
    for (int c = 0; c < PQnfields(res); c++) {
        int w = shell_width(PQfname(res, c));
        width = w > width ? w : width;
    }
    for (int r = 0; r < PQntuples(res); r++) {
        fprintf(out, "%s-[ %d ]%s\n", sh->color ? "\033[1m" : "", r + 1, sh->color ? "\033[0m" : "");
        for (int c = 0; c < PQnfields(res); c++) {
            const char *s = t->cell[r * t->cols + c];
            fprintf(out, "%s", PQfname(res, c));
            pad(out, width - shell_width(PQfname(res, c)));
            for (int l = 0, n = count_lines(s); l < n; l++) {
                const char *line = line_at(s, l);
                pad(out, l ? width : 0);
                fprintf(out, " |%s%.*s\n", *line ? " " : "", (int) strcspn(line, "\n"), line);
            }
        }
    }
    fprintf(out, PQntuples(res) ? "\n" : "(0 rows)\n\n");
}

static void print_table(struct shell *sh, const PGresult *res, FILE *out)
{
    struct table t = table_make(res);
    bool wide = sh->expanded == EXPANDED_AUTO && t.rows > 0 && sh->tty_out && table_width(&t) > shell_columns();
    if (sh->expanded == EXPANDED_ON || wide)
        print_expanded(sh, res, &t, out);
    else
        print_rows(sh, res, &t, out);
    table_free(&t);
}

static void csv_cell(FILE *out, const char *s)
{
    if (strpbrk(s, ",\"\r\n") == NULL && *s) {
        fputs(s, out);
        return;
    }
    fputc('"', out);
    for (; *s; s++) {
        if (*s == '"')
            fputc('"', out);
        fputc(*s, out);
    }
    fputc('"', out);
}

static void print_csv(struct shell *sh, const PGresult *res, FILE *out)
{
    for (int c = 0; c < PQnfields(res) && !sh->tuples_only; c++) {
        fputs(c ? "," : "", out);
        csv_cell(out, PQfname(res, c));
    }
    if (!sh->tuples_only)
        fputc('\n', out);
    for (int r = 0; r < PQntuples(res); r++) {
        for (int c = 0; c < PQnfields(res); c++) {
            fputs(c ? "," : "", out);
            if (!PQgetisnull(res, r, c))
                csv_cell(out, PQgetvalue(res, r, c));
        }
        fputc('\n', out);
    }
}

static void json_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char) *s;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void json_value(FILE *out, const PGresult *res, int r, int c)
{
    const char *v = PQgetvalue(res, r, c);
    Oid t = PQftype(res, c);
    if (PQgetisnull(res, r, c))
        fputs("null", out);
    else if (t == 16)
        fputs(v[0] == 't' ? "true" : "false", out);
    else if ((is_number(t) && strspn(v, "0123456789+-.eE") == strlen(v)) || t == 114 || t == 3802)
        fputs(v, out);
    else
        json_string(out, v);
}

/* One object a line: what jq and logs like. */
static void print_json(const PGresult *res, FILE *out)
{
    for (int r = 0; r < PQntuples(res); r++) {
        fputc('{', out);
        for (int c = 0; c < PQnfields(res); c++) {
            fputs(c ? ", " : "", out);
            json_string(out, PQfname(res, c));
            fputs(": ", out);
            json_value(out, res, r, c);
        }
        fputs("}\n", out);
    }
}

static void print_text(const PGresult *res, FILE *out)
{
    for (int r = 0; r < PQntuples(res); r++)
        for (int c = 0; c < PQnfields(res); c++)
            fprintf(out, "%s%c", PQgetvalue(res, r, c), c + 1 == PQnfields(res) ? '\n' : '|');
}

void shell_print(struct shell *sh, const PGresult *res, FILE *out)
{
    switch (sh->format) {
    case OUT_CSV:  print_csv(sh, res, out); break;
    case OUT_JSON: print_json(res, out); break;
    case OUT_TEXT: print_text(res, out); break;
    case OUT_TABLE: print_table(sh, res, out); break;
    }
    fflush(out);
}
