#!/usr/bin/env bash
# What splitsock does, shown with unmodified programs on this machine's loopback. Needs no root and leaves nothing behind.
#   demo.sh [DIRECTORY-OF-BINARIES]      exit status 0 if everything went as it should
set -euo pipefail
exec </dev/null
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY

bin=$(cd "${1:-$(dirname "$0")/../build/bin}" && pwd) || { echo "demo: build splitsock first: make" >&2; exit 1; }
for c in curl nginx redis-server redis-cli redis-benchmark python3 busybox unshare ss \
         "$bin/splitsock-run" "$bin/splitsock-gofer" "$bin/tests-go-static" "$bin/tests-fetch-musl"; do
    command -v "$c" >/dev/null || { echo "demo: $c is missing; \`make demo\` installs and builds what this needs" >&2; exit 1; }
done
go=$bin/tests-go-static musl=$bin/tests-fetch-musl

bold='' green='' red='' off=''
if [[ -t 1 && -z ${NO_COLOR-} ]]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'
fi
bad=0
title() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
line() { printf '        %-19s %s\n' "$1" "$2"; }
# verdict OK NAME TEXT: OK is 0 when it went as it should
verdict() {
    if [[ $1 == 0 ]]; then printf '  %sok%s    %-19s %s\n' "$green" "$off" "$2" "$3"
    else printf '  %sWRONG%s %-19s %s\n' "$red" "$off" "$2" "$3"; bad=$((bad + 1)); fi
}
truth() { if "$@"; then echo 0; else echo 1; fi; }

