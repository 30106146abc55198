#!/usr/bin/python3
# sessions.py HOST PORT AGENT-PORT USER PASSWORD - what sessions see and do to each other, with psycopg 3
#
#   rights that change while a session is open · ALTER SYSTEM and RELOAD · CANCEL QUERY and TERMINATE SESSION ·
#   limits of a role's connections · two transactions on one object · CancelRequest during WAIT FOR
import subprocess
import sys
import threading
import time
import traceback

import psycopg
from psycopg import errors as e

HOST, PORT, AGENT_PORT, ADMIN, PASSWORD = sys.argv[1:6]
LONG = "SELECT count(*) FROM sys.settings a, sys.settings b, sys.settings c, sys.settings d"
tests = []


def test(f):
    tests.append(f)
    return f


def eq(a, b):
    assert a == b, f"{a!r} is not {b!r}"


def connect(user=ADMIN, autocommit=True, **more):
    return psycopg.connect(host=HOST, port=PORT, user=user, password=PASSWORD, dbname="reeve", autocommit=autocommit, **more)


def one(c, sql, *params):
    return c.execute(sql, params).fetchone()[0]


def until(condition, what):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("in vain: " + what)


def refused(error, c, sql, *params):
    try:
        c.execute(sql, params)
    except error as x:
        return x
    raise AssertionError(f"{sql}: not refused")


class Running(threading.Thread):
    """A statement in another thread; error is what ended it."""

    def __init__(self, c, sql):
        super().__init__()
        self.c, self.sql, self.error, self.pid = c, sql, None, c.info.backend_pid
        self.start()

    def run(self):
        try:
            self.c.execute(self.sql)
        except Exception as x:
            self.error = x

    def ended_by(self, error):
        self.join(20)
        assert not self.is_alive(), "still running: " + self.sql
        assert isinstance(self.error, error), f"{self.sql}: {self.error!r}"
        return self.error


def busy(admin, pid):
    return admin.execute("SELECT count(*) FROM sys.stat_activity WHERE pid = %s AND state = 'active'", (pid,)).fetchone()[0] == 1


def gone(admin, pid):
    return one(admin, "SELECT count(*) FROM sys.stat_activity WHERE pid = %s", pid) == 0


@test
def rights_count_at_once_in_open_sessions():
    with connect() as admin:
        admin.execute(f"CREATE ROLE alice LOGIN PASSWORD '{PASSWORD}'")
        admin.execute("SET CONFIG 's/a' = 1")
        with connect("alice") as alice:
            refused(e.InsufficientPrivilege, alice, "SELECT count(*) FROM sys.config")
            refused(e.InsufficientPrivilege, alice, "SET CONFIG 's/a' = 2")
            admin.execute("GRANT SELECT, CONFIGURE ON CONFIG 's/a' TO alice")
            eq(one(alice, "SELECT count(*) FROM sys.config"), 1)
            alice.execute("SET CONFIG 's/a' = 2")
            admin.execute("REVOKE CONFIGURE ON CONFIG 's/a' FROM alice")
            refused(e.InsufficientPrivilege, alice, "SET CONFIG 's/a' = 3")
            admin.execute("ALTER ROLE alice SUPERUSER")
            alice.execute("SET CONFIG 's/a' = 4")
            eq(one(alice, "SHOW is_superuser"), "on")
            admin.execute("ALTER ROLE alice NOSUPERUSER")
            refused(e.InsufficientPrivilege, alice, "SET CONFIG 's/a' = 5")
            eq(one(alice, "SHOW is_superuser"), "off")


@test
def altered_settings_reach_open_sessions_with_reload():
    with connect() as admin, connect("alice") as other, connect("alice") as own, connect("alice", options="-c statement_timeout=33s") as asked:
        own.execute("SET statement_timeout = '44s'")
        source = "SELECT source FROM sys.settings WHERE name = 'statement_timeout'"
        eq((one(other, "SHOW statement_timeout"), one(other, source)), ("0", "default"))
        admin.execute("ALTER SYSTEM SET statement_timeout = '55s'")
        eq(one(other, "SHOW statement_timeout"), "0")
        admin.execute("RELOAD CONFIGURATION")
        until(lambda: one(other, "SHOW statement_timeout") == "55s", "another open session has the new setting")
        until(lambda: one(admin, "SHOW statement_timeout") == "55s", "the session that altered it, too")
        eq(one(other, source), "configuration file")
        eq((one(own, "SHOW statement_timeout"), one(own, source)), ("44s", "session"))
        eq((one(asked, "SHOW statement_timeout"), one(asked, source)), ("33s", "client"))
        own.execute("RESET statement_timeout")
        eq(one(own, "SHOW statement_timeout"), "55s")
        with connect("alice") as late:
            eq(one(late, "SHOW statement_timeout"), "55s")


