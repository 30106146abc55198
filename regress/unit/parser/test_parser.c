/*
 * test_parser.c - every statement parses, and what does not says where and why
 *
 * Goal: the language's lists of examples parse into the trees they should,
 * errors carry position and hint, hostile text ends in a clean error.
 */
#include "../unit.h"

#include "backend/parser/grammar.h"
#include "backend/parser/parse_int.h"
#include "backend/parser/parser.h"
#include "common/buf.h"

static struct arena arena;
static struct report rep;

static struct ast_list parse_ok(const char *text)
{
    struct ast_list l;
    arena_reset(&arena);
    enum reeve_err err = parse_string(&arena, slice_str(text), &l, &rep);
    if (err != REEVE_OK)
        fail_msg("%s: %s at %d (%s)", text, rep.message, rep.position, rep.hint);
    return l;
}

static struct ast_stmt *one(const char *text)
{
    struct ast_list l = parse_ok(text);
    assert_int_equal(l.n, 1);
    return l.v[0];
}

static void refused(const char *text, enum reeve_err want, int position, const char *message, const char *hint)
{
    struct ast_list l;
    arena_reset(&arena);
    enum reeve_err err = parse_string(&arena, slice_str(text), &l, &rep);
    if (err != want)
        fail_msg("%s: %s, not %s", text, reeve_err_name(err), reeve_err_name(want));
    if (strstr(rep.message, message) == NULL || rep.position != position)
        fail_msg("%s: \"%s\" at %d", text, rep.message, rep.position);
    if (hint != NULL && strstr(rep.hint, hint) == NULL)
        fail_msg("%s: hint \"%s\"", text, rep.hint);
}

static int setup(void **state)
{
    arena_init(&arena, 256u << 20);
    return 0;
}

static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

static int parse_file(const char *path)
{
    static char line[8192];
    int n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "--", 2) == 0 || line[0] == '\0')
            continue;
        parse_ok(line);
        n++;
    }
    fclose(f);
    return n;
}

static void every_statement_of_the_lists_parses(void **state)
{
    assert_true(parse_file(SQLDIR "/statements.txt") >= 69);
    assert_true(parse_file(SQLDIR "/statements_more.txt") >= 35);
}

static void keywords_and_fallbacks_agree(void **state)
{
    enum { R, U };
    static const struct { const char *word; int token, category; } list[] = {
#define KEYWORD(w, tok, category) { w, TK_##tok, category },
#include "backend/parser/kwlist.h"
#undef KEYWORD
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        assert_int_equal(scan_keyword(list[i].word, strlen(list[i].word)), list[i].token);
        if (grammar_falls_back(list[i].token) != (list[i].category == U))
            fail_msg("%s is in the wrong category", list[i].word);
        assert_true(i == 0 || strcmp(list[i - 1].word, list[i].word) < 0);
    }
}

static void canary_clause_has_steps(void **state)
{
    struct ast_stmt *s = one("ROTATE CERT 'edge-tls' CANARY 1% FOR '10 min' THEN 5.5 PERCENT, 100 NODES FOR 10 MINUTES, $1% "
                             "ROLLBACK IF failed > 1% SAMPLE 500 REASON 'x'");
    const struct ast_rollout *r = &s->fleet.rollout;
    assert_int_equal(s->kind, AST_ROTATE_CERT);
    assert_int_equal(r->present, 1u << ROLL_CANARY | 1u << ROLL_ROLLBACK_IF | 1u << ROLL_REASON);
    assert_int_equal(r->nsteps, 4);
    assert_string_equal(r->steps[0].bake.s, "10 min");
    assert_true(r->steps[1].share.amount.f == 5.5);
    assert_false(pv_present(&r->steps[1].bake));
    assert_true(r->steps[2].share.is_nodes);
    assert_int_equal(r->steps[2].bake.kind, PV_INTERVAL);
    assert_string_equal(r->steps[2].bake.s, "10 minutes");
    assert_int_equal(r->steps[3].share.amount.kind, PV_PARAM);
    assert_int_equal(r->rollback_if->op, OP_GT);
    assert_int_equal(r->rollback_if->args[1]->kind, X_PERCENT);
    assert_int_equal(r->rollback_sample.i, 500);
    assert_int_equal(s->nparams, 1);
}

static void percent_word_means_percent_sign(void **state)
{
    struct ast_step a = one("ROTATE CERT x CANARY 5%")->fleet.rollout.steps[0];
    assert_false(a.share.is_nodes);
    assert_int_equal(a.share.amount.i, 5);
    a = one("ROTATE CERT x CANARY 5 PERCENT")->fleet.rollout.steps[0];
    assert_false(a.share.is_nodes);
    assert_int_equal(a.share.amount.i, 5);
}

