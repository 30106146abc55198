/*
 * test_query.c - SELECT over small relations, checked as text
 *
 * Goal: what a query answers, by example, and against a dumb twin on random
 * rows for grouping, ordering and joins. Each result is flattened to
 * "a|b;c|d;" with NULL as "~".
 */
#include "../unit.h"

#include "backend/executor/query.h"
#include "backend/executor/slot.h"
#include "backend/parser/parser.h"
#include "crypto/hash.h"

static struct arena arena;
static struct report rep;
static int scans, keyed_scans, pushed;
static uint64_t needed;

/* ---- relations ---- */

#define NODES 6
static const struct { const char *id, *region, *labels; int64_t gen; int seen_s; } node_rows[NODES] = {
    { "n1", "eu", "{\"tier\":\"edge\",\"rack\":7}", 1, 100 }, { "n2", "eu", "{\"tier\":\"pop\"}", 2, 200 },
    { "n3", "us", "{\"tier\":\"edge\"}", 2, 300 }, { "n4", "us", NULL, -1, 400 },
    { "n5", "ap", "{}", 1, 500 }, { "n6", NULL, "{\"tier\":null}", 3, -1 },
};

static enum reeve_err scan_nodes(struct vscan *s)
{
    enum reeve_err err = REEVE_OK;
    scans++;
    needed = s->needed;
    keyed_scans += s->has_key;
    for (int i = 0; i < NODES; i++) {
        struct datum id = d_str(arena_strdup(s->row, node_rows[i].id));
        int order = 0;
        if (s->has_key && (!datum_cmp(&s->key, &id, &order) || order != 0))
            continue;
        struct datum v[] = {
            id, d_str(node_rows[i].region),
            node_rows[i].labels ? d_json(slice_str(node_rows[i].labels)) : d_null(),
            node_rows[i].gen < 0 ? d_null() : d_int(node_rows[i].gen),
            node_rows[i].seen_s < 0 ? d_null() : d_time_us(node_rows[i].seen_s * 1000000LL),
        };
        pushed++;
        TRY(vscan_row(s, v));
    }
out:
    return err;
}

static const struct vcolumn node_cols[] = {
    { "node_id", T_TEXT, true }, { "region", T_TEXT, true }, { "labels", T_JSONB, false },
    { "generation", T_INT8, true }, { "last_seen", T_TIMESTAMPTZ, false },
};
static const struct vtable nodes = { "sys", "nodes", node_cols, VCOLUMNS(node_cols), 0, scan_nodes, false, "node" };

