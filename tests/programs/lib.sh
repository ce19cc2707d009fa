# shellcheck shell=bash
# Sourced by every program test. A test starts real programs, "inside" behind the command prefix in $RUN
# (splitsock-run and its options; nothing at all when the bare kernel is the oracle) and "outside" without it,
# and checks what came out. Exit status: 0 passed, anything else failed. What is missing is a failure, too, with a sentence that
# says what to do about it: nothing is skipped.
set -euo pipefail
exec </dev/null                     # `timeout` moves its command to the background, where reading a tty stops it
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
unset http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
src=$here/src
bin=$(cd "${SPLITSOCK_BIN:-$here/../../build/bin}" && pwd)
RUN=${RUN-}
LIMIT=${LIMIT:-15}                  # seconds for one step
T=$(mktemp -d "${TMPDIR:-/tmp}/splitsock-prog.XXXXXX")
chmod 755 "$T"                      # servers that drop their privileges must still get in
started=()                          # processes that end with the script
at_exit=()                          # commands for then, once they have ended

step() { echo "- $*"; }
fail() { trap - ERR; echo "FAIL: $*" >&2; tail -n 20 "$T"/*.log >&2 2>/dev/null || true; exit 1; }
need() { local c; for c; do command -v "$c" >/dev/null || fail "$c is not installed: run deploy/install-packages.sh"; done; }
# need_root WHY
need_root() { [[ $(id -u) == 0 ]] || fail "$*: run this as root"; }
need_helper() { local c; for c; do [[ -x $bin/$c ]] || fail "$bin/$c was not built"; done; }

# Word splitting of $RUN is wanted: it is a prefix, not a command.
inside() { timeout -k 1 "$LIMIT" $RUN "$@"; }
outside() { timeout -k 1 "$LIMIT" "$@"; }

# inside_bg NAME CMD…: starts a server; $pid is its process (splitsock-run's, if $RUN names that).
inside_bg() { local name=$1; shift; $RUN "$@" >"$T/$name.log" 2>&1 & pid=$!; started+=("$pid"); }
outside_bg() { local name=$1; shift; "$@" >"$T/$name.log" 2>&1 & pid=$!; started+=("$pid"); }

eq() { [[ $2 == "$3" ]] || fail "$1: wanted '$2', got '$3'"; }
same() { cmp -s "$2" "$3" || fail "$1: $2 and $3 differ"; }
status_of() { local s=0; "$@" || s=$?; echo "$s"; }
sum() { sha256sum "$@" | cut -d' ' -f1; }
data() { head -c "$2" /dev/urandom >"$1"; chmod 644 "$1"; }

# free_ports N: ports free for TCP and UDP on both loopbacks, below the ephemeral range so that nobody gets one by chance.
free_ports() {
    python3 - "$1" <<'PY'
import random, socket, sys
found = []
for _ in range(2000):
    if len(found) == int(sys.argv[1]):
        break
    port, held = random.randrange(20000, 32000), []
    try:
        for family, host in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                s = socket.socket(family, kind)
                held.append(s)
                if family == socket.AF_INET6:
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                s.bind((host, port))
        if port not in found:
            found.append(port)
    except OSError:
        pass
    for s in held:
        s.close()
print(*found)
PY
}

# wait_port tcp|udp PORT [PID]: until somebody on this host holds PORT. Asks the kernel, since a probing
# connection would use up a server that accepts once. Gives up when PID dies.
wait_port() {
    local flag=-Hltn i
    [[ $1 == udp ]] && flag=-Hlun
    for ((i = 0; i < 200; i++)); do
        [[ -n $(ss "$flag" "sport = :$2") ]] && return 0
        [[ -z ${3-} ]] || kill -0 "$3" 2>/dev/null || fail "the server for $1 port $2 ended"
        sleep 0.05
    done
    fail "nothing on $1 port $2 after 10 s"
}
wait_file() { local i; for ((i = 0; i < 200; i++)); do [[ -s $1 ]] && return 0; sleep 0.05; done; fail "$1 did not appear"; }
# gone PID SECONDS: true once the process has ended (a zombie has).
gone() {
    local i state
    for ((i = 0; i < $2 * 20; i++)); do
        state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1) || true
        [[ -z $state || $state == Z ]] && return 0
        sleep 0.05
    done
    return 1
}

descendants() { local c; for c in $(ps -o pid= --ppid "$1" 2>/dev/null); do echo "$c"; descendants "$c"; done; }
# stop PID [SIGNAL]: ends a server that this script started, and sets $status to what it left with.
stop() {
    local family
    family=$(descendants "$1")
    kill -"${2:-TERM}" "$1" 2>/dev/null || true
    if ! gone "$1" 5; then
        echo "note: $1 ($(tr '\0' ' ' <"/proc/$1/cmdline")) did not end on SIG${2:-TERM}" >&2
        kill -KILL "$1" $family 2>/dev/null || true
    fi
    status=0
    wait "$1" 2>/dev/null || status=$?
}
cleanup() {
    local s=$? p
    trap - EXIT ERR
    for p in ${started[@]+"${started[@]}"}; do
        kill -0 "$p" 2>/dev/null && stop "$p"
    done
    for p in ${at_exit[@]+"${at_exit[@]}"}; do "$p" || true; done
    rm -rf "$T"
    exit "$s"
}
trap cleanup EXIT
trap 'echo "FAIL: line $LINENO ended with $?: $BASH_COMMAND" >&2' ERR
trap 'exit 143' TERM
trap 'exit 130' INT

# certificate NAME: $T/NAME.key and $T/NAME.crt, self-signed, for localhost, both loopbacks and *.test.
certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" -keyout "$T/$1.key" -out "$T/$1.crt" \
        -addext 'subjectAltName=DNS:localhost,DNS:*.test,IP:127.0.0.1,IP:::1' 2>"$T/openssl.log" || fail "openssl req"
    chmod 644 "$T/$1.key"
}

# until_true SECONDS COMMAND…: again and again until it succeeds; false when the time is over.
until_true() {
    local i
    for ((i = 0; i < $1 * 20; i++)); do "${@:2}" && return 0; sleep 0.05; done
    return 1
}

# need_setuid WHY: may a program inside become another user? splitsock-run maps every user if it is root, unless it is root of a namespace with fewer.
need_setuid() {
    need_root "$*"
    [[ $(inside cat /proc/self/uid_map | awk '$3 > 65534' | wc -l) == 1 ]] ||
        fail "$*, and the user namespace here has too few users: run this as root of the machine, or of a container with at least 65536 users"
}