static void names_may_be_identifiers_strings_or_parameters(void **state)
{
    assert_string_equal(one("DROP CERT Edge_TLS")->object.name.s, "edge_tls");
    assert_string_equal(one("DROP CERT \"Edge\"\"x\"")->object.name.s, "Edge\"x");
    assert_string_equal(one("DROP CERT 'it''s'")->object.name.s, "it's");
    assert_int_equal(one("DROP CERT $7")->object.name.i, 7);
    assert_string_equal(one("DROP CERT canary")->object.name.s, "canary");
}

static void tag_flags_and_positions_come_with_statements(void **state)
{
    struct ast_list l = parse_ok("  BEGIN; SET CONFIG 'a' = $2 ; ;COMMIT");
    assert_int_equal(l.n, 3);
    assert_int_equal(l.nparams, 2);
    assert_int_equal(l.v[1]->pos, 9);
    assert_int_equal(l.v[1]->len, 19);
    assert_string_equal(ast_tag(l.v[1]->kind), "SET CONFIG");
    assert_true(ast_flags(l.v[1]->kind) & STMT_FLEET);
    assert_true(ast_flags(l.v[0]->kind) & STMT_TXN);
    assert_true(ast_tag_counts(AST_SELECT));
    assert_string_equal(ast_tag(AST_SELECT), "SELECT");
}

static void only_comments_are_an_empty_list(void **state)
{
    assert_int_equal(parse_ok("").n, 0);
    assert_int_equal(parse_ok(" ;; ; ").n, 0);
    assert_int_equal(parse_ok("-- ping\n/* a /* b */ c */").n, 0);
}

static void rollback_is_two_statements(void **state)
{
    assert_int_equal(one("ROLLBACK")->kind, AST_ROLLBACK);
    assert_int_equal(one("ROLLBACK WORK")->kind, AST_ROLLBACK);
    assert_int_equal(one("ROLLBACK TO SAVEPOINT a")->kind, AST_ROLLBACK_TO);
    assert_int_equal(one("ROLLBACK ROLLOUT 42 IMMEDIATE")->kind, AST_ROLLBACK_ROLLOUT);
}

static void boolean_operators_are_flat(void **state)
{
    struct ast_expr *w = one("SELECT 1 WHERE a = 1 OR b = 2 OR NOT c AND d AND e")->select->where;
    assert_int_equal(w->kind, X_OR);
    assert_int_equal(w->nargs, 3);
    assert_int_equal(w->args[2]->kind, X_AND);
    assert_int_equal(w->args[2]->nargs, 3);
    assert_int_equal(w->args[2]->args[0]->kind, X_NOT);
}

static void operators_bind_as_in_postgresql(void **state)
{
    static const char *const pairs[][2] = {
        { "1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)" },
        { "-a::int8", "(- (a::int8))" },
        { "a || b = c", "((a || b) = c)" },
        { "x between 1 and 2 + 3 and y", "((x BETWEEN 1 AND (2 + 3)) AND y)" },
        { "not a = b", "(NOT (a = b))" },
        { "not x not in (1, 2)", "(NOT (x NOT IN (1, 2)))" },
        { "a and b or c", "((a AND b) OR c)" },
        { "a is not null and b is distinct from 'x'", "((a IS NOT NULL) AND (b IS DISTINCT FROM 'x'))" },
        { "label('tier') in ('edge','pop')", "(label('tier') IN ('edge', 'pop'))" },
        { "failed > 0.5%", "(failed > 0.5%)" },
        { "5 % 3", "(5 % 3)" },
        { "case a when 1 then 2 else 3 end", "CASE a WHEN 1 THEN 2 ELSE 3 END" },
        { "\"Select\" + \"select\" + ab", "((\"Select\" + \"select\") + ab)" },
        { "interval '5 min' + now()", "(INTERVAL '5 min' + now())" },
        { "x like 'a%' escape", NULL },
    };
    char buf[512];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct ast_expr *x;
        arena_reset(&arena);
        enum reeve_err err = parse_expression(&arena, slice_str(pairs[i][0]), &x, &rep);
        if (pairs[i][1] == NULL) {
            assert_err(err, REEVE_E_SYNTAX);
            continue;
        }
        assert_ok(err);
        struct wr w = wr_fixed(buf, sizeof buf - 1);
        assert_true(ast_expr_print(&w, x));
        buf[w.len] = '\0';
        assert_string_equal(buf, pairs[i][1]);
        /* printing is a fixed point of parsing */
        assert_ok(parse_expression(&arena, slice_str(pairs[i][1]), &x, &rep));
        char again[512];
        w = wr_fixed(again, sizeof again - 1);
        assert_true(ast_expr_print(&w, x));
        again[w.len] = '\0';
        assert_string_equal(again, buf);
    }
}

