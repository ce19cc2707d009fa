#!/usr/bin/env bash
# HAProxy in front of two servers: balance, health checks, the statistics socket, HTTP/2 over TLS, reload without a lost request.
. "$(dirname "$0")/lib.sh"
need haproxy curl socat openssl python3
certificate site
cat "$T/site.key" "$T/site.crt" >"$T/site.pem"
mkdir "$T/www"
data "$T/www/big" 5000000
data "$T/www/small" 2000
read -r b1 b2 po so pi si < <(free_ports 6)
outside_bg b1 python3 "$src/httpd.py" 127.0.0.1 "$b1" "$T/www"; wait_port tcp "$b1" "$pid"
outside_bg b2 python3 "$src/httpd.py" 127.0.0.1 "$b2" "$T/www"; wait_port tcp "$b2" "$pid"; second=$pid

# conf NAME PORT TLS-PORT MARK
conf() {
    cat >"$T/$1.cfg" <<CONF
global
    stats socket $T/$1.sock mode 600 level admin expose-fd listeners
    nbthread 2
    log $T/$1.log.sock local0
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
    timeout check 5s
    default-server check inter 500ms downinter 100ms fall 3 rise 1
frontend plain
    http-response set-header X-Mark $4
    http-response set-header X-Server %s
    bind 127.0.0.1:$2
    bind [::1]:$2
    bind 127.0.0.1:$3 ssl crt $T/site.pem alpn h2,http/1.1
    default_backend both
backend both
    balance roundrobin
    option httpchk GET /peer
    option forwardfor
    server s1 127.0.0.1:$b1
    server s2 127.0.0.1:$b2
CONF
}
ask() { socat -t 2 - "UNIX-CONNECT:$T/$1.sock" <<<"$2"; }
# states NAME: of its servers
states() { ask "$1" "show stat" | awk -F, '$1 == "both" && $2 ~ /^s/ { print $18 }' | xargs; }
states_are() { [[ $(states "$1") == "$2" ]]; }
# requests NAME: how many its frontend has had
requests() {
    ask "$1" "show stat" | awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } $1 == "plain" && $2 == "FRONTEND" { print $at["req_tot"] }'
}
header() { sed -n "s/^$1: \([^\r]*\).*/\1/Ip"; }
# exercise SIDE NAME PORT TLS-PORT
exercise() {
    local u=http://127.0.0.1:$3 before
    before=$(requests "$2")
    eq "turn and turn about" "10 s1 10 s2" "$(for i in {1..20}; do echo "next"; echo "url = $u/peer"; echo "output = /dev/null"; echo "dump-header = -"; done |
        sed 1d >"$T/urls"; $1 curl -sS -K "$T/urls" | header x-server | sort | uniq -c | xargs)"
    $1 curl -sS -f -o "$T/got" "http://[::1]:$3/big"; same "5 MB, IPv6" "$T/www/big" "$T/got"
    $1 curl -sS -f --http2 --cacert "$T/site.crt" -o "$T/got" "https://127.0.0.1:$4/big"; same "5 MB, HTTP/2" "$T/www/big" "$T/got"
    eq "upload over HTTP/2" "$(sum "$T/www/big") 2" "$($1 curl -sS --http2 --cacert "$T/site.crt" -w ' %{http_version}' -T "$T/www/big" "https://localhost:$4/x")"
    eq "60 at a time" "60 200" "$($1 curl -sS -Z --parallel-max 30 -o /dev/null -w '%{http_code}\n' "$u/small?[1-60]" 2>/dev/null | sort | uniq -c | xargs)"
    eq "requests that the statistics socket tells of" 83 "$(($(requests "$2") - before))"
    ask "$2" "disable server both/s1" >/dev/null
    eq "only s2" s2 "$(for i in 1 2 3 4; do $1 curl -sS -o /dev/null -D - "$u/peer" | header x-server; done | sort -u | xargs)"
    ask "$2" "disable server both/s2" >/dev/null
    eq "nobody" 503 "$($1 curl -sS -o /dev/null -w '%{http_code}' "$u/peer")"
    ask "$2" "enable server both/s1" >/dev/null; ask "$2" "enable server both/s2" >/dev/null
    until_true 5 states_are "$2" "UP UP" || fail "the servers are $(states "$2")"
}
step "haproxy outside, curl inside"
conf out "$po" "$so" first
outside_bg out haproxy -db -f "$T/out.cfg"; wait_port tcp "$po" "$pid"
until_true 5 states_are out "UP UP" || fail "the servers are $(states out)"
exercise inside out "$po" "$so"

step "haproxy inside, curl outside"
conf in "$pi" "$si" first
inside_bg in haproxy -W -p "$T/in.pid" -f "$T/in.cfg"; wait_port tcp "$pi" "$pid"; runner=$pid
until_true 5 states_are in "UP UP" || fail "the servers are $(states in)"
exercise outside in "$pi" "$si"
step "both inside"
exercise inside in "$pi" "$si"
step "reload, with requests all the time"
conf in "$pi" "$si" second
(while [[ ! -e $T/done ]]; do outside curl -sS -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:$pi/peer" || echo "curl $?"; done >"$T/codes" 2>&1) & load=$!; started+=("$load")
kill -USR2 "$(head -n 1 "$T/in.pid")"
fresh() { outside curl -sS -o /dev/null -D - "http://127.0.0.1:$pi/peer" 2>&1 | header x-mark | grep -q second; }
until_true 8 fresh || fail "the new configuration is not in force"
sleep 0.2; touch "$T/done"; wait "$load"
eq "answers during the reload" 200 "$(sort -u "$T/codes" | xargs)"
step "a server ends"
stop "$second"
until_true 10 states_are in "UP DOWN" || fail "the servers are $(states in)"
eq "only s1" "10 s1" "$(for i in {1..10}; do outside curl -sS -o /dev/null -D - "http://127.0.0.1:$pi/peer" | header x-server; done | uniq -c | xargs)"
stop "$runner"
[[ -z $(ss -Hltn "sport = :$pi") ]] || fail "port $pi is still held"
