#!/usr/bin/python3
# drivers.py CONNINFO - what Python programs do, with psycopg2 and psycopg 3
import sys
import threading
import traceback

import psycopg
import psycopg2

DSN = sys.argv[1]
LONG = "SELECT count(*) FROM sys.settings a, sys.settings b, sys.settings c, sys.settings d"
FIVE = "SELECT n FROM (VALUES (1),(2),(3),(4),(5)) v(n)"
tests = []


def test(f):
    tests.append(f)
    return f


def eq(a, b):
    assert a == b, f"{a!r} is not {b!r}"


@test
def psycopg3_parameters_text_and_binary():
    with psycopg.connect(DSN, autocommit=True) as c:
        eq(c.execute("SELECT %s, %s, %s", (5, "it's", None)).fetchone(), (5, "it's", None))
        for value in (True, -7, 2**40, 1.5, "ä", None):
            for binary in (False, True):
                row = c.execute("SELECT %t" if isinstance(value, str) else "SELECT %s", (value,), binary=binary).fetchone()
                eq(row, (value,))


@test
def psycopg3_results_in_binary():
    with psycopg.connect(DSN, autocommit=True) as c:
        cur = c.cursor(binary=True)
        row = cur.execute("SELECT 1::int2, 2::int4, 3::int8, 1.5::float8, true, 'x'::text, '\\x00ff'::bytea,"
                          " '2026-01-02 03:04:05+00'::timestamptz, '1 day 2 hours'::interval").fetchone()
        eq(row[:7], (1, 2, 3, 1.5, True, "x", b"\x00\xff"))
        eq(row[7].isoformat(), "2026-01-02T03:04:05+00:00")
        eq(row[8].total_seconds(), 93600.0)


@test
def psycopg3_prepares_after_five_uses():
    with psycopg.connect(DSN, autocommit=True) as c:
        for i in range(12):
            eq(c.execute("SELECT %s + 1", (i,)).fetchone(), (i + 1,))


@test
def psycopg3_pipeline():
    with psycopg.connect(DSN, autocommit=True) as c:
        with c.pipeline() as p:
            got = [c.execute("SELECT %s", (i,)) for i in range(20)]
            eq([g.fetchone()[0] for g in got], list(range(20)))
            p.sync()
        try:
            with c.pipeline() as p:
                c.execute("SELECT 1/0")
                c.execute("SELECT 1")
                p.sync()
            assert False, "no error"
        except psycopg.errors.DivisionByZero:
            pass
        eq(c.execute("SELECT 1").fetchone(), (1,))


@test
def psycopg3_pipeline_sees_its_own_changes():
    with psycopg.connect(DSN, autocommit=True) as c:
        read = "SELECT value FROM sys.config WHERE key = 'pipeline'"
        got = []
        with c.pipeline() as p:
            for i in range(20):
                c.execute(f"SET CONFIG 'pipeline' = '{i}'")
                p.sync()
                got += [c.execute(read) for _ in range(3)]
                p.sync()
        eq([g.fetchone()[0] for g in got], [str(i) for i in range(20) for _ in range(3)])


@test
def psycopg3_server_cursor_in_text_and_binary():
    with psycopg.connect(DSN) as c:
        for binary in (False, True):
            with c.cursor("named", binary=binary) as cur:
                cur.execute(FIVE)
                eq(cur.fetchmany(2), [(1,), (2,)])
                eq(cur.fetchall(), [(3,), (4,), (5,)])


@test
def psycopg3_parameters_stand_for_names_and_values_of_statements():
    with psycopg.connect(DSN, autocommit=True) as c:
        c.execute("SET application_name = %s", ("from a parameter",))
        eq(c.info.parameter_status("application_name"), "from a parameter")
        c.execute("SET CONFIG %s = %s", ("interop/py", "42"))
        eq(c.execute("SELECT value FROM sys.config WHERE key = %s", ("interop/py",)).fetchone(), ("42",))