static void errors_tell_position_in_characters_and_a_hint(void **state)
{
    refused("SELEC 1", REEVE_E_SYNTAX, 1, "at or near \"SELEC\"", "Perhaps you meant SELECT.");
    refused("ROTAT CERT 'x'", REEVE_E_SYNTAX, 1, "\"ROTAT\"", "Perhaps you meant ROTATE CERT.");
    refused("ROTATE CRT 'x'", REEVE_E_SYNTAX, 8, "\"CRT\"", "Perhaps you meant ROTATE CERT.");
    refused("ROTATE CERT 'ä€' CANRY 5%", REEVE_E_SYNTAX, 18, "\"CANRY\"", "Perhaps you meant CANARY.");
    refused("ROTATE CERT x CANARY 5 PRECENT", REEVE_E_SYNTAX, 24, "\"PRECENT\"", "Perhaps you meant PERCENT.");
    refused("ROTATE CERT x CANARY 5", REEVE_E_SYNTAX, 23, "end of input", "Expected \"%\", NODES or PERCENT.");
    refused("ROLLBACK 42", REEVE_E_SYNTAX, 10, "\"42\"", "use ROLLBACK ROLLOUT 42");
    refused("BEGIN; SELECT 1; SELEKT 2", REEVE_E_SYNTAX, 18, "\"SELEKT\"", "Perhaps you meant SELECT.");
    refused("SET x = :a", REEVE_E_SYNTAX, 9, "\":\"", "$1");
    refused("SELECT 1 + FROM x", REEVE_E_SYNTAX, 12, "\"FROM\"", "");
    refused("CREATE ROLE x LOGINN", REEVE_E_SYNTAX, 15, "role option", "LOGIN");
}

static void clauses_stand_once(void **state)
{
    refused("ROTATE CERT a CANARY 5% MANUAL CANARY 6%", REEVE_E_SYNTAX, 32, "CANARY is given twice", NULL);
    refused("ROTATE CERT a WHERE x = 1 WHERE y = 2", REEVE_E_SYNTAX, 27, "WHERE is given twice", NULL);
    refused("ROTATE CERT a CANARY 5% IMMEDIATE", REEVE_E_SYNTAX, 25, "cannot stand together", NULL);
    refused("CREATE CERT a FROM AUTHORITY b SUBJECT 'x' SUBJECT 'y'", REEVE_E_SYNTAX, 44, "given twice", NULL);
    refused("CREATE ROLE a LOGIN NOLOGIN", REEVE_E_SYNTAX, 21, "given twice", NULL);
}

static void hostile_text_ends_cleanly(void **state)
{
    static char big[AST_TEXT_MAX + 2];
    struct ast_list l;
    memset(big, ' ', sizeof big - 1);
    refused(big, REEVE_E_TOO_COMPLEX, 0, "longer than", NULL);
    memset(big, '(', 100000);
    memcpy(big, "SELECT ", 7);
    big[100000] = '\0';
    refused(big, REEVE_E_TOO_COMPLEX, 208, "nested deeper", NULL);
    size_t n = (size_t) sprintf(big, "SELECT ");
    for (int i = 0; i < 30000; i++)
        n += (size_t) sprintf(big + n, "NOT ");
    arena_reset(&arena);
    assert_err(parse_string(&arena, slice_str(big), &l, &rep), REEVE_E_TOO_COMPLEX);
    n = (size_t) sprintf(big, "SELECT 1");
    for (int i = 0; i < 5000; i++)
        n += (size_t) sprintf(big + n, "+1");
    arena_reset(&arena);
    assert_err(parse_string(&arena, slice_str(big), &l, &rep), REEVE_E_TOO_COMPLEX);
    n = (size_t) sprintf(big, "SELECT 1");
    for (int i = 0; i < 20000; i++)
        n += (size_t) sprintf(big + n, ",1");
    arena_reset(&arena);
    assert_err(parse_string(&arena, slice_str(big), &l, &rep), REEVE_E_TOO_COMPLEX);
    assert_err(parse_string(&arena, slice_str("SELECT '\xff'"), &l, &rep), REEVE_E_ENCODING);
    assert_err(parse_string(&arena, slice_of("SELECT \0 1", 10), &l, &rep), REEVE_E_ENCODING);
    refused("SELECT 'abc", REEVE_E_SYNTAX, 8, "unterminated quoted string", NULL);
    refused("SELECT /* abc", REEVE_E_SYNTAX, 8, "unterminated /* comment", NULL);
    refused("SELECT \"\"", REEVE_E_SYNTAX, 8, "zero-length", NULL);
    refused("SELECT E'\\u0000'", REEVE_E_ENCODING, 10, "not a valid character", NULL);
    refused("SELECT $0", REEVE_E_UNDEFINED_PARAM, 8, "$0", NULL);
    refused("SELECT $65536", REEVE_E_UNDEFINED_PARAM, 8, "$65536", NULL);
    refused("SELECT 1a", REEVE_E_SYNTAX, 8, "trailing junk", NULL);
}

