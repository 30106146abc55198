#!/usr/bin/python3
"""Writers for 030_kill_everything.t: every value is written once, in order, and told apart.

    kill_load.py CONNINFO FOLDER STOPFILE

Each writer appends to FOLDER/NAME.log, unbuffered:
    try V    before the statement      ack V    after the server said so
    lost V   no answer, or one that says the outcome is unknown: it may stand, once
    no V     refused: it must not stand
A value that is lost is never sent again, so twice in the history is the server's doing.
"""
import os
import sys
import threading
import time

import psycopg2

conninfo, folder, stop_file = sys.argv[1:4]
UNKNOWN = ("08007", "40003")


class Writer(threading.Thread):
    def __init__(self, name):
        super().__init__(daemon=True)
        self.name, self.conn, self.value = name, None, 0
        self.out = open(os.path.join(folder, name + ".log"), "w", buffering=1)
        self.trouble = None

    def connect(self):
        while not os.path.exists(stop_file):
            try:
                self.conn = psycopg2.connect(conninfo, connect_timeout=5)
                self.conn.autocommit = True
                return True
            except psycopg2.Error:
                time.sleep(0.05)
        return False

    def run(self):
        while not os.path.exists(stop_file):
            if (self.conn is None or self.conn.closed) and not self.connect():
                return
            self.value += 1
            self.once(self.value)

    def once(self, value):
        self.out.write("try %d\n" % value)
        try:
            with self.conn.cursor() as cur:
                self.write(cur, value)
        except psycopg2.Error as e:
            code = e.pgcode
            unknown = code is None or code in UNKNOWN or code.startswith("57P") or self.conn.closed
            self.out.write("%s %d %s %s\n" % ("lost" if unknown else "no", value, code, str(e).split("\n")[0]))
            if unknown:
                self.conn.close()
            else:
                time.sleep(0.02)
            return
        self.out.write("ack %d\n" % value)
        try:
            with self.conn.cursor() as cur:
                self.look(cur, value)
        except psycopg2.Error:
            self.conn.close()

    def saw(self, value, rows):
        if len(rows) != 1 or int(rows[0][0]) < value:
            self.out.write("stale %d %r\n" % (value, rows))

    def look(self, cur, value):
        pass


class Counter(Writer):
    """One key, one statement."""

    def write(self, cur, value):
        cur.execute("SET CONFIG 'load/%s' = %%s" % self.name, (str(value),))

    def look(self, cur, value):
        if value % 7 == 0:
            cur.execute("SELECT value FROM sys.config WHERE key = 'load/%s'" % self.name)
            self.saw(value, cur.fetchall())


class Pair(Writer):
    """Two keys in one transaction: both or neither."""

    def write(self, cur, value):
        cur.execute("BEGIN")
        cur.execute("SET CONFIG 'pair/a' = %s", (str(value),))
        cur.execute("SET CONFIG 'pair/b' = %s", (str(value),))
        cur.execute("COMMIT")


class Attested(Writer):
    """A certificate's setting, decided by the validators."""

    def write(self, cur, value):
        cur.execute("ALTER CERT 'counted' SET (renew_before = '%d s')" % (100000 + value))
        time.sleep(0.1)


writers = [Counter("c%d" % i) for i in range(4)] + [Pair("pair"), Attested("attested")]
for w in writers:
    w.start()
for w in writers:
    w.join()
