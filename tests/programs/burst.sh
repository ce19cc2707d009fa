#!/usr/bin/env bash
# Bursts of connections to a listener inside with a backlog of 5: none is dropped, reset or late.
. "$(dirname "$0")/lib.sh"
need python3
cat >"$T/burst.py" <<'PY'
import socket, sys, threading, time
side, port = sys.argv[1], int(sys.argv[2])
def serve(c):
    n = 0
    while piece := c.recv(65536):
        n += len(piece)
    c.sendall(b"%d" % n)
    c.close()
def server():
    listener = socket.create_server(("127.0.0.1", port), backlog=5)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
wrong = []
def client():
    try:
        s = socket.create_connection(("127.0.0.1", port), 8)
        s.sendall(bytes(300000))
        s.shutdown(socket.SHUT_WR)
        assert s.recv(100) == b"300000"
    except Exception as e:
        wrong.append(repr(e))
if side == "server":
    server()
for _ in range(30):                      # six fit into a backlog of 5
    burst = [threading.Thread(target=client) for _ in range(6)]
    [t.start() for t in burst]
    [t.join() for t in burst]
print("%d of 180 failed" % len(wrong), *wrong[:2])
PY
# For the log: others on this host count, too.
dropped() { awk '$1 == "TcpExt:" { if (!n) n = split($0, name); else for (i = 2; i <= n; i++) if (name[i] ~ /^(ListenOverflows|SyncookiesSent)$/) s += $i } END { print s + 0 }' /proc/net/netstat; }
read -r p < <(free_ports 1)
inside_bg server python3 "$T/burst.py" server "$p"; wait_port tcp "$p" "$pid"
before=$(dropped)
eq "from outside" "0 of 180 failed" "$(outside python3 "$T/burst.py" client "$p")"
eq "from inside" "0 of 180 failed" "$(inside python3 "$T/burst.py" client "$p")"
echo "listeners of this host dropped $(($(dropped) - before)) connections meanwhile"
