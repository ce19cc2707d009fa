#!/usr/bin/env bash
# stunnel at both ends of a tunnel, one inside and one outside, with a redis behind it.
. "$(dirname "$0")/../lib.sh"
need stunnel4 redis-server redis-cli redis-benchmark openssl
certificate tunnel
read -r redis < <(free_ports 1)
outside_bg redis redis-server --bind 127.0.0.1 --port "$redis" --save '' --dir "$T"; wait_port tcp "$redis" "$pid"
data "$T/value" 2000000
# tunnel SERVER-SIDE CLIENT-SIDE USER-SIDE
tunnel() {
    local s c
    read -r s c < <(free_ports 2)
    step "server end $1, client end $2, user $3"
    printf '%s\n' "foreground = yes" "pid =" "[s]" "accept = 127.0.0.1:$s" "connect = 127.0.0.1:$redis" "cert = $T/tunnel.crt" "key = $T/tunnel.key" >"$T/$s.conf"
    printf '%s\n' "foreground = yes" "pid =" "[c]" "client = yes" "accept = 127.0.0.1:$c" "connect = 127.0.0.1:$s" "CAfile = $T/tunnel.crt" "verifyChain = yes" "checkIP = 127.0.0.1" >"$T/$c.conf"
    "$1_bg" "s$s" stunnel4 "$T/$s.conf"; wait_port tcp "$s" "$pid"
    "$2_bg" "c$c" stunnel4 "$T/$c.conf"; wait_port tcp "$c" "$pid"
    eq "2 MB set" OK "$($3 redis-cli -p "$c" -x set big <"$T/value")"
    $3 redis-cli -p "$c" --raw get big | head -c 2000000 >"$T/got"; same "2 MB get" "$T/value" "$T/got"
    eq "20 clients" 1 "$($3 redis-benchmark -p "$c" -n 1000 -c 20 -t set -q | tr '\r' '\n' | grep -c 'requests per second')"
}
tunnel outside inside outside
tunnel inside outside inside
tunnel inside inside outside