# Every slot of the language, filled from the client: statement, parameters, and the
# SQLSTATE of the refusal where what is asked cannot be done here. None is a syntax error.
SLOTS = [
    ("CREATE AUTHORITY %s WITH (key_type = %s, ttl = %s, subject = %s, external = %s)", ("p-ca", "ecdsa-p256", "2 years", "CN=x", False)),
    ("CREATE CERT %s FROM AUTHORITY %s SUBJECT %s SANS (%s, %s) VALID FOR %s RENEW BEFORE %s WITH (overlap = %s)",
     ("p-web", "p-ca", "CN=w", "a.example", "b.example", "30 days", "10 days", "1 h")),
    ("CREATE CERT %s FROM AUTHORITY %s SANS (%s) USING STRATEGY %s WHERE label(%s) = %s AND region = %s", ("p-db", "p-ca", "db", "default", "tier", "db", "eu")),
    ("ALTER CERT %s SET (overlap = %s, valid_for = %s)", ("p-web", "2 h", "31 days")),
    ("CREATE STRATEGY %s AS CANARY %s PERCENT FOR %s THEN %s NODES FOR %s, 100 PERCENT ROLLBACK IF failed > %s SAMPLE %s"
     " PAUSE IF silent > %s SAMPLE %s DEADLINE %s", ("p-st", 5, "1 min", 1000, "1 min", 3, 20, 5, 20, "6 h")),
    ("CREATE WINDOW %s WITH (cron = %s, duration = %s, timezone = %s)", ("p-w", "* * * * *", "1 h", "UTC")),
    ("EXPLAIN ROTATE CERT %s CANARY %s PERCENT FOR %s THEN %s PERCENT FOR %s, %s NODES BY REGION RATE %s PER MINUTE OVERLAP %s"
     " DURING WINDOW %s DEADLINE %s ROLLBACK IF failed > %s AND p99_ms > %s SAMPLE %s PAUSE IF silent > %s SAMPLE %s VALID FOR %s REASON %s",
     ("p-web", 5, "1 min", 25.5, "2 min", 5000, 100, "1 h", "p-w", "6 h", 1, 500, 10, 3, 10, "20 days", "because")),
    ("EXPLAIN ROTATE CERT %s WHERE label(%s) = %s AND region = %s IMMEDIATE", ("p-web", "tier", "edge", "eu"), "22023"),
    ("EXPLAIN ROTATE CERT %s USING STRATEGY %s", ("p-web", "p-st")),
    ("EXPLAIN ROTATE CERT %s BY REGION (%s, %s)", ("p-web", "local", "us"), "22023"),
    ("ROTATE CERT %s CANARY %s PERCENT FOR %s THEN 100 PERCENT MANUAL REASON %s", ("p-web", 5, "1 h", "CHG-1")),
    ("WAIT FOR ROLLOUT %s UNTIL %s TIMEOUT %s", (1, "succeeded", "1 min")),
    ("ROTATE CERT %s TO GENERATION %s IMMEDIATE", ("p-web", 1)),
    ("WAIT FOR ROLLOUT %s", (2,)),
    ("ROTATE CERT %s REQUIRE %s APPROVALS", ("p-web", 2), "0A000"),
    ("PAUSE ROLLOUT %s REASON %s", (1, "x"), "55000"), ("RESUME ROLLOUT %s REASON %s", (1, "x"), "55000"),
    ("CANCEL ROLLOUT %s REASON %s", (1, "x"), "55000"), ("PROMOTE ROLLOUT %s TO WAVE %s REASON %s", (1, 9, "x"), "22023"),
    ("PROMOTE ROLLOUT %s TO %s PERCENT REASON %s", (1, 100, "x"), "55000"), ("ALTER ROLLOUT %s SET (rate = %s)", (1, 5), "0A000"),
    ("ROLLBACK ROLLOUT %s REASON %s", (2, "INC-1"), "55000"), ("ROLLBACK ROLLOUT %s REASON %s", (1, "INC-1"), "RL006"), ("APPROVE ROLLOUT %s REASON %s", (1, "x"), "0A000"), ("REJECT ROLLOUT %s REASON %s", (1, "x"), "0A000"),
    ("SET CONFIG %s = %s CANARY %s PERCENT FOR %s", ("p/roll", 7, 10, "1 h")), ("RESET CONFIG %s REASON %s", ("p/none", "x"), "42704"),
    ("CREATE JOIN_TOKEN WITH (region = %s, uses = %s, ttl = %s, labels = %s)", ("local", 5, "1 h", "tier=edge")),
    ("REVOKE JOIN_TOKEN %s REASON %s", ("0011223344556677", "x"), "42704"),
    ("ALTER NODE %s SET LABEL %s = %s REASON %s", ("n", "a", "b", "x"), "42704"), ("ALTER NODE %s RESET LABEL %s", ("n", "a"), "42704"),
    ("ALTER NODES WHERE label(%s) = %s SET LABEL %s = %s", ("a", "b", "c", "d")), ("ALTER NODES WHERE region = %s CORDON REASON %s", ("x", "y")),
    ("DROP NODE IF EXISTS %s REASON %s", ("n", "x")), ("REVOKE NODE %s REASON %s", ("n", "x"), "22023"),
    ("ALTER AUTHORITY %s PREPARE REASON %s", ("p-ca", "x")), ("ALTER AUTHORITY %s SET (chain = %s)", ("p-ca", "x"), "55000"),
    ("CREATE ROLE %s LOGIN PASSWORD %s VALID UNTIL %s CONNECTION LIMIT %s IN ROLE %s, %s", ("p-bob", "secret", "2099-01-01", 5, "sys_auditor", "sys_read_all")),
    ("ALTER ROLE %s PASSWORD %s VALID UNTIL %s CONNECTION LIMIT %s", ("p-bob", "other", "2098-01-01", 6)),
    ("GRANT %s, ROTATE ON CERT %s TO %s", ("select", "p-web", "p-bob")), ("GRANT CONFIGURE ON CONFIG %s TO %s", ("p/", "p-bob")),
    ("GRANT SELECT ON ALL CERTS IN REGION %s TO %s", ("local", "p-bob")), ("REVOKE ROTATE ON CERT %s FROM %s", ("p-web", "p-bob")),
    ("GRANT %s TO %s", ("sys_operator", "p-bob")), ("REVOKE %s FROM %s", ("sys_operator", "p-bob")),
    ("SHOW CERTS WHERE name = %s LIMIT %s", ("p-web", 1)), ("SHOW ROLLOUT %s", (1,)), ("SHOW ROLLOUT %s NODES WHERE state = %s LIMIT %s", (1, "done", 3)),
    ("SHOW HISTORY FOR CERT %s FROM VERSION %s TO VERSION %s WHERE actor = %s LIMIT %s", ("p-web", 0, 1000, "ann", 2)),
    ("SHOW HISTORY FOR ROLLOUT %s", (1,)), ("SHOW HISTORY SINCE %s LIMIT %s", ("2020-01-01", 2)), ("SHOW CONFIG %s", ("p/i",)), ("SHOW APPROVALS FOR %s", ("p1",)), ("SHOW PROPOSAL %s", ("p1",), "42704"),
    ("SET SESSION statement_timeout TO %s", ("60s",)), ("SET LOCAL statement_timeout TO %s", (60000,)), ("SET TIME ZONE %s", ("UTC",)),
    ("SET NAMES %s", ("UTF8",)), ("SET SESSION AUTHORIZATION %s", ("ann",)), ("SET ROLE %s", ("p-bob",), "0A000"),
    ("ALTER SYSTEM SET rollout_default_bake = %s", ("9 min",)), ("CANCEL QUERY %s", (2147483647,), "42704"), ("TERMINATE SESSION %s", (2147483647,), "42704"),
    ("DROP STRATEGY IF EXISTS %s REASON %s", ("nope", "x")), ("DROP WINDOW %s REASON %s", ("p-w", "x")),
    ("REVOKE CERT %s GENERATION %s REASON %s", ("p-web", 1, "x")), ("REVOKE CERT %s REASON %s", ("p-db", "x")),
    ("DROP CERT IF EXISTS %s REASON %s", ("p-db", "x")), ("DROP ROLE IF EXISTS %s", ("p-bob",)), ("DROP AUTHORITY IF EXISTS %s REASON %s", ("p-none", "x")),
    ("ALTER REGION %s FREEZE REASON %s", ("local", "x")), ("ALTER REGION %s UNFREEZE REASON %s", ("local", "x")),
    ("SELECT name FROM sys.certs WHERE name = ANY(%s) ORDER BY %s LIMIT %s OFFSET %s", (["a", "b"], "x", 5, 0)),
    ("SELECT CASE %s WHEN %s THEN %s END, %s BETWEEN %s AND %s, %s IN (%s, %s), coalesce(%s, %s)", (1, 1, "a", 2, 1, 3, 1, 1, 2, None, "z")),
    ("PREPARE p_slot AS SELECT %s", ("x",)), ("EXECUTE p_slot (%s)", ("y",)), ("DEALLOCATE p_slot", ()),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT n FROM (VALUES (%s), (2), (3), (4)) v(n)", (1,)), ("FETCH %s FROM c", (1,)),
    ("FETCH FORWARD %s c", (1,)), ("MOVE %s IN c", (1,)), ("FETCH 1 FROM %s", ("c",), "0A000"), ("CLOSE %s", ("c",)),
    ("EXPLAIN (FORMAT %s) DROP CERT %s", ("json", "p-web"), "0A000"),
    ("SELECT * FROM sys.config AS OF VERSION %s", (1,)), ("CREATE SERVICE %s PORT %s WITH (check = %s)", ("s", 443, "x"), "0A000"),
    ("RESOLVE SERVICE %s NEAR REGION %s", ("s", "r"), "0A000"), ("REVOKE LEASE %s REASON %s", (1, "x"), "0A000"), ("CREATE REGION %s WITH (x = %s)", ("r", 1), "0A000"),
    ("ALTER RING %s ADD MEMBER %s ADDRESS %s", ("local", "m", "h:1"), "42704"), ("CREATE VALIDATOR %s KEY %s", ("v", "ed25519:x"), "22023"),
    ("SHOW PROOF FOR VERSION %s", (1,)), ("DIFF CONFIG FROM VERSION %s TO VERSION %s", (1, 2)), ("VERIFY HISTORY SINCE %s", ("2020-01-01",)),
    ("CREATE APPROVER %s KEY %s JURISDICTION %s", ("a", "k", "de"), "22023"),
    ("CREATE APPROVAL POLICY %s FOR (%s) REQUIRE %s OF GROUP %s DISTINCT JURISDICTION %s EXPIRES %s VETO %s OF GROUP %s", ("a", "approval policy", 2, "g", 2, "1 d", 1, "h"), "RL118"),
    ("PROPOSE SECURITY UPDATE %s AS ALTER REGION %s FREEZE REASON %s", ("u", "local", "x"), "55000"),
    ("APPROVE PROPOSAL %s DIGEST %s SIGNATURE %s REASON %s", ("a", "b", "c", "d"), "42704"),
    ("REJECT PROPOSAL %s REASON %s SIGNATURE %s", ("a", "b", "c"), "42704"), ("WITHDRAW PROPOSAL %s REASON %s", ("a", "b"), "42704"),
    ("SUBSCRIBE TO NODES WHERE region = %s", ("eu",), "0A000"), ("ALTER EXTENSION %s UPDATE TO %s", ("a", "2"), "0A000"),
    ("LISTEN %s", ("a",), "0A000"), ("NOTIFY %s, %s", ("a", "b"), "0A000"),
]


