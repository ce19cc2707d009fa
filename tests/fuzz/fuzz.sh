#!/usr/bin/env bash
# fuzz.sh BUILD SECONDS [HARNESS…]: runs each harness, or these, for so long. New inputs are kept in BUILD/corpus/HARNESS, and what
# fails in BUILD/found. Exit status 0 if nothing did.
set -uo pipefail
build=$(realpath "$1") seconds=$2
shift 2
here=$(realpath "$(dirname "$0")")
harnesses=("$@")
((${#harnesses[@]})) || mapfile -t harnesses < <(ls "$here/corpus")
mkdir -p "$build/found"
failed=()

for harness in "${harnesses[@]}"; do
    mkdir -p "$build/corpus/$harness"
    log=$build/found/$harness.log
    arguments=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$build/found/$harness-")
    [[ ! -e $here/$harness.dict ]] || arguments+=(-dict="$here/$harness.dict")
    "$build/bin/fuzz-$harness" "${arguments[@]}" "$build/corpus/$harness" "$here/corpus/$harness" 2>&1 | tee "$log" |
        awk -v harness="$harness" '
            /^#[0-9]+\t(pulse|INITED|DONE)/ {
                printf "%-13s %s %s\n", harness, $1, substr($0, index($0, "cov:")); fflush()
            }
            /^SUMMARY|does not hold|runtime error/ { print harness ": " $0; fflush() }'
    status=${PIPESTATUS[0]}
    awk -v harness="$harness" '
        /stat::number_of_executed_units/ { units = $2 }
        /stat::average_exec_per_sec/ { rate = $2 }
        /^#/ { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        END { printf "%-13s %d inputs, %d/s, %d edges\n", harness, units, rate, edges }' "$log"
    ((status == 0)) || failed+=("$harness")
done
if ((${#failed[@]})); then
    echo "FAILED: ${failed[*]}; inputs and logs are in $build/found"
    exit 1
fi
echo "PASSED: ${#harnesses[@]} harnesses, $seconds s each"
