"""net.py server|client KIND HOST PORT: echo servers in the styles that Python programs are written in, and clients
that check every byte. A server runs until it is killed."""
import asyncio
import hashlib
import multiprocessing
import os
import select
import selectors
import signal
import socket
import socketserver
import sys
import threading
import time
import urllib.error
import urllib.request

side, kind, host, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
family = socket.AF_INET6 if ":" in host else socket.AF_INET


def message(n, size):
    return (b"%d-" % n + hashlib.sha256(b"%d" % n).digest() * (size // 32 + 1))[:size]


# --- servers ------------------------------------------------------------------------------------------------------

def serve_http():
    sys.argv[1:] = [host, str(port), "."]
    exec(open(os.path.join(os.path.dirname(__file__), "httpd.py")).read(), {"__name__": "httpd"})


async def asyncio_main():
    async def echo(reader, writer):
        try:
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        finally:
            writer.close()
    server = await asyncio.start_server(echo, host, port, backlog=256)
    async with server:
        await server.serve_forever()


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while piece := self.request.recv(65536):
            self.request.sendall(piece)


def serve_threads():
    class Server(socketserver.ThreadingTCPServer):
        address_family, allow_reuse_address, daemon_threads, request_queue_size = family, True, True, 128
    Server((host, port), Echo).serve_forever()


def serve_forking():
    class Server(socketserver.ForkingTCPServer):
        address_family, allow_reuse_address, request_queue_size = family, True, 128
    Server((host, port), Echo).serve_forever()


def serve_prefork():
    listener = socket.create_server((host, port), family=family, backlog=128)

    def child():
        while True:
            s, _ = listener.accept()
            with s:
                s.sendall(b"%d\n" % os.getpid())
    children = [multiprocessing.Process(target=child, daemon=True) for _ in range(4)]
    for c in children:
        c.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for c in children:
        c.join()


def serve_udp():
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind((host, port))
    while True:
        piece, peer = s.recvfrom(65535)
        s.sendto(piece, peer)


def serve_selectors():
    """Non-blocking, edge-free, one loop, with a listener and its connections in the same epoll."""
    chooser = selectors.DefaultSelector()
    listener = socket.create_server((host, port), family=family, backlog=128)
    listener.setblocking(False)
    chooser.register(listener, selectors.EVENT_READ)
    waiting = {}
    while True:
        for key, events in chooser.select():
            s = key.fileobj
            if s is listener:
                try:
                    c, _ = listener.accept()
                except BlockingIOError:
                    continue
                c.setblocking(False)
                waiting[c] = b""
                chooser.register(c, selectors.EVENT_READ)
                continue
            if events & selectors.EVENT_READ:
                try:
                    piece = s.recv(65536)
                except BlockingIOError:
                    piece = None
                if piece == b"":
                    chooser.unregister(s)
                    del waiting[s]
                    s.close()
                    continue
                waiting[s] += piece or b""
            try:
                waiting[s] = waiting[s][s.send(waiting[s]):] if waiting[s] else b""
            except BlockingIOError:
                pass
            chooser.modify(s, selectors.EVENT_READ if len(waiting[s]) < 1 << 20 and not waiting[s]
                           else selectors.EVENT_WRITE)


# --- clients ------------------------------------------------------------------------------------------------------

def fetch_http():
    where = "[%s]" % host if family == socket.AF_INET6 else host
    url = "http://%s:%d" % (where, port)
    body = message(1, 500000)
    for method in ("PUT", "POST"):
        with urllib.request.urlopen(urllib.request.Request(url + "/x", data=body, method=method), timeout=10) as r:
            assert r.status == 200 and r.read().decode() == hashlib.sha256(body).hexdigest()
    with urllib.request.urlopen(url + "/peer", timeout=10) as r:
        assert r.read().split()[0].decode() == host
    try:
        urllib.request.urlopen(url + "/absent", timeout=10)
        raise AssertionError("no 404")
    except urllib.error.HTTPError as e:
        assert e.code == 404


async def asyncio_clients(count=100):
    async def one(n):
        reader, writer = await asyncio.open_connection(host, port)
        data = message(n, 20000)
        for _ in range(3):
            writer.write(data)
            await writer.drain()
            assert await reader.readexactly(len(data)) == data
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    await asyncio.wait_for(asyncio.gather(*(one(n) for n in range(count))), 12)


def thread_clients(count=20):
    failed = []

    def one(n):
        try:
            with socket.create_connection((host, port), timeout=10) as s:
                assert s.getpeername()[:2] == (host, port)
                data = message(n, 200000)
                sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
                sender.start()
                got = b"".join(iter(lambda: s.recv(65536), b""))
                sender.join()
                assert got == data, (len(got), len(data))
        except Exception as e:
            failed.append("%d: %r" % (n, e))
    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed


def prefork_clients():
    pids = set()
    for _ in range(60):
        with socket.create_connection((host, port), timeout=10) as s:
            text = s.makefile().read()
            assert text.endswith("\n"), text
            pids.add(int(text))
    print("  60 connections served by %d processes" % len(pids))


def udp_clients():
    # unconnected: the answer's address is the server's
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    for size in (0, 1, 512, 1472, 9000, 65507 if family == socket.AF_INET else 65487):
        data = message(size, size)
        assert s.sendto(data, (host, port)) == size
        got, peer = s.recvfrom(65535)
        assert got == data and peer[:2] == (host, port), (size, len(got), peer)
    try:
        s.sendto(b"x" * 65508, (host, port))
        raise AssertionError("65508 bytes were not refused")
    except OSError as e:
        assert e.errno == 90, e  # EMSGSIZE
    # connected: send() and recv(), several in flight, MSG_PEEK, MSG_TRUNC
    c = socket.socket(family, socket.SOCK_DGRAM)
    c.settimeout(5)
    c.connect((host, port))
    for n in range(50):
        c.send(message(n, 300))
    for n in range(50):
        assert c.recv(1000) == message(n, 300), n
    c.send(b"0123456789")
    assert c.recv(4, socket.MSG_PEEK) == b"0123"
    assert c.recv_into(bytearray(4), 4, socket.MSG_TRUNC) == 10
    c.setblocking(False)
    try:
        c.recv(10)
        raise AssertionError("a datagram too many")
    except BlockingIOError:
        pass
    # nobody there: the error comes back
    r = socket.socket(family, socket.SOCK_DGRAM)
    r.bind((host, 0))
    gone = r.getsockname()[1]
    r.close()
    c = socket.socket(family, socket.SOCK_DGRAM)
    c.connect((host, gone))
    c.send(b"x")
    assert select.select([c], [], [], 3)[0] == [c], "poll was not woken by the refusal"
    assert c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 111


def selector_clients():
    thread_clients(10)
    # a non-blocking connect, watched by epoll registered before it
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setblocking(False)
    e = select.epoll()
    e.register(s, select.EPOLLOUT | select.EPOLLET)
    assert s.connect_ex((host, port)) in (0, 115)
    deadline = time.time() + 5
    while time.time() < deadline:
        if any(ev & select.EPOLLOUT and not ev & (select.EPOLLHUP | select.EPOLLERR) for _, ev in e.poll(1)):
            break
    else:
        raise AssertionError("connect never finished")
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    s.send(b"ping")
    assert select.select([s], [], [], 5)[0]
    assert s.recv(10) == b"ping"


servers = {"http": serve_http, "asyncio": lambda: asyncio.run(asyncio_main()), "threads": serve_threads,
           "forking": serve_forking, "prefork": serve_prefork, "udp": serve_udp, "selectors": serve_selectors}
clients = {"http": fetch_http, "asyncio": lambda: asyncio.run(asyncio_clients()), "threads": thread_clients,
           "forking": thread_clients, "prefork": prefork_clients, "udp": udp_clients, "selectors": selector_clients}
(servers if side == "server" else clients)[kind]()