def outcome(c, sql, params):
    try:
        c.execute(sql, params)
        return None
    except psycopg.Error as e:
        return e.sqlstate


@test
def psycopg3_parameters_are_legal_wherever_a_name_or_a_value_is():
    with psycopg.connect(DSN, autocommit=True) as c:
        region = c.execute("SELECT region FROM sys.regions").fetchone()[0]
        c.execute("ALTER SYSTEM SET rollout_prepare_window = '100ms'")
        c.execute("RELOAD CONFIGURATION")
        for sql, params, *want in SLOTS:
            params = tuple(region if p == "local" else p for p in params)
            got = outcome(c, sql, params)
            assert got == (want[0] if want else None), f"{sql} {params}: {got}"


@test
def psycopg3_parameters_of_config_keep_their_type():
    with psycopg.connect(DSN, autocommit=True) as c:
        values = {"t/text": ("5", "text", "5"), "t/int": (5, "int", "5"), "t/big": (2**40, "int", str(2**40)), "t/float": (1.5, "float", "1.5"),
                  "t/bool": (True, "bool", "true"), "t/null": (None, "null", None)}
        for key, (value, *_) in values.items():
            c.execute("SET CONFIG %s = %s", (key, value))
        rows = c.execute("SELECT key, value_type, value FROM sys.config WHERE key LIKE %s", ("t/%",)).fetchall()
        eq({k: (t, v) for k, t, v in rows}, {k: (t, v) for k, (_, t, v) in values.items()})