static enum reeve_err scan_regions(struct vscan *s)
{
    static const char *const names[] = { "eu", "us", "mars" };
    for (int i = 0; i < 3; i++) {
        struct datum v[] = { d_str(names[i]), d_int(i * 10) };
        enum reeve_err err = vscan_row(s, v);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}
static const struct vcolumn region_cols[] = { { "region", T_TEXT, true }, { "weight", T_INT4, true } };
static const struct vtable regions = { "sys", "regions", region_cols, VCOLUMNS(region_cols), VKEY_NONE, scan_regions,
                                       true, NULL };

/* a, b: small random numbers with NULLs */
#define RANDOM_ROWS 400
static int64_t rnd[RANDOM_ROWS][2];
static int nrandom;
static enum reeve_err scan_random(struct vscan *s)
{
    for (int i = 0; i < nrandom; i++) {
        struct datum v[] = { rnd[i][0] < 0 ? d_null() : d_int(rnd[i][0]), rnd[i][1] < 0 ? d_null() : d_int(rnd[i][1]), d_int(i) };
        enum reeve_err err = vscan_row(s, v);
        if (err != REEVE_OK)
            return err;
    }
    return REEVE_OK;
}
static const struct vcolumn random_cols[] = { { "a", T_INT8, true }, { "b", T_INT8, true }, { "i", T_INT4, true } };
static const struct vtable random_table = { "sys", "random", random_cols, VCOLUMNS(random_cols), VKEY_NONE, scan_random,
                                            false, NULL };

static const struct vtable *const tables[] = { &nodes, &regions, &random_table };

/* ---- harness ---- */

static char text[1 << 16];
static size_t len;
static char coltext[4096];

static enum reeve_err take_columns(struct dest *d, int n, const struct dest_column *cols)
{
    size_t at = 0;
    d->arg = (void *) cols;
    for (int i = 0; i < n; i++)
        at += (size_t) snprintf(coltext + at, sizeof coltext - at, "%s:%u ", cols[i].name, cols[i].type_oid);
    return REEVE_OK;
}

static enum reeve_err take_row(struct dest *d, int n, const struct datum *v)
{
    const struct dest_column *cols = d->arg;
    for (int i = 0; i < n; i++) {
        struct wr w = wr_fixed(text + len, sizeof text - len - 3);
        if (v[i].kind == D_NULL)
            wr_text(&w, "~");
        else
            assert_true(datum_out_text(&w, cols[i].type_oid, &v[i]));
        len += w.len;
        text[len++] = i == n - 1 ? ';' : '|';
    }
    text[len] = '\0';
    return REEVE_OK;
}

static const char *test_setting(void *session, const char *name)
{
    return strcmp(name, "server_version_num") == 0 ? "150000" : NULL;
}

static struct query_env env_of(void)
{
    return (struct query_env){ .arena = &arena, .tables = tables, .ntables = 3, .now_us = 600 * 1000000LL, .pid = 42,
                               .user = "alice", .database = "reeve", .version = "PostgreSQL 15.0 (reeve 0.1)",
                               .setting = test_setting };
}

static struct query_params no_params;
static enum reeve_err run_with(const char *sql, const struct query_params *params, size_t bytes_max, uint64_t rows_max)
{
    struct ast_list l;
    struct dest d = { .columns = take_columns, .row = take_row };
    arena_reset(&arena);
    len = 0;
    text[0] = coltext[0] = '\0';
    enum reeve_err err = parse_string(&arena, slice_str(sql), &l, &rep);
    if (err != REEVE_OK)
        return err;
    struct query_env env = env_of();
    env.params = *params;
    env.bytes_max = bytes_max;
    env.rows_max = rows_max;
    return query_run(&env, l.v[0], slice_str(sql), &d, &rep);
}

static const char *run(const char *sql)
{
    enum reeve_err err = run_with(sql, &no_params, 0, 0);
    if (err != REEVE_OK)
        fail_msg("%s: %s: %s (at %d)", sql, reeve_err_name(err), rep.message, rep.position);
    return text;
}

#define answers(sql, want) assert_string_equal(run(sql), want)

static void refuses(const char *sql, enum reeve_err want, int position)
{
    enum reeve_err err = run_with(sql, &no_params, 0, 0);
    if (err != want || rep.position != position)
        fail_msg("%s: %s: %s at %d", sql, reeve_err_name(err), rep.message, rep.position);
}

static int setup(void **state)
{
    arena_init(&arena, 1u << 30);
    assert_ok(crypto_init());
    return 0;
}
static int teardown(void **state)
{
    arena_free(&arena);
    return 0;
}

/* ---- claims ---- */

static void select_without_from_evaluates(void **state)
{
    answers("SELECT 1", "1;");
    assert_string_equal(coltext, "?column?:23 ");
    answers("SELECT 1 + 2 * 3, 7 / 2, -7 / 2, 7 % 4, 7.5 / 2, 2147483648 - 1", "7|3|-3|3|3.75|2147483647;");
    answers("SELECT 'a' || 'b' || 1, upper('äb'), length('äb'), lower('ÄB')", "ab1|äB|2|Äb;");
    answers("SELECT NULL IS NULL, 1 = NULL, NULL AND false, NULL OR true, NOT NULL", "t|~|f|t|~;");
    answers("SELECT 1 IN (1, NULL), 2 IN (1, NULL), 2 NOT IN (1, 3), 1 BETWEEN 1 AND 2", "t|~|t|t;");
    answers("SELECT CASE WHEN 1 > 2 THEN 'x' ELSE 'y' END, CASE 3 WHEN 3 THEN 1 END, coalesce(NULL, 5)", "y|1|5;");
    answers("SELECT 'abc' LIKE 'a%', 'abc' LIKE '_b_', 'aBc' ILIKE 'AB%', 'a%c' LIKE 'a\\%c', 'abc' NOT LIKE '%d%'", "t|t|t|t|t;");
    answers("SELECT 'foo' ~ '^f', 'foo' !~ 'x', 'FOO' ~* 'foo'", "t|t|t;");
    answers("SELECT greatest(1, 3, 2), least('b', 'a'), round(2.567, 2), abs(-3), nullif(1, 1)", "3|a|2.57|3|~;");
    answers("SELECT current_user, current_database(), pg_backend_pid(), version() LIKE 'PostgreSQL 15%'", "alice|reeve|42|t;");
    answers("SELECT current_setting('server_version_num')::int / 100", "1500;");
    answers("SELECT '{a,\"b c\"}'::text[], ARRAY['x','y'], (ARRAY['x','y'])[2], 'x' = ANY ('{x,z}'::text[])", "{a,\"b c\"}|{x,y}|y|t;");
    answers("SELECT substr('hello', 2, 3), left('hello', 2), right('hello', -1), strpos('hello', 'l'), replace('aXa', 'X', 'bb')", "ell|he|ello|3|abba;");
}

static void times_compute(void **state)
{
    answers("SELECT now()", "2000-01-01 00:10:00+00;");
    answers("SELECT now_minus('5 min'), now() - INTERVAL '1 day', now() - '1 min'::interval", "2000-01-01 00:05:00+00|1999-12-31 00:10:00+00|2000-01-01 00:09:00+00;");
    answers("SELECT timestamptz '2026-03-31 12:00:00+02' - timestamptz '2026-03-30'", "1 day 10:00:00;");
    answers("SELECT timestamptz '2026-01-31' + interval '1 month', '2024-02-29'::date, interval '90 min' * 2", "2026-02-28 00:00:00+00|2024-02-29|03:00:00;");
    answers("SELECT now() > '1999-12-31', now() < 'today'", "t|f;");
}

static void where_order_limit_work(void **state)
{
    answers("SELECT node_id FROM sys.nodes WHERE region = 'eu' ORDER BY 1 DESC", "n2;n1;");
    answers("SELECT node_id FROM nodes ORDER BY generation DESC, node_id LIMIT 3", "n4;n6;n2;");
    answers("SELECT node_id FROM nodes ORDER BY generation NULLS FIRST, node_id DESC LIMIT 2 OFFSET 1", "n5;n1;");
    answers("SELECT node_id FROM nodes WHERE label('tier') IN ('edge','pop') AND last_seen < now_minus('5 min')", "n1;n2;");
    answers("SELECT labels->>'rack', labels->'tier' FROM nodes WHERE node_id = 'n1'", "7|\"edge\";");
    answers("SELECT DISTINCT region FROM nodes ORDER BY region", "ap;eu;us;~;");
    answers("SELECT * FROM regions", "eu|0;us|10;mars|20;");
    answers("SELECT r.*, 1 AS one FROM regions AS r WHERE weight > 0", "us|10|1;mars|20|1;");
    answers("SELECT node_id FROM nodes LIMIT 0", "");
    answers("SELECT weight AS w FROM regions ORDER BY w DESC LIMIT 1", "20;");
    answers("SELECT region FROM regions ORDER BY weight * -1", "mars;us;eu;");
}

static void limit_stops_the_scan(void **state)
{
    pushed = 0;
    answers("SELECT node_id FROM nodes LIMIT 2", "n1;n2;");
    assert_int_equal(pushed, 2);
}

static void key_equality_is_handed_down(void **state)
{
    scans = keyed_scans = pushed = 0;
    answers("SELECT region FROM nodes WHERE 'n3' = node_id AND generation > 0", "us;");
    assert_int_equal(scans, 1);
    assert_int_equal(pushed, 1);
    scans = keyed_scans = pushed = 0;
    answers("SELECT region FROM nodes WHERE node_id IN ('n1', 'n5', 'n1')", "eu;ap;");
    assert_int_equal(keyed_scans, 2);
    assert_int_equal(pushed, 2);
    answers("SELECT region FROM nodes WHERE node_id = 'n1' OR node_id = 'n2'", "eu;eu;");
    answers("SELECT region FROM nodes WHERE node_id NOT IN ('n1','n2','n3','n4','n5')", "~;");
    answers("SELECT region FROM nodes WHERE node_id = NULL", "");
}

static void scans_hear_which_columns_matter(void **state)
{
    run("SELECT region FROM nodes WHERE generation = 1");
    assert_true(needed == (1u << 1 | 1u << 3));
}

static void aggregates_group(void **state)
{
    answers("SELECT count(*), count(region), count(DISTINCT region), sum(generation), avg(generation), min(node_id), max(last_seen) FROM nodes",
            "6|5|3|9|1.8|n1|2000-01-01 00:08:20+00;");
    assert_string_equal(coltext, "count:20 count:20 count:20 sum:20 avg:701 min:25 max:1184 ");
    answers("SELECT region, generation, count(*) FROM nodes GROUP BY region, generation ORDER BY 1, 2",
            "ap|1|1;eu|1|1;eu|2|1;us|2|1;us|~|1;~|3|1;");
    answers("SELECT upper(region) AS r, count(*) AS n FROM nodes GROUP BY r HAVING count(*) > 1 ORDER BY n, r", "EU|2;US|2;");
    answers("SELECT count(*) FROM nodes WHERE false", "0;");
    answers("SELECT sum(generation) FROM nodes WHERE false", "~;");
    answers("SELECT region FROM nodes WHERE false GROUP BY region", "");
    answers("SELECT string_agg(node_id, ',') FROM nodes WHERE region = 'eu'", "n1,n2;");
    answers("SELECT region || '!' FROM nodes GROUP BY region ORDER BY count(*) DESC, 1 LIMIT 1", "eu!;");
    answers("SELECT 1 + count(*) * 2 FROM regions", "7;");
    refuses("SELECT region, count(*) FROM nodes", REEVE_E_GROUPING, 8);
    refuses("SELECT count(count(*)) FROM nodes", REEVE_E_GROUPING, 14);
    refuses("SELECT 1 FROM nodes WHERE count(*) > 1", REEVE_E_GROUPING, 27);
}

static void joins_combine(void **state)
{
    answers("SELECT n.node_id, r.weight FROM nodes n JOIN regions r ON n.region = r.region WHERE r.weight > 0 ORDER BY 1", "n3|10;n4|10;");
    answers("SELECT r.region, count(n.node_id) FROM regions r LEFT JOIN nodes n ON n.region = r.region GROUP BY 1 ORDER BY 1", "eu|2;mars|0;us|2;");
    answers("SELECT count(*) FROM nodes, regions", "18;");
    answers("SELECT a.region FROM regions a CROSS JOIN regions b WHERE a.weight < b.weight ORDER BY 1", "eu;eu;us;");
    answers("SELECT n.node_id FROM nodes n LEFT JOIN regions r ON r.region = n.region WHERE r.region IS NULL ORDER BY 1", "n5;n6;");
    refuses("SELECT region FROM nodes n JOIN regions r ON n.region = r.region", REEVE_E_AMBIGUOUS_COLUMN, 8);
    refuses("SELECT 1 FROM nodes, nodes", REEVE_E_DUPLICATE_OBJECT, 22);
}

static void subselects_see_the_outer_row(void **state)
{
    answers("SELECT region, (SELECT count(*) FROM nodes n WHERE n.region = r.region) FROM regions r", "eu|2;us|2;mars|0;");
    answers("SELECT region FROM regions r WHERE EXISTS (SELECT 1 FROM nodes WHERE nodes.region = r.region)", "eu;us;");
    answers("SELECT node_id FROM nodes WHERE region NOT IN (SELECT region FROM regions)", "n5;");
    answers("SELECT ARRAY(SELECT region FROM regions)", "{eu,us,mars};");
    answers("SELECT x.w + 1 FROM (SELECT weight AS w FROM regions) x ORDER BY 1", "1;11;21;");
    refuses("SELECT (SELECT weight FROM regions)", REEVE_E_INVALID_VALUE, 9);
}

static void unions_and_values(void **state)
{
    answers("VALUES (1,'a'),(2,NULL)", "1|a;2|~;");
    answers("SELECT 1 UNION ALL SELECT 1 UNION ALL SELECT 2", "1;1;2;");
    answers("SELECT 1 UNION SELECT 1 UNION SELECT 2", "1;2;");
    answers("SELECT region AS x FROM regions UNION ALL SELECT node_id FROM nodes ORDER BY x DESC LIMIT 2", "us;n6;");
    answers("SELECT count(*) FROM (VALUES (1),(2)) v(a) WHERE a > 1", "1;");
}

static void show_is_a_select(void **state)
{
    answers("SHOW NODES WHERE region = 'eu' LIMIT 1", "n1|eu|1;");
    assert_string_equal(coltext, "node_id:25 region:25 generation:20 ");
    answers("SHOW NODE 'n3'", "n3|us|{\"tier\":\"edge\"}|2|2000-01-01 00:05:00+00;");
    answers("SHOW NODE n2", "n2|eu|{\"tier\":\"pop\"}|2|2000-01-01 00:03:20+00;");
    refuses("SHOW CERTS", REEVE_E_UNSUPPORTED, 0);
}

static void errors_point_at_their_place(void **state)
{
    refuses("SELECT nope FROM nodes", REEVE_E_UNDEFINED_COLUMN, 8);
    refuses("SELECT 'ä', * FROM nope", REEVE_E_UNDEFINED_TABLE, 20);
    refuses("SELECT nope(1)", REEVE_E_UNDEFINED_FUNCTION, 8);
    refuses("SELECT 1 / 0", REEVE_E_DIVISION, 10);
    refuses("SELECT 2147483647 + 1", REEVE_E_OUT_OF_RANGE, 19);
    refuses("SELECT 9223372036854775807 + 1", REEVE_E_OUT_OF_RANGE, 28);
    refuses("SELECT 1 WHERE generation", REEVE_E_UNDEFINED_COLUMN, 16);
    refuses("SELECT 1 WHERE 1", REEVE_E_DATATYPE_MISMATCH, 16);
    refuses("SELECT node_id FROM nodes WHERE node_id = 1", REEVE_E_UNDEFINED_FUNCTION, 41);
    refuses("SELECT 1 FROM nodes WHERE generation = 'x'", REEVE_E_INVALID_TEXT, 40);
    refuses("SELECT 1 FROM nodes WHERE last_seen < 'yesteryear'", REEVE_E_INVALID_TEXT, 39);
    refuses("SELECT * FROM nodes AS OF VERSION 4", REEVE_E_UNSUPPORTED, 35);
    refuses("SELECT 1 ORDER BY 2", REEVE_E_GROUPING, 19);
    refuses("SELECT 'x' ~ '('", REEVE_E_INVALID_VALUE, 12);
    refuses("SELECT 'x' ~ '(a{1,99}){1,99}{1,99}'", REEVE_E_TOO_COMPLEX, 12);
    answers("SELECT * FROM regions AS OF VERSION 4 LIMIT 1", "eu|0;");
}

static void parameters_take_types_from_their_context(void **state)
{
    struct ast_list l;
    struct query_shape shape;
    const char *sql = "SELECT $1, generation FROM nodes WHERE generation > $2 AND last_seen < $3 AND region = $4 LIMIT $5";
    struct query_env env = env_of();
    arena_reset(&arena);
    assert_ok(parse_string(&arena, slice_str(sql), &l, &rep));
    assert_ok(query_describe(&env, l.v[0], slice_str(sql), NULL, 0, &shape, &rep));
    const uint32_t want[] = { T_TEXT, T_INT8, T_TIMESTAMPTZ, T_TEXT, T_INT8 };
    assert_int_equal(shape.nparams, 5);
    assert_memory_equal(shape.params, want, sizeof want);
    assert_int_equal(shape.ncols, 2);
    assert_int_equal(shape.cols[0].type_oid, T_TEXT);

    uint32_t types[] = { T_INT2, T_UNKNOWN };
    struct datum v[] = { d_int(1), d_text(slice_str("eu")) };
    struct query_params p = { 2, types, v };
    assert_ok(run_with("SELECT node_id FROM nodes WHERE generation = $1 AND region = $2", &p, 0, 0));
    assert_string_equal(text, "n1;");
    assert_ok(run_with("SELECT node_id FROM nodes WHERE node_id = 'n' || $1", &p, 0, 0));
    assert_string_equal(text, "n1;");
}

static void slots_resolve_parameters(void **state)
{
    struct ast_list l;
    uint32_t types[] = { T_TEXT, T_INT8, T_FLOAT8 };
    struct datum v[] = { d_str("edge-tls"), d_int(7), d_float(2.5) };
    struct query_params params = { 3, types, v };
    const char *sql = "ROTATE CERT $1 TO GENERATION $2 CANARY $3% FOR '10 min' THEN 100 NODES FOR 2 HOURS RATE 5 PER MINUTE WITH (a = 'on', bacth)";
    arena_reset(&arena);
    assert_ok(parse_string(&arena, slice_str(sql), &l, &rep));
    const struct ast_fleet *f = &l.v[0]->fleet;
    struct slot_ctx c = { &arena, slice_str(sql), &params, &rep };
    struct name name;
    int64_t n;
    bool b;
    assert_ok(slot_name(&c, &f->name, "name", &name));
    assert_string_equal(name.s, "edge-tls");
    assert_ok(slot_int(&c, &f->generation, "generation", 1, 100, &n));
    assert_int_equal(n, 7);
    assert_ok(slot_share(&c, &f->rollout.steps[0].share, "share", &n));
    assert_int_equal(n, 25000);
    assert_ok(slot_duration_ms(&c, &f->rollout.steps[0].bake, "bake", &n));
    assert_int_equal(n, 600000);
    assert_ok(slot_duration_ms(&c, &f->rollout.steps[1].bake, "bake", &n));
    assert_int_equal(n, 7200000);
    assert_ok(slot_bool(&c, slot_option(&f->rollout.with, "a"), "a", &b));
    assert_true(b);
    static const char *const allowed[] = { "a", "batch", NULL };
    assert_err(slot_options_check(&c, &f->rollout.with, allowed), REEVE_E_INVALID_VALUE);
    assert_non_null(strstr(rep.hint, "batch"));
    report_clear(&rep);
    assert_err(slot_int(&c, &f->generation, "generation", 8, 100, &n), REEVE_E_INVALID_VALUE);
    assert_int_equal(rep.position, 30);
}

static void predicates_are_bound_once(void **state)
{
    struct ast_expr *x;
    struct query_pred *p;
    const char *sql = "region = 'eu' AND label('tier') IN ('edge')";
    struct query_env env = env_of();
    bool holds;
    arena_reset(&arena);
    assert_ok(parse_expression(&arena, slice_str(sql), &x, &rep));
    assert_ok(query_pred_bind(&env, x, slice_str(sql), VCOLUMNS(node_cols), node_cols, &p, &rep));
    struct datum row[] = { d_str("n"), d_str("eu"), d_json(slice_str("{\"tier\":\"edge\"}")), d_null(), d_null() };
    assert_ok(query_pred_eval(p, row, &holds, &rep));
    assert_true(holds);
    row[2] = d_null();
    assert_ok(query_pred_eval(p, row, &holds, &rep));
    assert_false(holds);
}

static void rowsets_keep_rows(void **state)
{
    struct ast_list l;
    struct rowset rs;
    struct query_env env = env_of();
    arena_reset(&arena);
    assert_ok(parse_string(&arena, slice_str("SELECT node_id FROM nodes"), &l, &rep));
    rowset_init(&rs, &arena, 1 << 20);
    assert_ok(query_run(&env, l.v[0], slice_str(""), &rs.dest, &rep));
    assert_int_equal(rs.nrows, NODES);
    assert_memory_equal(rowset_next(&rs)[0].s.p, "n1", 2);
    rowset_init(&rs, &arena, 10);
    assert_err(query_run(&env, l.v[0], slice_str(""), &rs.dest, &rep), REEVE_E_TOO_COMPLEX);
}

static void cohort_is_the_first_53_bits(void **state)
{
    /* python3: int.from_bytes(sha256(b"edge-tls\0n-00").digest()[:8], "big") >> 11, over 2**53 */
    struct hash32 h;
    char want[64];
    sha256(&h, slice_of("edge-tls\0n-00", 13));
    uint64_t v = 0;
    for (int i = 0; i < 7; i++)
        v = v << 8 | h.b[i];
    snprintf(want, sizeof want, "t;");      /* 56 bits, the last three cut */
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT cohort('edge-tls', 'n-00') * 9007199254740992.0 = %llu.0", (unsigned long long) (v >> 3));
    answers(sql, want);
}

/* ---- dumb twins ---- */

static void fill_random(struct rng *r, int n, uint32_t range)
{
    nrandom = n;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < 2; k++)
            rnd[i][k] = rng_below(r, 8) == 0 ? -1 : (int64_t) rng_below(r, range);
    }
}