@test
def altered_settings_take_effect_in_other_sessions():
    with connect() as admin, connect("alice") as other:
        admin.execute("ALTER SYSTEM SET statement_timeout = '150ms'")
        admin.execute("RELOAD CONFIGURATION")
        until(lambda: one(other, "SHOW statement_timeout") == "150ms", "the setting arrives")
        refused(e.QueryCanceled, other, LONG)
        admin.execute("SET statement_timeout = 0")
        admin.execute("ALTER SYSTEM RESET statement_timeout")
        admin.execute("RELOAD CONFIGURATION")
        until(lambda: one(other, "SHOW statement_timeout") == "0", "and goes again")
        eq(one(other, "SELECT source FROM sys.settings WHERE name = 'statement_timeout'"), "default")


@test
def drivers_hear_of_reported_settings_after_a_reload():
    with connect() as admin, connect("alice") as other:
        eq(other.info.parameter_status("TimeZone"), "UTC")
        admin.execute("ALTER SYSTEM SET \"IntervalStyle\" = 'iso_8601'")
        admin.execute("RELOAD CONFIGURATION")
        until(lambda: other.execute("SELECT 1") and other.info.parameter_status("IntervalStyle") == "iso_8601", "ParameterStatus")
        admin.execute("ALTER SYSTEM RESET \"IntervalStyle\"")
        admin.execute("RELOAD CONFIGURATION")
        until(lambda: other.execute("SELECT 1") and other.info.parameter_status("IntervalStyle") == "postgres", "ParameterStatus again")


@test
def what_needs_a_restart_says_so():
    with connect() as admin, connect("alice") as other:
        heard = []
        admin.add_notice_handler(lambda d: heard.append(d.message_primary))
        before = one(other, "SHOW max_connections")
        admin.execute("ALTER SYSTEM SET max_connections = 77")
        assert "takes effect after a restart" in heard[0], heard
        admin.execute("RELOAD CONFIGURATION")
        pending = "SELECT pending_restart FROM sys.settings WHERE name = 'max_connections'"
        until(lambda: one(other, pending), "pending_restart is shown in another session")
        eq(one(other, "SHOW max_connections"), before)
        admin.execute("ALTER SYSTEM RESET max_connections")
        admin.execute("RELOAD CONFIGURATION")
        until(lambda: not one(other, pending), "and goes when it is taken back")


@test
def only_superusers_alter_the_system():
    with connect("alice") as alice:
        refused(e.InsufficientPrivilege, alice, "ALTER SYSTEM SET statement_timeout = '1s'")
        refused(e.InsufficientPrivilege, alice, "RELOAD CONFIGURATION")


@test
def cancel_query_ends_the_statement_of_another_session():
    with connect() as admin, connect("alice") as alice:
        run = Running(alice, LONG)
        until(lambda: busy(admin, run.pid), "it runs")
        eq(admin.execute("CANCEL QUERY %s", (run.pid,)).statusmessage, "CANCEL QUERY")
        eq(str(run.ended_by(e.QueryCanceled)), "canceling statement due to user request")
        eq(one(alice, "SELECT 1"), 1)


@test
def terminate_session_ends_another_session():
    with connect() as admin:
        alice = connect("alice")
        pid = alice.info.backend_pid
        eq(admin.execute("TERMINATE SESSION %s", (pid,)).statusmessage, "TERMINATE SESSION")
        until(lambda: gone(admin, pid), "it is gone from the table")
        refused((e.AdminShutdown, psycopg.OperationalError), alice, "SELECT 1")
        assert alice.closed
        alice = connect("alice")
        run = Running(alice, LONG)
        until(lambda: busy(admin, run.pid), "it runs")
        admin.execute("TERMINATE SESSION %s", (run.pid,))
        run.ended_by(psycopg.OperationalError)
        until(lambda: gone(admin, run.pid), "in the middle of a statement, too")


@test
def sessions_of_others_are_for_administrators_those_of_superusers_for_superusers():
    with connect() as admin, connect("alice") as alice, connect("alice") as alice2:
        admin.execute(f"CREATE ROLE bob LOGIN PASSWORD '{PASSWORD}'")
        with connect("bob") as bob:
            refused(e.InsufficientPrivilege, bob, "CANCEL QUERY %s", alice.info.backend_pid)
            refused(e.InsufficientPrivilege, bob, "TERMINATE SESSION %s", alice.info.backend_pid)
            refused(e.InsufficientPrivilege, bob, "TERMINATE SESSION %s", 2147483647)
            eq(one(alice, "SELECT 1"), 1)
            alice.execute("TERMINATE SESSION %s", (alice2.info.backend_pid,))
            until(lambda: gone(admin, alice2.info.backend_pid), "one's own other session")
            admin.execute("GRANT ADMIN ON SYSTEM TO bob")
            refused(e.InsufficientPrivilege, bob, "TERMINATE SESSION %s", admin.info.backend_pid)
            refused(e.UndefinedObject, bob, "TERMINATE SESSION %s", 2147483647)
            bob.execute("TERMINATE SESSION %s", (alice.info.backend_pid,))
            until(lambda: gone(admin, alice.info.backend_pid), "with ADMIN those of others")
            admin.execute("REVOKE ADMIN ON SYSTEM FROM bob")