@test
def psycopg3_a_parameter_is_never_read_as_language():
    with psycopg.connect(DSN, autocommit=True) as c:
        evil = "x'; DROP AUTHORITY \"p-ca\"; --"
        c.execute("SET CONFIG %s = %s", (evil, evil))
        eq(c.execute("SELECT value FROM sys.config WHERE key = %s", (evil,)).fetchone(), (evil,))


@test
def psycopg3_rows_of_a_portal_come_in_pieces():
    with psycopg.connect(DSN) as c:
        with c.cursor("pieces") as cur:
            cur.itersize = 7
            cur.execute("SELECT name FROM sys.settings ORDER BY name LIMIT %s", (40,))
            names = [row[0] for row in cur]
        eq(names, [r[0] for r in c.execute("SELECT name FROM sys.settings ORDER BY name LIMIT 40").fetchall()])
        with c.cursor("shown") as cur:
            cur.execute("SHOW SETTINGS WHERE name LIKE %s", ("rollout%",))
            assert len(cur.fetchmany(2)) == 2 and len(cur.fetchall()) > 3


@test
def psycopg3_transactions():
    with psycopg.connect(DSN) as c:
        c.execute("SET CONFIG 'interop/tx' = 1")
        c.rollback()
        eq(c.execute("SELECT count(*) FROM sys.config WHERE key = 'interop/tx'").fetchone(), (0,))
        try:
            c.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero as e:
            eq(e.sqlstate, "22012")
        eq(c.info.transaction_status, psycopg.pq.TransactionStatus.INERROR)
        try:
            c.execute("SELECT 1")
        except psycopg.errors.InFailedSqlTransaction:
            pass
        c.rollback()
        eq(c.info.transaction_status, psycopg.pq.TransactionStatus.IDLE)