static void memory_is_bounded(void **state)
{
    struct rng rng = { 1 };
    fill_random(&rng, RANDOM_ROWS, 50);
    assert_err(run_with("SELECT a.i, b.i FROM random a, random b, random c ORDER BY 1", &no_params, 1 << 20, 0), REEVE_E_TOO_COMPLEX);
    assert_err(run_with("SELECT node_id FROM nodes ORDER BY 1", &no_params, 0, 3), REEVE_E_TOO_COMPLEX);
}

/* Groups by walking all keys from NULL up to the range for each: quadratic and obvious. */
static void grouping_matches_its_dumb_twin(void **state)
{
    struct rng rng = rng_seeded("group");
    for (int round = 0; round < 30; round++) {
        static char want[1 << 16];
        size_t n = 0;
        fill_random(&rng, (int) rng_below(&rng, RANDOM_ROWS), 1 + rng_below(&rng, 50));
        for (int pass = 0; pass <= 50; pass++) {
            int64_t key = pass == 50 ? -1 : pass, count = 0, sum = 0, some = 0, max = -1;
            for (int i = 0; i < nrandom; i++) {
                if (rnd[i][0] != key)
                    continue;
                count++;
                if (rnd[i][1] >= 0) {
                    some++;
                    sum += rnd[i][1];
                    max = rnd[i][1] > max ? rnd[i][1] : max;
                }
            }
            if (count == 0)
                continue;
            n += key < 0 ? (size_t) sprintf(want + n, "~") : (size_t) sprintf(want + n, "%lld", (long long) key);
            n += (size_t) sprintf(want + n, "|%lld", (long long) count);
            n += some ? (size_t) sprintf(want + n, "|%lld|%lld;", (long long) sum, (long long) max) : (size_t) sprintf(want + n, "|~|~;");
        }
        want[n] = '\0';
        answers("SELECT a, count(*), sum(b), max(b) FROM random GROUP BY a ORDER BY a", want);
    }
}

