#!/usr/bin/env bash
# What the audit costs: connects a second with --audit to a file, and without, alternating; medians, and the ratio.
#   tests/bench/bench_audit.sh [ROUNDS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bench=${SPLITSOCK_BIN:-$here/../../build/bin}/splitsock-bench
rounds=${1:-7}
work=$(mktemp -d "${TMPDIR:-/tmp}/splitsock-bench-audit.XXXXXX")
trap 'rm -rf "$work"' EXIT
once() { "$bench" --json --no-pasta --rounds 1 --seconds 1 --only tcp-connect --only tcp-connect-8 >"$work/$1.$2" 2>/dev/null; }
for ((i = 0; i < rounds; i++)); do
    once off $i
    SPLITSOCK_BENCH_AUDIT=$work/audit.log once on $i
done
/usr/bin/python3 - "$work" "$rounds" "$(wc -l <"$work/audit.log")" "$(grep -c '"suppressed"' "$work/audit.log" || true)" <<'PY'
import json, statistics, sys
work, rounds = sys.argv[1], int(sys.argv[2])
def figures(way):
    found = {}
    for i in range(rounds):
        report = json.load(open(f"{work}/{way}.{i}"))
        for row in report["measures"]:
            found.setdefault(row["name"], []).append(row["splitsock"]["median"])
    return found
off, on = figures("off"), figures("on")
for name in off:
    ratio = statistics.median(b / a for a, b in zip(off[name], on[name]))
    print(f"{name}: off {statistics.median(off[name]):.0f}/s, on {statistics.median(on[name]):.0f}/s, ratio {ratio:.2f} (median of {rounds} rounds)")
print(f"{sys.argv[3]} lines written, {sys.argv[4]} of them say that others were left out")
PY
