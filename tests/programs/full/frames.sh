#!/usr/bin/env bash
# arp-scan and tcpreplay: what they send and whom they find.
. "$(dirname "$0")/../raw.sh"
need arp-scan tcpreplay tcpdump
step "arp-scan"
for i in 5 17 29; do ip -n "$PEER" addr add 10.77.0.$i/24 dev p0; done
eq "who is there" "10.77.0.2 10.77.0.5 10.77.0.17 10.77.0.29" "$(inside arp-scan -q -x -I h0 -t 300 10.77.0.0/27 | awk -v m=$P_MAC '$2 == m { print $1 }' | sort -t. -k4n -u | xargs)"
step "tcpreplay"
cat >"$T/make.py" <<'PY'
import struct, sys
sys.path.insert(0, sys.argv[1])
from frames import frame
with open(sys.argv[2], "wb") as f:
    f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    for i in range(1, 501):
        data = frame(i, b"\2\x77\0\0\0\1", to="02:77:00:00:00:02", src="10.77.0.1", dst="10.77.0.2", size=i, vlan="7" if i % 5 == 0 else "")
        f.write(struct.pack("<IIII", i // 1000, i * 1000, len(data), len(data)) + data)
PY
outside $python -B "$T/make.py" "$src" "$T/in/replay.pcap"
peer_bg seen tcpdump -Z root -i p0 -Q in -s 2000 --immediate-mode -w "$T/in/seen" --print -l -nn -t -v "udp dst port 4000 or vlan"
wait_line "$T/seen.log" 'listening on'; seen=$pid
inside tcpreplay -q -i h0 --mbps=20 "$T/in/replay.pcap" >"$T/replay.log" 2>&1 || fail "$(cat "$T/replay.log")"
eq "sent" 500 "$(sed -n 's/.*Successful packets: *\([0-9]*\).*/\1/p' "$T/replay.log")"
wait_line "$T/seen.log" ' id 500,'
stop "$seen"
text() { outside tcpdump -nn -t -e -vv -X -r "$1" 2>/dev/null; }
cmp <(text "$T/in/replay.pcap") <(text "$T/in/seen") || fail "what came is not what was in the file"