static int64_t order_key(int64_t v) { return v < 0 ? 1 << 20 : v; }

/* Selection by repeated minimum. */
static void ordering_matches_its_dumb_twin(void **state)
{
    struct rng rng = rng_seeded("order");
    for (int round = 0; round < 30; round++) {
        static char want[1 << 16];
        static bool used[RANDOM_ROWS];
        size_t n = 0;
        fill_random(&rng, (int) rng_below(&rng, RANDOM_ROWS), 1 + rng_below(&rng, 30));
        memset(used, 0, sizeof used);
        int limit = (int) rng_below(&rng, 500);
        for (int k = 0; k < nrandom && k < limit; k++) {
            int best = -1;
            for (int i = 0; i < nrandom; i++) {
                if (used[i])
                    continue;
                if (best < 0 || order_key(rnd[i][0]) < order_key(rnd[best][0]) ||
                    (rnd[i][0] == rnd[best][0] && (order_key(rnd[i][1]) > order_key(rnd[best][1]) ||
                                                   (rnd[i][1] == rnd[best][1] && i < best))))
                    best = i;
            }
            used[best] = true;
            n += (size_t) sprintf(want + n, "%d;", best);
        }
        want[n] = '\0';
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT i FROM random ORDER BY a, b DESC, i LIMIT %d", limit);
        answers(sql, want);
    }
}

