#!/usr/bin/env bash
# Go programs, static and with cgo: net/http servers and clients with many goroutines, UDP, localhost, refusal.
. "$(dirname "$0")/lib.sh"
need_helper tests-go-static tests-go-cgo
for flavour in static cgo; do
    go=$bin/tests-go-$flavour
    read -r pi po ui uo none < <(free_ports 5)
    step "$flavour: servers inside, clients outside"
    inside_bg "$flavour-in" "$go" serve "127.0.0.1:$pi"; wait_port tcp "$pi" "$pid"
    inside_bg "$flavour-udp-in" "$go" echo "127.0.0.1:$ui"; wait_port udp "$ui" "$pid"
    want=$(outside curl -sS "http://127.0.0.1:$pi/bytes?n=20000" | sha256sum | cut -d' ' -f1)
    eq "200 fetches, 40 goroutines" "4000000 $want" "$(outside "$go" get "http://127.0.0.1:$pi/bytes?n=20000" 200 40)"
    eq "post" "posted 3000000" "$(outside "$go" post "http://127.0.0.1:$pi/sum" 3000000)"
    eq "UDP" "echoed 200" "$(outside "$go" ping "127.0.0.1:$ui" 200)"
    step "$flavour: clients inside"
    outside_bg "$flavour-out" "$go" serve "127.0.0.1:$po"; wait_port tcp "$po" "$pid"
    outside_bg "$flavour-udp-out" "$go" echo "[::1]:$uo"; wait_port udp "$uo" "$pid"
    eq "200 fetches, 40 goroutines" "4000000 $want" "$(inside "$go" get "http://127.0.0.1:$po/bytes?n=20000" 200 40)"
    eq "by name" "20000 $want" "$(inside "$go" get "http://localhost:$po/bytes?n=20000" 1 1)"
    eq "10 MB" 10000000 "$(inside "$go" get "http://127.0.0.1:$po/bytes?n=10000000" 1 1 | cut -d' ' -f1)"
    eq "post" "posted 3000000" "$(inside "$go" post "http://127.0.0.1:$po/sum" 3000000)"
    eq "UDP" "echoed 200" "$(inside "$go" ping "[::1]:$uo" 200)"
    eq "refused" 7 "$(status_of inside "$go" get "http://127.0.0.1:$none/" 1 1 2>/dev/null)"
    step "$flavour: both inside"
    eq "50 fetches" "1000000 $want" "$(inside "$go" get "http://127.0.0.1:$pi/bytes?n=20000" 50 20)"
    eq "UDP" "echoed 100" "$(inside "$go" ping "127.0.0.1:$ui" 100)"
    eq "net.Interfaces" "$(outside "$go" interfaces)" "$(inside "$go" interfaces)"
done
# Go's listener on every address is IPv6 with mapped IPv4 clients.
step "the wildcard address"
read -r p < <(free_ports 1)
inside_bg wild "$bin/tests-go-static" serve ":$p"; wait_port tcp "$p" "$pid"
eq "over IPv4" 100 "$(outside curl -sS "http://127.0.0.1:$p/bytes?n=100" | wc -c)"
eq "over IPv6" 100 "$(outside curl -sS "http://[::1]:$p/bytes?n=100" | wc -c)"
