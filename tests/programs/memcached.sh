#!/usr/bin/env bash
# memcached with four threads, TCP and UDP: storing, many keys at once, CAS, counters, fifty connections; its statistics.
. "$(dirname "$0")/lib.sh"
need memcached python3
read -r po pi < <(free_ports 2)
cat >"$T/client.py" <<'PY'
import hashlib, socket, struct, sys, threading
port = int(sys.argv[1])
def connect():
    s = socket.create_connection(("127.0.0.1", port), timeout=10)
    return s, s.makefile("rb")
def talk(c, text, data=None):
    c[0].sendall(text.encode() + b"\r\n" + (data + b"\r\n" if data is not None else b""))
    return c[1].readline().decode().strip()
def get(c, *keys, verb="get"):
    found, line = {}, talk(c, verb + " " + " ".join(keys))
    while line != "END":
        word = line.split()
        found[word[1]] = (c[1].read(int(word[3])), *word[4:])
        c[1].readline()
        line = c[1].readline().decode().strip()
    return found
c = connect()
assert talk(c, "flush_all") == "OK"
big = hashlib.sha512(b"x").digest() * 15000                      # 960,000 bytes
assert talk(c, "set big 0 0 %d" % len(big), big) == "STORED"
assert get(c, "big")["big"][0] == big
batch = b"".join(b"set k%d 0 0 10 noreply\r\n%010d\r\n" % (i, i) for i in range(2000))
c[0].sendall(batch)                                               # a pipeline without answers
assert talk(c, "version").startswith("VERSION 1.")
found = get(c, *("k%d" % i for i in range(2000)))
assert len(found) == 2000 and all(found["k%d" % i][0] == b"%010d" % i for i in range(2000))
unique = get(c, "k1", verb="gets")["k1"][1]
assert talk(c, "cas k1 0 0 3 %s" % unique, b"new") == "STORED"
assert talk(c, "cas k1 0 0 3 %s" % unique, b"old") == "EXISTS"
assert get(c, "k1")["k1"][0] == b"new"
assert talk(c, "set n 0 0 1", b"0") == "STORED"
wrong = []
def work():
    try:
        mine = connect()
        for _ in range(100):
            talk(mine, "incr n 1")
    except Exception as e:
        wrong.append(repr(e))
threads = [threading.Thread(target=work) for _ in range(50)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not wrong, wrong
assert get(c, "n")["n"][0] == b"5000", get(c, "n")
# UDP: an 8-byte header, and big answers in several datagrams
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(5)
u.connect(("127.0.0.1", port))
for request, key in ((1, "k7"), (2, "k8"), (3, "medium")):
    if key == "medium":
        assert talk(c, "set medium 0 0 6000", big[:6000]) == "STORED"
    u.send(struct.pack(">HHHH", request, 0, 1, 0) + b"get %s\r\n" % key.encode())
    parts, total = {}, 1
    while len(parts) < total:
        piece = u.recv(65536)
        ident, number, total, _ = struct.unpack(">HHHH", piece[:8])
        assert ident == request
        parts[number] = piece[8:]
    answer = b"".join(parts[i] for i in range(total))
    assert answer.endswith(b"\r\nEND\r\n") and answer.split(b"\r\n", 1)[1][:-7] == get(c, key)[key][0], answer[:100]
assert total > 1
c[0].sendall(b"stats\r\n")
stats = dict(line.decode().split()[1:3] for line in iter(c[1].readline, b"END\r\n") if line)
assert int(stats["total_connections"]) > 50 and int(stats["cas_badval"]) >= 1 and stats["threads"] == "4", stats
print("done")
PY
server() { echo memcached $([[ $(id -u) != 0 ]] || echo -u root) -l 127.0.0.1 -p "$1" -U "$1" -t 4 -m 64; }
step "the server outside, the client inside"
outside_bg out $(server "$po"); wait_port tcp "$po" "$pid"
eq "client" done "$(inside python3 "$T/client.py" "$po")"
step "the server inside, the client outside"
inside_bg in $(server "$pi"); wait_port tcp "$pi" "$pid"; server=$pid
eq "client" done "$(outside python3 "$T/client.py" "$pi")"
step "both inside"
eq "client" done "$(inside python3 "$T/client.py" "$pi")"
stop "$server"
[[ -z $(ss -Hltn "sport = :$pi") ]] || fail "port $pi is still held"