static void hash_join_matches_nested_loops(void **state)
{
    struct rng rng = rng_seeded("join");
    for (int round = 0; round < 20; round++) {
        fill_random(&rng, (int) rng_below(&rng, 60), 1 + rng_below(&rng, 20));
        static char hashed[1 << 16];
        strcpy(hashed, run("SELECT x.i, y.i FROM random x LEFT JOIN random y ON x.a = y.b ORDER BY 1, 2"));
        answers("SELECT x.i, y.i FROM random x LEFT JOIN random y ON NOT (x.a <> y.b) ORDER BY 1, 2", hashed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select_without_from_evaluates),
        cmocka_unit_test(times_compute),
        cmocka_unit_test(where_order_limit_work),
        cmocka_unit_test(limit_stops_the_scan),
        cmocka_unit_test(key_equality_is_handed_down),
        cmocka_unit_test(scans_hear_which_columns_matter),
        cmocka_unit_test(aggregates_group),
        cmocka_unit_test(joins_combine),
        cmocka_unit_test(subselects_see_the_outer_row),
        cmocka_unit_test(unions_and_values),
        cmocka_unit_test(show_is_a_select),
        cmocka_unit_test(errors_point_at_their_place),
        cmocka_unit_test(parameters_take_types_from_their_context),
        cmocka_unit_test(slots_resolve_parameters),
        cmocka_unit_test(predicates_are_bound_once),
        cmocka_unit_test(rowsets_keep_rows),
        cmocka_unit_test(cohort_is_the_first_53_bits),
        cmocka_unit_test(grouping_matches_its_dumb_twin),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(ordering_matches_its_dumb_twin),
        cmocka_unit_test(hash_join_matches_nested_loops),
    };
    return cmocka_run_group_tests_name("query", tests, setup, teardown);
}
