#!/usr/bin/env bash
# A stack in user space: usrsctp carries SCTP in UDP datagrams, with its own acknowledgements, timers and threads; either end inside.
. "$(dirname "$0")/../lib.sh"
tsctp=/usr/lib/usrsctp/tsctp
need "$tsctp"
# One side each: every message that was sent has come, in order, as one message.
exercise() {
    local a b port=$((RANDOM % 1000 + 5000))
    step "server $1, client $2"
    read -r a b < <(free_ports 2)
    "$1_bg" "server$1$2" "$tsctp" -E "$a" -U "$b" -p "$port"; wait_port udp "$a" "$pid"
    # What starts with [S] is a trace, very long.
    $2 "$tsctp" -E "$b" -U "$a" -p "$port" -n 500 -l 3000 127.0.0.1 2>&1 | grep -av '^\[S\]' >"$T/client" || fail "client: $(head -c 500 "$T/client")"
    eq "sent" "Sending of 500 messages of length 3000" "$(sed -n 's/ took .*//p' "$T/client")"
    got() { grep -aq '^3000, 500, 500, 1500000, ' "$T/server$1$2.log"; }
    until_true 8 got "$1" "$2" || fail "the server has: $(grep -av '^\[S\]' "$T/server$1$2.log" | head -c 500)"
    stop "$pid"
    rm "$T/server$1$2.log"
}
exercise inside outside
exercise outside inside
exercise inside inside
