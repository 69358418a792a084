"""A stand-in for systemd: starts a program as a unit would, hears what it says (NOTIFY_SOCKET), keeps the
sockets that it hands over (FDSTORE) and passes sockets on (LISTEN_FDS). Orders come as lines of JSON on
stdin, what happens goes out as lines of JSON. It ends with its stdin, and the program with it."""

import array
import fcntl
import json
import os
import selectors
import signal
import socket
import sys

# A restart on a busy machine takes its time, and queries wait through it.
BUFFER_BYTES = 64 << 20
SO_RCVBUFFORCE = 33


def tell(**what):
    print(json.dumps(what), flush=True)


def enlarge(sock):
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except PermissionError:
        pass


class Manager:
    def __init__(self, path):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        self.path = path
        self.unit = []  # (name, socket)
        self.store = []  # (name, descriptor)
        self.child = None
        # Unbuffered: a line that waits in a buffer wakes nobody.
        self.orders = open(0, "rb", buffering=0)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.notify, selectors.EVENT_READ, self.hear)
        self.selector.register(self.orders, selectors.EVENT_READ, self.obey)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                key.data()

    def obey(self):
        line = self.orders.readline()
        if not line:
            if self.child:
                os.kill(self.child, signal.SIGKILL)
            os.unlink(self.path)
            sys.exit(0)
        order = json.loads(line)
        getattr(self, "do_" + order.pop("do"))(**order)

    def do_listen(self, kind, address, port):
        """A socket as a socket unit opens it."""
        kinds = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
        sock = socket.socket(socket.AF_INET, kinds[kind])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind == "tcp":
            sock.listen(4096)
        else:
            enlarge(sock)
        self.unit.append(("rollcall.socket", sock))
        tell(listens=sock.getsockname()[1])

    def do_start(self, arguments, variables, directory, log, listen_pid=None):
        passed = [(name, sock.fileno()) for name, sock in self.unit] + self.store
        child = os.fork()
        if child == 0:
            # Out of the way of those that they are to become.
            copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 300) for _, fd in passed]
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(out, 1)
            os.dup2(out, 2)
            for place, copy in enumerate(copies):
                os.set_blocking(copy, True)
                os.dup2(copy, 3 + place)
            variables["NOTIFY_SOCKET"] = self.path
            if passed:
                variables["LISTEN_PID"] = listen_pid or str(os.getpid())
                variables["LISTEN_FDS"] = str(len(passed))
                variables["LISTEN_FDNAMES"] = ":".join(name for name, _ in passed)
            os.chdir(directory)
            os.execve(arguments[0], arguments, variables)
        self.child = child
        pidfd = os.pidfd_open(child)
        self.selector.register(pidfd, selectors.EVENT_READ, lambda: self.bury(pidfd))
        tell(started=child)

    def do_forget(self):
        for _, descriptor in self.store:
            os.close(descriptor)
        self.store = []
        tell(said=[], kept=[])

    def do_signal(self, name):
        if self.child:
            os.kill(self.child, getattr(signal, "SIG" + name))

    def bury(self, pidfd):
        self.selector.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(self.child, 0)
        self.child = None
        # What it said last comes first.
        self.notify.setblocking(False)
        try:
            while True:
                self.hear()
        except BlockingIOError:
            self.notify.setblocking(True)
        tell(ended=os.waitstatus_to_exitcode(status))

    def hear(self):
        text, rights, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(256 * 4))
        received = array.array("i")
        for _, _, octets in rights:
            received.frombytes(octets)
        words = text.decode().splitlines()
        said = dict(word.split("=", 1) for word in words)
        name = said.get("FDNAME")
        if "FDSTOREREMOVE" in said:
            for kept, descriptor in self.store:
                if kept == name:
                    os.close(descriptor)
            self.store = [(kept, it) for kept, it in self.store if kept != name]
        if "FDSTORE" in said:
            assert said.get("FDPOLL") == "0", words
            for descriptor in received:
                with socket.socket(fileno=os.dup(descriptor)) as sock:
                    if sock.type == socket.SOCK_DGRAM:
                        enlarge(sock)
                self.store.append((name, descriptor))
        tell(said=words, kept=[name for name, _ in self.store])


Manager(sys.argv[1]).run()
