"""terminal.py CMD-PREFIX…: runs small programs behind the prefix on a pseudo-terminal, as a shell would run a foreground
job, and checks that ^C, ^Z, SIGCONT, window size changes and terminal input reach them and no process is left over."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

PREFIX = sys.argv[1:]
CHILD = r'''
import os, select, signal, socket, sys, time
# A signal that comes between Python's last look and its read() would wait for the next one.
woken, wake = os.pipe()
os.set_blocking(wake, False)
signal.set_wakeup_fd(wake)
def size(*_):
    print("size %d %d" % os.get_terminal_size()[::-1], flush=True)
signal.signal(signal.SIGWINCH, size)
signal.signal(signal.SIGCONT, lambda *_: print("continued", flush=True))
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print("ready", os.isatty(0), flush=True)
while 0 not in select.select([0, woken], [], [])[0]:
    os.read(woken, 100)
line = sys.stdin.readline()
c = socket.create_connection(s.getsockname()); c.close()
print("line", line.strip(), flush=True)
sys.exit(7)
'''


class Job:
    """A session leader on the terminal, with the program as its foreground job. The leader reports each change of
    the job's state on a pipe."""

    def __init__(self, command):
        status_r, status_w = os.pipe()
        self.control_r, self.control_w = os.pipe()
        self.leader, self.master = pty.fork()
        if self.leader == 0:
            try:
                self.lead(command, status_w)
            finally:
                os._exit(99)
        os.close(status_w)
        self.status, self.seen = status_r, b""

    def lead(self, command, out):
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            for fd in (out, self.control_r, self.control_w):
                os.close(fd)
            os.execvp(command[0], command)
        while True:
            _, status = os.waitpid(job, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                os.write(out, b"stopped %d\n" % os.WSTOPSIG(status))
                os.read(self.control_r, 1)
                os.tcsetpgrp(0, job)
                os.killpg(job, signal.SIGCONT)
                continue
            os.write(out, b"ended %d\n" % (os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)))
            time.sleep(0.1)
            os._exit(0)

    def expect(self, text, fd=None):
        fd, got, end = self.master if fd is None else fd, b"", time.time() + 10
        while text.encode() not in got:
            left = end - time.time()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise SystemExit("FAIL: waited for %r, got %r" % (text, got))
            try:
                piece = os.read(fd, 4096)
            except OSError:
                piece = b""
            if not piece:
                raise SystemExit("FAIL: ended while waiting for %r, got %r" % (text, got))
            got += piece

    def type(self, data):
        os.write(self.master, data)

    def close(self):
        os.waitpid(self.leader, 0)
        os.close(self.master)


def program():
    return PREFIX + ["python3", "-c", CHILD]


print("- input, window size, ^Z and continuing")
j = Job(program())
j.expect("ready True")
fcntl.ioctl(j.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
j.expect("size 33 101")
j.type(b"\x1a")
j.expect("stopped %d" % signal.SIGTSTP, j.status)
os.write(j.control_w, b"x")
j.expect("continued")
j.type(b"hello\n")
j.expect("line hello")
j.expect("ended 7", j.status)
j.close()

print("- ^C")
j = Job(PREFIX + ["sleep", "20"])
time.sleep(0.5)
j.type(b"\x03")
j.expect("ended 130", j.status)
j.close()

print("- ^C that the program handles")
j = Job(PREFIX + ["python3", "-c", "import time\ntry: print('ready', flush=True); time.sleep(20)\nexcept KeyboardInterrupt: print('caught', flush=True); raise SystemExit(5)"])
j.expect("ready")
j.type(b"\x03")
j.expect("caught")
j.expect("ended 5", j.status)
j.close()

print("- ^C in a blocking accept")
j = Job(PREFIX + ["python3", "-c", "import socket\ns = socket.create_server(('127.0.0.1', 0))\ntry: print('ready', flush=True); s.accept()\nexcept KeyboardInterrupt: raise SystemExit(6)"])
j.expect("ready")
time.sleep(0.2)
j.type(b"\x03")
j.expect("ended 6", j.status)
j.close()

print("- ^\\")
j = Job(PREFIX + ["sleep", "20"])
time.sleep(0.5)
j.type(b"\x1c")
j.expect("ended 131", j.status)
j.close()

print("- hang-up")
j = Job(PREFIX + ["python3", "-c", "import os, time; print('pid', os.getpid(), flush=True); time.sleep(20)"])
got = b""
while not got.endswith(b"\n"):
    got += os.read(j.master, 100)
pid = int(got.split()[1])
os.close(j.master)
for _ in range(100):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        break
    try:
        os.waitpid(j.leader, os.WNOHANG)
    except ChildProcessError:
        pass
    time.sleep(0.05)
else:
    raise SystemExit("FAIL: the program outlived its terminal")
