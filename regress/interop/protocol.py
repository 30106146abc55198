#!/usr/bin/python3
# protocol.py HOST-OR-SOCKET PORT USER DATABASE - raw conversations, one line per answer
#
# Run against PostgreSQL 15 it made protocol.expected; run against us it must
# print the same. Error texts are left out (the code stays), as are messages
# that differ by nature (keys, ParameterStatus at log-in).
import socket
import struct
import sys


def msg(t, body=b""):
    return t.encode() + struct.pack(">I", len(body) + 4) + body


def z(s):
    return s.encode() + b"\0"


def Q(s): return msg("Q", z(s))
def P(name, sql, *types): return msg("P", z(name) + z(sql) + struct.pack(">H", len(types)) + b"".join(struct.pack(">I", t) for t in types))
def D(kind, name): return msg("D", kind.encode() + z(name))
def E(portal, n=0): return msg("E", z(portal) + struct.pack(">I", n))
def C(kind, name): return msg("C", kind.encode() + z(name))


def B(portal, stmt, *values, fmt=0):
    body = z(portal) + z(stmt) + struct.pack(">HH", 0, len(values))
    for v in values:
        body += struct.pack(">i", -1) if v is None else struct.pack(">I", len(v)) + v.encode()
    return msg("B", body + struct.pack(">HH", 1, fmt))


S, H = msg("S"), msg("H")
FAIL = "SELECT 1/(n-1) FROM (VALUES (1),(2)) v(n)"      # not folded while planning
FIVE = "SELECT n FROM (VALUES (1),(2),(3),(4),(5)) v(n)"

TALKS = [
    ("empty queries", [Q(""), Q(";"), Q("/* x */")]),
    ("simple rows", [Q("SELECT 1, 'x'::text, NULL::text, true AS t, 1.5::float8"), Q("SELECT 1; SELECT 2")]),
    ("error in a string", [Q("SELECT 1; " + FAIL + "; SELECT 2")]),
    ("syntax error in a string", [Q("SELECT 1; SELEC")]),
    ("block", [Q("BEGIN"), Q(FAIL), Q("SELECT 1"), Q(""), Q("COMMIT"), Q("COMMIT"), Q("ROLLBACK")]),
    ("begin twice", [Q("BEGIN; BEGIN"), Q("END")]),
    ("set and report", [Q("SET application_name = 'a'"), Q("SET application_name = 'a'"), Q("BEGIN; SET application_name = 'b'"), Q("ROLLBACK"), Q("RESET application_name")]),
    ("set local", [Q("SET LOCAL application_name = 'l'"), Q("BEGIN; SET LOCAL application_name = 'l'"), Q("COMMIT")]),
    ("unknown setting", [Q("SET nosuch = 1"), Q("SHOW nosuch")]),
    ("show", [Q("SHOW transaction isolation level"), Q("SHOW standard_conforming_strings")]),
    ("parse bind execute", [P("s", "SELECT $1::text", 25) + D("S", "s") + B("", "s", "v") + D("P", "") + E("") + S]),
    ("null and binary", [P("", "SELECT $1::int4, 7::int4", 23) + B("", "", None, fmt=1) + D("P", "") + E("") + S]),
    ("row limits", [P("", FIVE) + B("p", "") + E("p", 2) + E("p", 3) + E("p", 3) + E("p") + S, E("p") + S]),
    ("limit hit exactly", [P("", "SELECT 1") + B("", "") + E("", 1) + E("", 1) + S]),
    ("limit on a statement without rows", [P("", "SET application_name = 'x'") + B("", "") + D("P", "") + E("", 1) + S]),
    ("run twice", [P("", "SET application_name = 'x'") + B("", "") + E("") + E("") + S]),
    ("flush", [P("", "SELECT 1") + D("S", "") + H + B("", "") + E("") + S]),
    ("skip to sync", [P("", FAIL) + B("", "") + E("") + E("") + P("x", "SELECT 1") + S, B("", "x") + S]),
    ("names", [P("d", "SELECT 1") + P("d", "SELECT 1") + S, C("S", "d") + C("S", "d") + C("P", "none") + S, B("", "d") + S, E("none") + S, D("P", "none") + S]),
    ("duplicate portal", [P("", "SELECT 1") + B("p", "") + B("p", "") + S]),
    ("unnamed ones are replaced", [P("", "SELECT 1") + P("", "SELECT 2") + B("", "") + B("", "") + E("") + S, Q("SELECT 1"), D("S", "") + S]),
    ("several statements in Parse", [P("", "SELECT 1; SELECT 2") + S]),
    ("the empty statement", [P("", "") + D("S", "") + B("", "") + D("P", "") + E("") + S]),
    ("wrong number of parameters", [P("", "SELECT $1::text") + B("", "") + S, P("", "SELECT 1") + B("", "", "x") + S]),
    ("portal in a block", [Q("BEGIN"), P("", FIVE) + B("c", "") + E("c", 2) + S, E("c", 2) + S, Q("COMMIT"), E("c") + S]),
    ("failed block", [Q("BEGIN"), P("", FAIL) + B("", "") + E("") + S, P("", "SELECT 1") + S, P("", "ROLLBACK") + B("", "") + E("") + S]),
    ("begin and commit extended", [P("", "BEGIN") + B("", "") + E("") + P("", "SELECT 1") + B("", "") + E("") + P("", "COMMIT") + B("", "") + E("") + S]),
    ("sql cursor", [Q("DECLARE c CURSOR FOR " + FIVE), Q("BEGIN; DECLARE c CURSOR FOR " + FIVE), Q("FETCH 2 FROM c"), Q("MOVE 1 FROM c"), Q("FETCH ALL c"), Q("FETCH c"), Q("CLOSE c"), Q("CLOSE c"), Q("ROLLBACK")]),
    ("cursor with hold", [Q("DECLARE h CURSOR WITH HOLD FOR " + FIVE), Q("FETCH 1 h"), Q("CLOSE ALL")]),
    ("cursor through Execute", [Q("BEGIN; DECLARE c CURSOR FOR " + FIVE), D("P", "c") + E("c", 2) + S, P("", "FETCH 2 FROM c") + B("", "", fmt=1) + D("P", "") + E("") + S, Q("COMMIT")]),
    ("prepare and execute", [Q("PREPARE q (int4) AS SELECT $1"), Q("EXECUTE q (5)"), Q("EXECUTE q"), B("", "q", "6") + D("S", "q") + E("") + S, Q("DEALLOCATE q"), Q("EXECUTE q (1)"), Q("DEALLOCATE ALL")]),
    ("pools' reset", [Q("CLOSE ALL; UNLISTEN *; RESET ALL;"), Q("DISCARD ALL"), Q("BEGIN; DISCARD ALL"), Q("ROLLBACK")]),
    ("copy out", [Q("COPY (SELECT 1, 'a\tb'::text, NULL::text) TO STDOUT"), Q("COPY (SELECT 'a,b'::text, 'c'::text) TO STDOUT WITH (FORMAT csv, HEADER true)")]),
    ("read only", [Q("BEGIN READ ONLY"), Q("SHOW transaction_read_only"), Q("COMMIT")]),
    ("sync alone", [S, S]),
]