@test
def psycopg3_cancel():
    with psycopg.connect(DSN, autocommit=True) as c:
        t = threading.Timer(0.2, c.cancel)
        t.start()
        try:
            c.execute(LONG)
            assert False, "it was not canceled"
        except psycopg.errors.QueryCanceled:
            pass
        t.join()
        eq(c.execute("SELECT 1").fetchone(), (1,))


@test
def psycopg3_warnings_reach_the_handler():
    with psycopg.connect(DSN, autocommit=True) as c:
        heard = []
        c.add_notice_handler(lambda d: heard.append((d.severity, d.sqlstate)))
        c.execute("COMMIT")
        eq(heard, [("WARNING", "25P01")])


@test
def psycopg3_errors_carry_their_position():
    with psycopg.connect(DSN, autocommit=True) as c:
        try:
            c.execute("SELECT * FROM nowhere")
        except psycopg.errors.UndefinedTable as e:
            eq(e.diag.statement_position, "15")


@test
def psycopg3_channel_binding_and_server_version():
    with psycopg.connect(DSN + " channel_binding=require sslmode=require") as c:
        eq(c.info.server_version, 150000)
        eq(c.info.encoding, "utf-8")


@test
def psycopg2_quotes_at_the_client_and_begins_by_itself():
    c = psycopg2.connect(DSN)
    k = c.cursor()
    k.execute("SELECT %s, %s, %s", ("it's", 3, None))
    eq(k.fetchall(), [("it's", 3, None)])
    k.execute("SET CONFIG %s = %s", ("interop/py2", "x"))
    c.commit()
    k.execute("SELECT value FROM sys.config WHERE key = %s", ("interop/py2",))
    eq(k.fetchone(), ("x",))
    c.close()


@test
def psycopg2_named_cursor():
    c = psycopg2.connect(DSN)
    k = c.cursor("srv")
    k.execute(FIVE)
    eq(k.fetchmany(3), [(1,), (2,), (3,)])
    eq(k.fetchall(), [(4,), (5,)])
    c.rollback()
    c.close()


@test
def psycopg2_errors_notices_and_copy():
    import io
    c = psycopg2.connect(DSN)
    k = c.cursor()
    try:
        k.execute("SELEC 1")
    except psycopg2.errors.SyntaxError as e:
        eq((e.pgcode, e.diag.statement_position), ("42601", "1"))
    c.rollback()
    c.autocommit = True
    k.execute("ROLLBACK")
    assert "no transaction in progress" in c.notices[-1]
    out = io.StringIO()
    k.copy_expert("COPY (" + FIVE + ") TO STDOUT", out)
    eq(out.getvalue(), "1\n2\n3\n4\n5\n")
    c.close()


@test
def psycopg2_cancel_from_another_thread():
    c = psycopg2.connect(DSN)
    threading.Timer(0.2, c.cancel).start()
    try:
        c.cursor().execute(LONG)
        assert False, "it was not canceled"
    except psycopg2.errors.QueryCanceled:
        pass
    c.close()


failed = 0
print(f"1..{len(tests)}")
for n, f in enumerate(tests, 1):
    name = f.__name__.replace("_", " ")
    try:
        f()
        print(f"ok {n} - {name}", flush=True)
    except Exception:
        failed = 1
        print(f"not ok {n} - {name}", flush=True)
        for line in traceback.format_exc().splitlines():
            print("# " + line, file=sys.stderr)
sys.exit(failed)