T=$(mktemp -d "${TMPDIR:-/tmp}/splitsock-demo.XXXXXX")
chmod 711 "$T"                      # nginx, started by root, serves as another user
started=()
launch() { local name=$1; shift; "$@" >"$T/$name.log" 2>&1 & pid=$!; started+=("$pid"); }
cleanup() {
    local s=$? p i
    trap - EXIT
    for p in ${started[@]+"${started[@]}"}; do kill "$p" 2>/dev/null || true; done
    for ((i = 0; i < 60; i++)); do [[ -z $(jobs -pr) ]] && break; sleep 0.05; done
    for p in $(jobs -pr); do kill -KILL "$p" 2>/dev/null || true; done
    rm -rf "$T"
    exit "$s"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
die() { echo "${red}demo: $*$off" >&2; tail -n 5 "$T"/*.log >&2 2>/dev/null || true; exit 1; }
# until_true PID WHAT CMD…: at most 10 s, and not beyond the end of process PID
until_true() {
    local p=$1 what=$2 i; shift 2
    for ((i = 0; i < 200; i++)); do "$@" && return; kill -0 "$p" 2>/dev/null || break; sleep 0.05; done
    die "$what did not start"
}
listening() { [[ -n $(ss -Hltn "sport = :$1") ]]; }
# timed CMD…: $out, $err (last line), $rc and $ms
timed() {
    local began=${EPOCHREALTIME/./}
    rc=0
    timeout 20 "$@" >"$T/out" 2>"$T/err" || rc=$?
    ms=$(((${EPOCHREALTIME/./} - began) / 1000))
    out=$(head -c 300 "$T/out" | tr -d '\0') err=$(tail -n 1 "$T/err")
}
# curl's error, with the reason, which it tells only with -v
curl_error() {
    local why
    why=$(sed -n 's/^\* .*\(connect fail for\|failed\).*: \(.*\)/\2/p' "$T/err" | head -n 1)
    echo "$(sed -n 's/^\(curl: ([0-9]*).*\) after.*/\1/p' "$T/err")${why:+: $why}"
}

# Two free ports, below those that the kernel gives out by itself.
read -r web redis < <(python3 -c '
import random, socket
found = {}
for _ in range(200):
    try:
        s = socket.create_server(("127.0.0.1", random.randrange(20000, 32000)))
        found[s.getsockname()[1]] = s
    except OSError:
        pass
    if len(found) == 2:
        break
print(*found)')
mkdir "$T/www"
head -c 1500 /dev/zero | tr '\0' 'x' >"$T/www/page"
head -c 67108864 /dev/urandom >"$T/www/big"
cat >"$T/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $T/nginx.pid;
error_log $T/nginx.log;
events { }
http {
    access_log off;
    sendfile on;
    client_body_temp_path $T/t1; proxy_temp_path $T/t2; fastcgi_temp_path $T/t3; uwsgi_temp_path $T/t4; scgi_temp_path $T/t5;
    server { listen 127.0.0.1:$web; root $T/www; }
}
CONF
u=http://127.0.0.1:$web
inside=("$bin/splitsock-run" --gofer "ipc://$T/gofer.sock" --isolate --)
nowhere=(unshare -Urn --)

title "On this machine"
launch nginx nginx -e "$T/nginx.log" -p "$T" -c "$T/nginx.conf"
until_true "$pid" nginx listening "$web"
line "nginx" "serves 127.0.0.1:$web: a page of 1500 bytes, a file of 64 MiB"
launch gofer "$bin/splitsock-gofer" --listen "ipc://$T/gofer.sock" --policy open
until_true "$pid" splitsock-gofer test -S "$T/gofer.sock"
line "splitsock-gofer" "holds the real sockets (pid $pid, user $(id -un)); programs reach it by a unix socket only"

title "Programs in an empty network namespace: no network at all"
timed "${nowhere[@]}" true
[[ $rc == 0 ]] || die "this machine lets $(id -un) make no user namespaces ($err), which --isolate needs"
timed "${nowhere[@]}" curl -sSv "$u/page"
verdict "$(truth test "$rc" != 0)" "curl" "fails: $(curl_error)"
timed "${nowhere[@]}" "$go" get "$u/page" 1 1
verdict "$(truth test "$rc" != 0)" "Go, static" "fails: ${err#gonet: }"
timed "${nowhere[@]}" busybox wget -q -O - "$u/page"
verdict "$(truth test "$rc" != 0)" "busybox, static" "fails: $err"
timed "${nowhere[@]}" "$musl" 127.0.0.1 "$web" /page
verdict "$(truth test "$rc" != 0)" "musl C, static" "fails: $err"

title "The same programs in the same kind of namespace, behind splitsock-run --isolate"
sum=$(sha256sum <"$T/www/page" | cut -d' ' -f1)
timed "${inside[@]}" curl -sS -o "$T/got" -w '%{http_code} %{size_download} %{remote_ip}:%{remote_port}' "$u/page"
verdict "$(truth test "$rc $out" = "0 200 1500 127.0.0.1:$web")" "curl" "${err:-status ${out%% *}, $(wc -c <"$T/got") bytes from ${out##* }, $ms ms}"
timed "${inside[@]}" "$go" get "$u/page" 1 1
verdict "$(truth test "$rc $out" = "0 1500 $sum")" "Go, static" "${err:-status 200, ${out%% *} bytes, $ms ms}"
timed "${inside[@]}" "$go" get "$u/page" 400 40
verdict "$(truth test "$rc $out" = "0 600000 $sum")" "Go, 40 goroutines" "${err:-400 fetches, ${out%% *} bytes, $ms ms}"
timed "${inside[@]}" busybox wget -q -O - "$u/page"
verdict "$(truth cmp -s "$T/out" "$T/www/page")" "busybox, static" "${err:-$(wc -c <"$T/out") bytes, $ms ms}"
timed "${inside[@]}" "$musl" 127.0.0.1 "$web" /page
verdict "$(truth cmp -s "$T/out" "$T/www/page")" "musl C, static" "${err:-$(wc -c <"$T/out") bytes, $ms ms}"
timed env -u SPLITSOCK_GOFER "$bin/splitsock-run" --isolate -- curl -sS -o "$T/got" -w '%{http_code}' "$u/page"
verdict "$(truth test "$rc $out" = "0 200")" "curl, no set-up" "${err:-status $out, $ms ms, with a gofer of its own for this one command}"
timed "${inside[@]}" curl -sSv --max-time 5 "http://127.0.0.1:$redis/"
verdict "$(truth test "$rc" = 7)" "curl, a closed port" "refused as ever: $(curl_error)"

title "64 MiB, and where it did not pass"
# Wall clock of the whole command, its start included, over eight downloads on one connection: a single one is over
# in 40 ms, where chance and the second core say more than the relay does. In turns, so that both meet the same machine.
speed() { # CMD… -> $mbs
    timed "$@" curl -sS -w '%{size_download}\n' -o /dev/null "$u/big?[1-8]"
    mbs=0
    [[ $rc == 0 && $(awk '{ n += $1 } END { printf "%.0f", n }' "$T/out") == $((8 * 67108864)) ]] && mbs=$((8 * 67109 / ms))
    return 0
}
direct=0 through=0
for _ in 1 2 3; do
    speed env; ((mbs > direct)) && direct=$mbs
    speed "${inside[@]}"; ((mbs > through)) && through=$mbs
done
verdict "$(truth test "$through" -gt 0)" "curl, 8 x 64 MiB" "$through MB/s through splitsock, $direct MB/s directly ($((direct ? 100 * through / direct : 0)) %; best of three)"
# One program downloads, looks at its namespace's own counters, and at what it is in.
timed "${inside[@]}" sh -c 'curl -sS "$0/big" | sha256sum | cut -d" " -f1; readlink /proc/self/ns/net
    awk "NR > 2 { sub(\":\", \"\", \$1); printf \"%s %.0f\\n\", \$1, \$2 + \$10 }" /proc/self/net/dev; timeout 3 ip -o addr show 2>/dev/null | wc -l' "$u"
mapfile -t seen <"$T/out"
verdict "$(truth test "${seen[0]-}" = "$(sha256sum <"$T/www/big" | cut -d' ' -f1)")" "checksum" "sha256 ${seen[0]:0:16}… on both sides, $ms ms"
verdict "$(truth test "${seen[1]-}" != "$(readlink /proc/self/ns/net)")" "its namespace" "${seen[1]-?}; the host's is $(readlink /proc/self/ns/net)"
verdict "$(truth test "${seen[2]-} ${#seen[@]}" = "lo 0 4")" "its own net/dev" "${seen[2]%% *} alone, ${seen[2]##* } bytes in or out: no interface carried the 64 MiB"
verdict "$(truth test "${seen[3]-0}" = "$(ip -o addr show | wc -l)")" "ip addr there" "shows ${seen[3]-0} addresses: the host's, as the gofer answers by its policy"

title "The other way: redis-server runs inside, redis-cli outside"
launch redis "${inside[@]}" redis-server --bind 127.0.0.1 --port "$redis" --dir "$T" --save '' --daemonize no
until_true "$pid" redis-server listening "$redis"
timed redis-cli -p "$redis" set greeting "hello from a program without a network"
timed redis-cli -p "$redis" get greeting
verdict "$(truth test "$out" = "hello from a program without a network")" "redis-cli get" "\"${err:-$out}\", $ms ms"
timed redis-benchmark -h 127.0.0.1 -p "$redis" -n 5000 -c 20 -t get -q
out=$(tr '\r' '\n' <"$T/out" | sed -n 's/^GET: \([0-9.]*\) requests per second, p50=\(.*\)/\1 requests\/s, median \2/p')
verdict "$(truth test -n "$out")" "redis-benchmark" "5000 GETs by 20 clients: ${out:-$err}"

title "The gofer says what a program may have, and how much"
launch small "$bin/splitsock-gofer" --listen "ipc://$T/small.sock" --policy open --max-sockets 5
# One is splitsock-run's own: by it /proc/net follows the host.
until_true "$pid" "splitsock-gofer --max-sockets" test -S "$T/small.sock"
timed "$bin/splitsock-run" --gofer "ipc://$T/small.sock" --isolate -- python3 -c '
import errno, os, socket
held = []
try:
    for _ in range(6):
        held.append(socket.create_server(("127.0.0.1", 0)))
    print("no refusal")
except OSError as e:
    print("%d sockets opened, the next: %s (%s)" % (len(held), os.strerror(e.errno), errno.errorcode[e.errno]))'
verdict "$(truth test "${out%%,*}" = "4 sockets opened")" "--max-sockets 5" "${out:-$err}"
printf 'version: 1\nclients:\n  - name: somebody-else\n    users: [4242]\n    sockets: open\n' >"$T/policy.yaml"
launch strict "$bin/splitsock-gofer" --listen "ipc://$T/strict.sock" --policy "$T/policy.yaml"
until_true "$pid" "splitsock-gofer --policy FILE" test -S "$T/strict.sock"
timed "$bin/splitsock-run" --gofer "ipc://$T/strict.sock" --isolate -- curl -sSv --max-time 5 "$u/page"
verdict "$(truth test "$rc" = 7)" "a policy file" "that names another user: $(curl_error)"
line "" "its log: $(sed -n 's/.*\(denied: .*\)/\1/p' "$T/strict.log" | head -n 1)"

echo
if ((bad)); then
    echo "${red}${bold}FAILED$off: $bad step(s) marked WRONG above"
    exit 1
fi
echo "${green}${bold}PASSED$off: programs without a network used ordinary sockets, both ways, in $SECONDS s; nothing was changed in them, no root was needed"
