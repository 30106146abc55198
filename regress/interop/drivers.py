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
