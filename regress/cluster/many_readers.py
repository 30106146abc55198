#!/usr/bin/python3
"""Sessions for 059_old_snapshots.t, which read one server's state while it is replaced.

    many_readers.py CONNINFO SESSIONS STOPFILE

Four at a time read what one transaction always writes together; every tenth is closed and opened again. Prints "ready" when all
have read once, and at the end (the file is there, its text is the last number written, and all have read that) "reads N failed N
mixed N older N reopened N".
"""
import os
import sys
import threading
import time

import psycopg2

conninfo, sessions, stop_file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
READERS = 4


class Session:
    def __init__(self):
        self.seen = 0
        self.count = {"reads": 0, "failed": 0, "mixed": 0, "older": 0, "reopened": 0}
        self.open()

    def open(self):
        self.conn = psycopg2.connect(conninfo)
        self.conn.autocommit = True
        self.cursor = self.conn.cursor()
        self.cursor.execute("SET read_consistency = local")

    def read(self):
        try:
            self.cursor.execute("SELECT count(*), min(value), max(value) FROM sys.config WHERE key LIKE 'n%'")
            n, low, high = self.cursor.fetchone()
            self.count["reads"] += 1
            self.count["mixed"] += n != 10 or low != high
            self.count["older"] += int(low) < self.seen
            self.seen = int(low)
        except psycopg2.Error as e:
            self.count["failed"] += 1
            print("failed:", e, flush=True)

    def again(self):
        self.conn.close()
        self.open()
        self.count["reopened"] += 1


def reader(mine, ready, goal):
    """Until all of them have read the goal, once there is one."""
    for s in mine:
        s.read()
    ready.release()
    turn = 0
    while not goal or any(s.seen != goal[0] for s in mine):
        for i, s in enumerate(mine):
            if i % 10 == turn % 10:
                s.again()
            s.read()
        turn += 1


everybody = [Session() for _ in range(sessions)]
goal, ready = [], threading.Semaphore(0)
threads = [threading.Thread(target=reader, args=(everybody[i::READERS], ready, goal), daemon=True) for i in range(READERS)]
for t in threads:
    t.start()
for t in threads:
    ready.acquire()
print("ready", flush=True)
while not os.path.exists(stop_file):
    time.sleep(0.05)
goal.append(int(open(stop_file).read()))
for t in threads:
    t.join()
print(" ".join(f"{k} {sum(s.count[k] for s in everybody)}" for k in everybody[0].count), flush=True)
