#!/usr/bin/env bash
# coverage.sh BUILD: what the corpora reach, file by file, of what decodes bytes from outside and decides what is done with them. Exit status 0
# if that is at least 90 % of the lines in all.
set -euo pipefail
build=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
# Decoding: what bytes become. Dispatch: who gets them. The rest of the gofer is driven along the way, and shown without a limit.
aimed='proto/frame.c proto/codec.c proto/control.c proto/values.c proto/values_control.c proto/values_errno.c proto/values_option.c
    gofer/session.c gofer/operations.c gofer/packet.c gofer/admin.c gofer/dns.c gofer/names.c gofer/policy.c gofer/policy_file.c gofer/policy_tree.c
    gofer/policy_value.c gofer/policy_frame.c gofer/audit_record.c sentry_side/session.c sentry_side/link_message.c'
others='gofer/listener.c gofer/sock.c gofer/relay_stream.c gofer/relay_datagram.c gofer/error_queue.c gofer/admin_reply.c sentry_side/link.c
    sentry_side/link_call.c sentry_side/packet.c'

profiles=$build/profiles
rm -rf "$profiles"
mkdir -p "$profiles"
objects=()
for corpus in "$here"/corpus/*/; do
    harness=$(basename "$corpus")
    LLVM_PROFILE_FILE=$profiles/$harness.profraw "$build/bin/fuzz-$harness" -runs=0 "$corpus" >"$profiles/$harness.log" 2>&1 ||
        { tail "$profiles/$harness.log"; exit 1; }
    objects+=(-object "$build/bin/fuzz-$harness")
done
version=$(clang -dumpversion)
"llvm-profdata-${version%%.*}" merge -o "$profiles/all" "$profiles"/*.profraw

table() { # FILES
    "llvm-cov-${version%%.*}" export -summary-only -instr-profile "$profiles/all" "${objects[@]:1}" |
        python3 -c '
import json, os, sys
root, wanted = sys.argv[1], sys.argv[2].split()
counts = {}
for file in json.load(sys.stdin)["data"][0]["files"]:
    counts[os.path.relpath(os.path.realpath(file["filename"]), root)] = file["summary"]
def row(name, summaries):
    sums = [sum(summary[kind][of] for summary in summaries) for kind in ("lines", "branches") for of in ("covered", "count")]
    lines, branches = 100 * sums[0] / max(sums[1], 1), 100 * sums[2] / max(sums[3], 1)
    print("%-30s %5d lines  %5.1f %%   %5d branches  %5.1f %%" % (name, sums[1], lines, sums[3], branches))
    return lines
for name in wanted:
    if name in counts:
        row(name, [counts[name]])
sys.exit(row("all of these", [counts[name] for name in wanted if name in counts]) < 90)' "$root" "$1"
}
echo 'decode and dispatch:'
reached=yes
table "$aimed" || reached=no
echo 'what they drive besides:'
table "$others" || true
[[ $reached == yes ]] && echo 'PASSED: at least 90 % of the lines of decode and dispatch'
[[ $reached == yes ]] || { echo 'FAILED: less than 90 % of the lines of decode and dispatch'; exit 1; }
