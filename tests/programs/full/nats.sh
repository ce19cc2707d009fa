#!/usr/bin/env bash
# NATS, a Go server: two of them as a cluster, one inside and one outside; publish and subscribe in plain Python, and its monitoring.
. "$(dirname "$0")/../lib.sh"
need nats-server python3 curl
read -r a ac am b bc bm < <(free_ports 6)
outside_bg out nats-server -a 127.0.0.1 -p "$a" -m "$am" --cluster_name c --cluster "nats://127.0.0.1:$ac" --routes "nats://127.0.0.1:$bc"; wait_port tcp "$a" "$pid"
inside_bg in nats-server -a 127.0.0.1 -p "$b" -m "$bm" --cluster_name c --cluster "nats://127.0.0.1:$bc" --routes "nats://127.0.0.1:$ac"; wait_port tcp "$b" "$pid"; wait_port tcp "$bm" "$pid"; wait_port tcp "$am"
routes() { [[ $(outside curl -sS "http://127.0.0.1:$1/routez" | grep -c '"rid"') -ge 1 ]]; }
until_true 8 routes "$bm" || fail "no route: $(outside curl -sS "http://127.0.0.1:$bm/routez")"
until_true 8 routes "$am" || fail "no route outside"
cat >"$T/nats.py" <<'PY'
import hashlib, socket, sys, time
def connect(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=8); f = s.makefile("rb"); assert f.readline().startswith(b"INFO ")
    s.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n'); assert f.readline() == b"PONG\r\n"; return s, f
(ps, pf), (ss, sf) = connect(int(sys.argv[1])), connect(int(sys.argv[2]))
ss.sendall(b"SUB t.* 1\r\nPING\r\n"); assert sf.readline() == b"PONG\r\n"
for i in range(100):                     # until the interest has come to the other server
    ps.sendall(b"PUB t.ready 1\r\nx\r\n"); ss.settimeout(0.1)
    try: assert sf.readline().startswith(b"MSG t.ready 1 1"); sf.readline(); break
    except TimeoutError: sf = ss.makefile("rb")
ss.settimeout(8)
body = [hashlib.sha256(b"%d" % i).digest() * (1 + i % 40) for i in range(1000)]
import threading
threading.Thread(target=lambda: [ps.sendall(b"PUB t.x %d\r\n%s\r\n" % (len(b), b)) for b in body]).start()
got = []
while len(got) < 1000:
    head = sf.readline().split(); data = sf.read(int(head[-1])); sf.readline()
    if head[1] == b"t.x": got.append(data)
assert got == body; print("done")
PY
for side in outside inside; do
    eq "one to the other, $side" done "$($side python3 "$T/nats.py" "$a" "$b")"
    eq "and back, $side" done "$($side python3 "$T/nats.py" "$b" "$a")"
done