@test
def a_role_has_no_more_connections_than_its_limit():
    with connect() as admin:
        admin.execute(f"CREATE ROLE carl LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 2")
        first, second = connect("carl"), connect("carl")
        try:
            connect("carl")
            raise AssertionError("a third one was let in")
        except psycopg.OperationalError as x:
            assert 'too many connections for role "carl"' in str(x), x
        eq(one(first, "SELECT 1"), 1)
        pid = second.info.backend_pid
        second.close()
        until(lambda: gone(admin, pid), "one has left")
        connect("carl").close()
        admin.execute("ALTER ROLE carl CONNECTION LIMIT 0")
        first.execute("SELECT 1")
        try:
            connect("carl")
            raise AssertionError("limit 0 let somebody in")
        except psycopg.OperationalError:
            pass
        first.close()
        admin.execute("ALTER ROLE carl CONNECTION LIMIT -1")
        [c.close() for c in [connect("carl") for _ in range(4)]]
        admin.execute(f"CREATE ROLE chief LOGIN SUPERUSER PASSWORD '{PASSWORD}' CONNECTION LIMIT 0")
        connect("chief").close()


@test
def two_transactions_on_one_object_conflict_and_the_second_is_tried_again():
    with connect() as admin:
        admin.execute("CREATE AUTHORITY ca")
        admin.execute("CREATE CERT web FROM AUTHORITY ca SANS ('web.example')")
    with connect(autocommit=False) as a, connect(autocommit=False) as b:
        a.execute("ALTER CERT web SET (overlap = '1 h')")
        b.execute("ALTER CERT web SET (renew_before = '3 days')")
        a.commit()
        try:
            b.commit()
            raise AssertionError("both committed")
        except e.SerializationFailure as x:
            eq(x.sqlstate, "40001")
        eq(b.info.transaction_status, psycopg.pq.TransactionStatus.IDLE)
        tries = 0
        while True:
            tries += 1
            try:
                with b.transaction():
                    b.execute("ALTER CERT web SET (renew_before = '3 days')")
                break
            except e.SerializationFailure:
                assert tries < 5, "the retry conflicts for ever"
        eq(tries, 1)
        rows = b.execute("SELECT statement FROM sys.history WHERE object = 'web' AND object_kind = 'cert' ORDER BY version").fetchall()
        eq([r[0] for r in rows][1:], ["ALTER CERT web SET (overlap = '1 h')", "ALTER CERT web SET (renew_before = '3 days')"])


@test
def alone_statements_that_race_are_tried_again_by_the_server():
    with connect() as admin:
        threads = [Running(connect(), f"ALTER CERT web SET (overlap = '{n} h')") for n in range(2, 8)]
        for t in threads:
            t.join(20)
            assert t.error is None, t.error
            t.c.close()
        eq(one(admin, "SELECT count(*) FROM sys.history WHERE object = 'web' AND statement LIKE %s", "ALTER CERT web SET (overlap%"), 7)


@test
def a_cancel_request_ends_wait_for_and_the_rollout_goes_on():
    with connect() as admin, connect() as waiting:
        token = admin.execute("CREATE JOIN_TOKEN WITH (uses = 2)").fetchone()[0]
        fleet = subprocess.Popen(["reeve-bench", "fleet", "--server", f"{HOST}:{AGENT_PORT}", "--token", token, "--count", "2"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: one(admin, "SELECT on_current FROM sys.certs WHERE name = 'web'") == 2, "two agents")
            rollout = admin.execute("ROTATE CERT web CANARY 1 NODES THEN 100 PERCENT MANUAL").fetchone()[0]
            told = threading.Event()
            waiting.add_notice_handler(lambda d: told.set())
            run = Running(waiting, f"WAIT FOR ROLLOUT {rollout}")
            assert told.wait(20), "notices come while it waits"
            eq(busy(admin, run.pid), True)
            waiting.cancel()
            run.ended_by(e.QueryCanceled)
            eq(waiting.info.transaction_status, psycopg.pq.TransactionStatus.IDLE)
            until(lambda: one(admin, "SELECT state FROM sys.rollouts WHERE rollout_id = %s", rollout) == "baking", "it goes on")
            run = Running(waiting, f"WAIT FOR ROLLOUT {rollout}")
            until(lambda: busy(admin, run.pid), "it waits again")
            admin.execute("CANCEL QUERY %s", (run.pid,))
            run.ended_by(e.QueryCanceled)
            refused(psycopg.Error, waiting, f"WAIT FOR ROLLOUT {rollout} TIMEOUT '100 ms'")
            admin.execute("ROLLBACK ROLLOUT %s", (rollout,))
            eq(waiting.execute(f"WAIT FOR ROLLOUT {rollout} UNTIL rolled_back TIMEOUT '20 s'").fetchone()[1], "rolled_back")

        finally:
            fleet.terminate()
            fleet.wait()


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