class Client:
    def __init__(self, host, port, user, db):
        if host.startswith("/"):
            self.s = socket.socket(socket.AF_UNIX)
            self.s.connect(f"{host}/.s.PGSQL.{port}")
        else:
            self.s = socket.create_connection((host, int(port)))
        self.s.settimeout(20)
        body = struct.pack(">I", 196608) + b"".join(z(x) for x in ("user", user, "database", db)) + b"\0"
        self.s.sendall(struct.pack(">I", len(body) + 4) + body)
        self.f = self.s.makefile("rb")

    def answers(self):
        while True:
            head = self.f.read(5)
            if len(head) < 5:
                yield "EOF"
                return
            t = chr(head[0])
            body = self.f.read(struct.unpack(">I", head[1:])[0] - 4)
            yield show(t, body)
            if t == "Z":
                return


def show(t, b):
    if t in "EN":
        f = {x[:1].decode(): x[1:].decode() for x in b.split(b"\0") if x}
        return f"{t} {f['S']} {f['C']}"
    if t == "T":
        n, at, cols = struct.unpack(">H", b[:2])[0], 2, []
        for _ in range(n):
            end = b.index(0, at)
            _, _, oid, size, mod, fmt = struct.unpack(">IHIhih", b[end + 1:end + 19])
            cols.append(f"{b[at:end].decode()}:{oid}:{size}:{mod}:{fmt}")
            at = end + 19
        return "T " + " ".join(cols)
    if t == "t":
        return "t " + " ".join(str(x) for x in struct.unpack(f">{struct.unpack('>H', b[:2])[0]}I", b[2:]))
    return f"{t} {b!r}"


host, port, user, db = sys.argv[1:5]
for name, steps in TALKS:
    c = Client(host, port, user, db)
    for _ in c.answers():
        pass
    print("==", name)
    for step in steps:
        c.s.sendall(step)
        print("\n".join(c.answers()))
        print("--")
    c.s.close()
