"""Runs a program behind a pseudo-terminal: argv = rows, columns, program, arguments. What it draws goes to stdout; lines on
stdin say what happens to the terminal: `key TEXT` (escapes as in Python), `size ROWS COLUMNS`. Ends with its exit code."""

import codecs, fcntl, os, pty, select, signal, struct, sys, termios

rows, columns, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(program[0], program)


def resize(r, c):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", r, c, 0, 0))
    os.kill(pid, signal.SIGWINCH)


resize(rows, columns)
pending = b""
watched = [fd, 0]
while True:
    ready, _, _ = select.select(watched, [], [])
    if fd in ready:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            watched.remove(0)
        pending += data
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            word, _, rest = line.decode().partition(" ")
            if word == "key":
                os.write(fd, codecs.decode(rest, "unicode_escape").encode())
            elif word == "size":
                resize(*map(int, rest.split()))
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
