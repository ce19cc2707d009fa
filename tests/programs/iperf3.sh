#!/usr/bin/env bash
# iperf3: TCP both ways, parallel, bidirectional, UDP; the client inside, then the server inside.
. "$(dirname "$0")/lib.sh"
need iperf3 python3
read -r po pi < <(free_ports 2)
# measure SIDE PORT LABEL ARG…: prints the rate; fails unless iperf3 says that data arrived.
measure() {
    local side=$1 port=$2 label=$3; shift 3
    $side iperf3 -J -c 127.0.0.1 -p "$port" "$@" >"$T/json" || fail "iperf3 $*: $(grep '"error"' "$T/json")"
    python3 - "$T/json" "$label" <<'PY' || fail "iperf3 $*"
import json, sys
end = json.load(open(sys.argv[1]))["end"]
sums = [end[k] for k in ("sum_received", "sum_received_bidir_reverse", "sum") if k in end]
assert sums and all(s["bytes"] > 0 for s in sums), sums
lost = max(s.get("lost_percent", 0) for s in sums)
print("  %-14s %s Mbit/s%s" % (sys.argv[2], "/".join("%.0f" % (s["bits_per_second"] / 1e6) for s in sums),
                               " %.1f %% lost" % lost if "UDP" in sys.argv[2] else ""))
assert lost < 30, lost
PY
}
both_ways() {
    measure "$1" "$2" "TCP" -n 40M
    measure "$1" "$2" "TCP -R" -n 40M -R
    measure "$1" "$2" "TCP -P 4" -n 40M -P 4
    measure "$1" "$2" "TCP --bidir" -t 1 --bidir
    measure "$1" "$2" "UDP" -u -b 10M -n 1M -l 1400
    measure "$1" "$2" "UDP -R" -u -b 10M -n 1M -l 1400 -R
}
step "the client inside"
outside_bg out iperf3 -s -B 127.0.0.1 -p "$po"; wait_port tcp "$po" "$pid"
both_ways inside "$po"
step "the server inside"
inside_bg in iperf3 -s -B 127.0.0.1 -p "$pi"; wait_port tcp "$pi" "$pid"
both_ways outside "$pi"
