#!/usr/bin/python3
"""Writers for tests of a ring: each writes 1, 2, 3, ... to a key of its own, one after the other.

    ring_load.py FOLDER WRITERS ROAM PAUSE_MS CONNINFO...

FOLDER/wN.log, a line each: VALUE BEGUN_NS ENDED_NS WHAT MEMBER TRIES TEXT
    ack    acknowledged             lost   no answer, or an outcome that is not known
    no     certainly not done       stale  a read did not show what was acknowledged before it
With ROAM a writer whose member fails it goes to the next one and tries the same value again (it is idempotent): TRIES counts;
only after 20 s it gives up. Without, each failure is told, and a lost value is not written again. Ends when FOLDER/stop exists.
"""
import os
import sys
import threading
import time

import psycopg2

folder, writers, roam, pause = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1", int(sys.argv[4]) / 1000
members = sys.argv[5:]
number = folder.rstrip("/").rsplit("load", 1)[1]
UNKNOWN = ("08007", "40003")
GIVE_UP = 20


def stopping():
    return os.path.exists(folder + "/stop")


class Writer(threading.Thread):
    def __init__(self, i):
        super().__init__(daemon=True)
        self.i, self.at, self.conn, self.value = i, i % len(members), None, 0
        self.out = open("%s/w%d.log" % (folder, i), "w", buffering=1)

    def connect(self):
        while self.conn is None and not stopping():
            try:
                self.conn = psycopg2.connect(members[self.at], connect_timeout=3)
                self.conn.autocommit = True
            except psycopg2.Error:
                self.leave()
                time.sleep(0.02)
        return self.conn is not None

    def leave(self):
        if self.conn is not None:
            self.conn.close()
        self.conn = None
        if roam:
            self.at = (self.at + 1) % len(members)

    def execute(self, sql, args=()):
        with self.conn.cursor() as cur:
            cur.execute(sql, args)
            return cur.fetchall() if cur.description else None

    def told(self, begun, what, tries, text=""):
        self.out.write("%d %d %d %s %d %d %s\n" % (self.value, begun, time.monotonic_ns(), what, self.at, tries, text))

    def once(self):
        """What it came to, and a text."""
        try:
            self.execute("SET CONFIG 'load%s/%d' = '%d'" % (number, self.i, self.value))
            return "ack", ""
        except psycopg2.Error as e:
            code = e.pgcode
            unknown = code is None or code in UNKNOWN or code.startswith("57P") or self.conn.closed
            return ("lost" if unknown else "no"), "%s %s" % (code, str(e).split("\n")[0])

    def look(self):
        try:
            rows = self.execute("SELECT value FROM sys.config WHERE key = 'load%s/%d'" % (number, self.i))
        except psycopg2.Error:
            self.leave()
            return
        if len(rows) != 1 or int(rows[0][0]) < self.value:
            self.told(time.monotonic_ns(), "stale", 1, repr(rows))

    def write(self):
        begun, tries = time.monotonic_ns(), 0
        while self.connect():
            tries += 1
            what, text = self.once()
            if what == "ack" or not roam or time.monotonic_ns() - begun > GIVE_UP * 1e9:
                break
            self.leave()
            time.sleep(0.02)
        else:
            return
        self.told(begun, what, tries, text)
        if what != "ack":
            if what == "lost":
                self.leave()
            time.sleep(0.02)
        elif self.value % 7 == 0:
            self.look()

    def run(self):
        while not stopping():
            self.value += 1
            self.write()
            if pause:
                time.sleep(pause)


crowd = [Writer(i) for i in range(writers)]
for w in crowd:
    w.start()
for w in crowd:
    w.join()
