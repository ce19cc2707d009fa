#!/usr/bin/env bash
# Runs the test suites one after another; a line for each, and what failed in full.
#   SUITES="unit boundary"   only these: unit, fuzz, library, install, conformance, programs, boundary, faults, programs-full; each may
#                            be narrowed to one tree, as unit:plain or unit:asan
#   FULL=1                   without SUITES: all; otherwise programs-full, whose packages `make test-full` installs, and faults are left out
#   BUILD, BUILD_ASAN, BUILD_FUZZ   the build trees
# Exit status 0 if every test of every suite passed. Logs stay in $BUILD/test-logs.
set -uo pipefail
cd "$(dirname "$0")/.."
exec </dev/null
export LC_ALL=C
BUILD=$(realpath -m "${BUILD:-build}") BUILD_ASAN=$(realpath -m "${BUILD_ASAN:-build-asan}")
BUILD_FUZZ=$(realpath -m "${BUILD_FUZZ:-build-fuzz}")
unset SPLITSOCK_LOAD SPLITSOCK_SOAK SPLITSOCK_FAULTS SPLITSOCK_FAULTS_ONLY SPLITSOCK_GOFER SPLITSOCK_TEST_GOFER SPLITSOCK_TEST_RUN SPLITSOCK_TEST_FILTER MAKEFLAGS MFLAGS MAKELEVEL
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY

# suite  trees  seconds that one run may take  binaries
table='
unit          plain,asan 300 test-unit test-link-table test-filter
fuzz          fuzz       300 test-fuzz
library       plain,asan 300 test-library
install       plain      120 test-install
boundary      plain,asan 600 test-boundary
faults        asan     300 test-faults
conformance   plain,asan 1200 test-conformance
programs      plain,asan 600 test-programs
programs-full plain     1800 test-programs-full
'

known=" $(awk 'NF { printf "%s ", $1 }' <<<"$table")"
for wanted in ${SUITES-}; do
    [[ $known == *" ${wanted%%:*} "* ]] || { echo "run.sh: no suite '$wanted'; there are:$known" >&2; exit 2; }
done
chosen() { # SUITE TREE
    [[ -n ${SUITES-} ]] || { [[ $1 != programs-full && $1 != faults || -n ${FULL-} ]]; return; }
    [[ " $SUITES " == *" $1 "* || " $SUITES " == *" $1:$2 "* ]]
}

logs=$BUILD/test-logs
mkdir -p "$logs" || exit 2
reports=$(mktemp -d "${TMPDIR:-/tmp}/splitsock-reports.XXXXXX") || exit 2
chmod 1777 "$reports"                # programs under test may be another user
trap 'rm -rf "$reports"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The end of a log: what failed is told there, after what passed.
show() { echo "----- $1"; tail -n "$2" "$1"; echo "-----"; }

total=0 passed=0 failed_runs=()
run() { # SUITE TREE SECONDS BINARY
    local suite=$1 tree=$2 limit=$3 binary=$4 dir=$BUILD/bin log began rc synthesis report status=ok
    local tested=0 passing=0
    local -a env=() arguments=()
    [[ $suite != faults || -z ${FULL-} ]] || { export SPLITSOCK_FAULTS=each; limit=1800; }
    log=$logs/$binary-$tree.log
    [[ $tree != fuzz ]] || dir=$BUILD_FUZZ/bin
    if [[ $tree == asan ]]; then
        dir=$BUILD_ASAN/bin
        # Reports go to files, so that one from a daemon or from a program under test counts, too.
        env=(ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:log_path=$reports/san"
             UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:log_path=$reports/san"
             LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0")
    fi
    # Scenarios mostly wait, so that more of them than processors go on at a time.
    [[ $suite != conformance ]] || arguments=(--jobs "$([[ $tree == asan ]] && echo 3 || echo 4)")
    began=${EPOCHREALTIME/./}
    if [[ -x $dir/$binary ]]; then
        env ${env[@]+"${env[@]}"} SPLITSOCK_BIN="$dir" timeout --kill-after=10 "$limit" "$dir/$binary" ${arguments[@]+"${arguments[@]}"} >"$log" 2>&1
        rc=$?
    else
        echo "$dir/$binary is not built" >"$log"
        rc=127
    fi
    ms=$(((${EPOCHREALTIME/./} - began) / 1000))
    synthesis=$(grep -a 'Synthesis: Tested:' "$log" | tail -n 1)
    if [[ $synthesis =~ Tested:\ ([0-9]+)\ .*Passing:\ ([0-9]+)\  ]]; then
        tested=${BASH_REMATCH[1]} passing=${BASH_REMATCH[2]}
    fi
    total=$((total + tested)) passed=$((passed + passing))
    if ((rc == 124 || rc == 137)); then status="NOT DONE after $limit s"
    elif ((rc)); then status="FAILED, exit status $rc"
    elif ((tested == 0)); then status="FAILED, no test ran"
    elif ((passing < tested)); then status="FAILED"; fi
    for report in "$reports"/*; do
        [[ -e $report ]] || continue
        [[ $status == ok ]] && status="FAILED, sanitizer report"
        { echo "--- sanitizer report $(basename "$report")"; cat "$report"; } >>"$log"
        rm -f "$report"
    done
    printf '%-13s %-6s %-18s %4d of %4d passed %4d.%01d s  %s\n' "$suite" "$tree" "$binary" "$passing" "$tested" \
        $((ms / 1000)) $((ms % 1000 / 100)) "$status"
    [[ -z $synthesis ]] || echo "$synthesis"
    if [[ $status != ok ]]; then
        failed_runs+=("$binary ($tree)")
        show "$log" 400
    fi
}

while read -r suite trees limit binaries; do
    [[ -n $suite ]] || continue
    for tree in ${trees//,/ }; do
        chosen "$suite" "$tree" || continue
        for binary in $binaries; do
            run "$suite" "$tree" "$limit" "$binary"
        done
    done
done <<<"$table"

echo
if ((${#failed_runs[@]})); then
    printf 'FAILED: %d of %d tests passed in %d s; see ' "$passed" "$total" "$SECONDS"
    (IFS=,; echo "${failed_runs[*]}")
    exit 1
fi
((total)) || { echo "FAILED: nothing was run"; exit 1; }
echo "PASSED: $total tests in $SECONDS s"