static void random_bytes_never_crash(void **state)
{
    static const char *const words[] = { "SELECT", "ROTATE", "CERT", "'x'", "5", "%", "(", ")", ",", "WHERE", "FROM",
        "a", "=", ";", "CANARY", "$1", "NOT", "IN", "AND", "CASE", "END", "THEN", "::", "int", ".", "SHOW", "SET",
        "\"Q\"", "INTERVAL", "ROLLBACK", "IF", "WITH", "TIME", "BY", "REGION", "NODES", "FOR", "é", "*", "[" };
    struct rng rng = rng_seeded("parser");
    char text[1024];
    for (int round = 0; round < 20000; round++) {
        size_t n = 0;
        struct ast_list l;
        for (uint32_t i = rng_below(&rng, 14); i > 0; i--)
            n += (size_t) sprintf(text + n, "%s ", words[rng_below(&rng, sizeof words / sizeof words[0])]);
        text[n] = '\0';
        arena_reset(&arena);
        if (parse_string(&arena, slice_str(text), &l, &rep) != REEVE_OK) {
            assert_true(rep.message[0] != '\0');
            assert_true(rep.position >= 0 && rep.position <= (int) n + 1);
        }
    }
}

/* In each statement of the list every name and string literal may be replaced by a parameter. */
static void parameters_stand_in_every_slot(void **state)
{
    static const char *const texts[] = {
        "ROTATE CERT $1 TO GENERATION $2 CANARY $3% FOR $4 THEN $5 NODES BY REGION ($6,$7) RATE $8 PER MINUTE OVERLAP $9 "
        "DURING WINDOW $10 DEADLINE $11 ROLLBACK IF failed > $12 SAMPLE $13 REQUIRE $14 APPROVALS VALID FOR $15 REASON $16",
        "SET CONFIG $1 = $2", "RESET CONFIG $1", "PAUSE ROLLOUT $1 REASON $2", "PROMOTE ROLLOUT $1 TO WAVE $2",
        "WAIT FOR ROLLOUT $1 UNTIL $2 TIMEOUT $3", "CREATE STRATEGY $1 AS CANARY $2 PERCENT",
        "CREATE AUTHORITY $1 WITH (key_type = $2)", "CREATE CERT $1 FROM AUTHORITY $2 SUBJECT $3 SANS ($4) VALID FOR $5 "
        "RENEW BEFORE $6 USING STRATEGY $7 WHERE region = $8", "REVOKE CERT $1 GENERATION $2 REASON $3",
        "ALTER NODE $1 SET LABEL $2 = $3", "CREATE ROLE $1 PASSWORD $2 VALID UNTIL $3 IN ROLE $4", "GRANT ROTATE ON CERT $1 TO $2",
        "SET application_name = $1", "SHOW CERT $1", "SHOW ROLLOUT $1 NODES WHERE state = $2 LIMIT $3",
        "SHOW HISTORY FOR CERT $1 SINCE $2 LIMIT $3", "CANCEL QUERY $1", "DIFF CONFIG FROM VERSION $1 TO VERSION $2",
        "SELECT $1, * FROM sys.nodes WHERE a = $2 LIMIT $3 OFFSET $4"
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(one(texts[i])->nparams >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statement_of_the_lists_parses),
        cmocka_unit_test(keywords_and_fallbacks_agree),
        cmocka_unit_test(canary_clause_has_steps),
        cmocka_unit_test(percent_word_means_percent_sign),
        cmocka_unit_test(names_may_be_identifiers_strings_or_parameters),
        cmocka_unit_test(tag_flags_and_positions_come_with_statements),
        cmocka_unit_test(only_comments_are_an_empty_list),
        cmocka_unit_test(rollback_is_two_statements),
        cmocka_unit_test(boolean_operators_are_flat),
        cmocka_unit_test(operators_bind_as_in_postgresql),
        cmocka_unit_test(errors_tell_position_in_characters_and_a_hint),
        cmocka_unit_test(clauses_stand_once),
        cmocka_unit_test(hostile_text_ends_cleanly),
        cmocka_unit_test(random_bytes_never_crash),
        cmocka_unit_test(parameters_stand_in_every_slot),
    };
    return cmocka_run_group_tests_name("parser", tests, setup, teardown);
}
