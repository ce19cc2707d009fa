#!/usr/bin/env bash
# iperf3 with eight streams, both ways at once, over IPv6 and UDP; every stream must carry bytes.
. "$(dirname "$0")/../lib.sh"
need iperf3 python3
read -r po pi < <(free_ports 2)
# measure SIDE PORT ARG…
measure() {
    local side=$1 port=$2; shift 2
    $side iperf3 -J -p "$port" "$@" >"$T/json" || fail "iperf3 $*: $(grep '"error"' "$T/json")"
    python3 - "$T/json" "$*" <<'PY' || fail "iperf3 $*"
import json, sys
j = json.load(open(sys.argv[1]))
end, args = j["end"], sys.argv[2].split()
streams = int(args[args.index("-P") + 1]) if "-P" in args else 1
both = "--bidir" in args
assert len(end["streams"]) == streams * (2 if both else 1), len(end["streams"])
if "-u" in args:
    assert end["sum"]["packets"] > 0 and end["sum"]["lost_percent"] < 30, end["sum"]
else:
    for sent, received in (("sum_sent", "sum_received"),) + ((("sum_sent_bidir_reverse", "sum_received_bidir_reverse"),) if both else ()):
        s, r = end[sent]["bytes"], end[received]["bytes"]
        assert s > 0 and r > 0, (sent, s, r)   # what is in buffers when the sender ends is not counted
        if "-n" in args:
            assert s >= int(args[args.index("-n") + 1][:-1]) * 2**20 * 0.9, s   # iperf3 itself leaves off a little early
    assert all(x["receiver"]["bytes"] > 0 for x in end["streams"]), "a stream starved"
print("  " + sys.argv[2])
PY
}
all() {
    measure "$1" "$2" -c 127.0.0.1 -n 80M -P 8
    measure "$1" "$2" -c 127.0.0.1 -n 80M -P 8 -R
    measure "$1" "$2" -c 127.0.0.1 -t 1 -P 4 --bidir
    measure "$1" "$2" -c ::1 -n 40M -P 2
    measure "$1" "$2" -c 127.0.0.1 -u -b 20M -t 1 -l 1200 -P 8
    measure "$1" "$2" -c ::1 -u -b 40M -t 1 -l 1200 -R
}
step "the client inside"; outside_bg out iperf3 -s -p "$po"; wait_port tcp "$po" "$pid"; all inside "$po"
step "the server inside"; inside_bg in iperf3 -s -p "$pi"; wait_port tcp "$pi" "$pid"; all outside "$pi"
