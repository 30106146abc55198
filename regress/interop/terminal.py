#!/usr/bin/python3
"""A program at a terminal: terminal.py COLUMNS COMMAND... < steps

Steps are lines of JSON: ["send", "text"], ["expect", "regular expression"],
["gone"] (the program ends by itself). What the program wrote goes to standard
output, byte for byte. Exit 0: every expectation was met, each within 20 s.
What was matched is not matched again.
"""
import fcntl, json, os, pty, re, select, struct, sys, termios, time

LIMIT_S = 20


def main():
    columns, command = int(sys.argv[1]), sys.argv[2:]
    steps = [json.loads(line) for line in sys.stdin if line.strip()]
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    unseen = b""

    def read(end):
        nonlocal unseen
        wait = end - time.monotonic()
        if wait <= 0 or not select.select([fd], [], [], wait)[0]:
            return False
        try:
            data = os.read(fd, 65536)
        except OSError:
            return False
        sys.stdout.buffer.write(data)
        unseen += data
        return bool(data)

    for step in steps:
        end = time.monotonic() + LIMIT_S
        if step[0] == "send":
            os.write(fd, step[1].encode())
        elif step[0] == "gone":
            while read(end):
                pass
            sys.stdout.flush()
            _, status = os.waitpid(pid, 0)
            return os.waitstatus_to_exitcode(status)
        else:
            pattern = re.compile(step[1].encode())
            while not (found := pattern.search(unseen)):
                if not read(end):
                    sys.stderr.write("in vain: %s\n" % step[1])
                    os.close(fd)
                    return 99
            unseen = unseen[found.end():]
    sys.stdout.flush()
    os.close(fd)
    return 0


sys.exit(main())
