#!/usr/bin/env bash
# Time: chronyd as a server, asked by chronyd -Q and by a packet of our own; the server outside, then inside. No clock is touched.
. "$(dirname "$0")/../lib.sh"
need chronyd chronyc python3
read -r po pi co ci < <(free_ports 4)
user=$(id -un)
conf() { printf '%s\n' "port $2" "cmdport $3" "bindaddress 127.0.0.1" "bindcmdaddress 127.0.0.1" "bindcmdaddress $T/$1.sock" "allow 127.0.0.0/8" "local stratum 5" "pidfile $T/$1.pid" >"$T/$1.conf"; }
cat >"$T/ask.py" <<'PY'
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3)
for _ in range(50):
    mark = struct.pack(">d", time.time())
    s.sendto(b"\x23" + bytes(39) + mark, ("127.0.0.1", int(sys.argv[1])))
    got, peer = s.recvfrom(1000)
    assert len(got) == 48 and got[0] & 7 == 4 and got[1] == 5 and got[24:32] == mark and peer == ("127.0.0.1", int(sys.argv[1])), got
    assert abs(struct.unpack(">I", got[40:44])[0] - 2208988800 - time.time()) < 5
print("done")
PY
server() { echo chronyd -d -x -u "$user" -f "$T/$1.conf"; }
# exercise SIDE PORT COMMAND-PORT
exercise() {
    eq "fifty packets" done "$($1 python3 "$T/ask.py" "$2")"
    $1 chronyd -Q -t 8 -u "$user" -f /dev/null "server 127.0.0.1 port $2 iburst maxsamples 1" "pidfile $T/q.pid" "cmdport 0" "bindcmdaddress /" >"$T/q.log" 2>&1 || fail "chronyd -Q: $(cat "$T/q.log")"
    grep -q 'System clock wrong by -\?0\.0' "$T/q.log" || fail "chronyd -Q: $(cat "$T/q.log")"
    eq "chronyc" yes "$($1 chronyc -h 127.0.0.1 -p "$3" -c tracking | awk -F, '{ print ($3 == 5) ? "yes" : $0 }')"
}
conf out "$po" "$co"; conf in "$pi" "$ci"
step "the server outside, clients inside"
outside_bg out $(server out); wait_port udp "$po" "$pid"
exercise inside "$po" "$co"
step "the server inside, clients outside; both inside"
inside_bg in $(server in); wait_port udp "$pi" "$pid"
exercise outside "$pi" "$ci"
exercise inside "$pi" "$ci"
