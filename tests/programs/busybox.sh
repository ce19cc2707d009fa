#!/usr/bin/env bash
# busybox, static: wget, nc and httpd.
. "$(dirname "$0")/lib.sh"
need busybox python3 curl
read -r po pi pn pm none < <(free_ports 5)
mkdir "$T/www"
data "$T/www/big" 3000000
outside_bg out python3 "$src/httpd.py" 127.0.0.1 "$po" "$T/www"; wait_port tcp "$po" "$pid"
step "wget"
inside busybox wget -q -O "$T/got" "http://127.0.0.1:$po/big"
same wget "$T/www/big" "$T/got"
inside busybox wget -q -O "$T/got2" "http://localhost:$po/big"
same "wget localhost" "$T/www/big" "$T/got2"
eq "refused" 1 "$(status_of inside busybox wget -q -O /dev/null "http://127.0.0.1:$none/" 2>/dev/null)"
step "httpd, which forks for each request"
inside_bg in busybox httpd -f -p "127.0.0.1:$pi" -h "$T/www"; wait_port tcp "$pi" "$pid"
outside curl -sS -f -Z --parallel-max 10 -o "$T/part.#1" "http://127.0.0.1:$pi/big?[1-10]" 2>"$T/parallel.log"
eq "ten downloads" "10 $(sum "$T/www/big")" "$(sha256sum "$T"/part.* | cut -d' ' -f1 | uniq -c | sed 's/^ *//')"
inside busybox wget -q -O "$T/got3" "http://127.0.0.1:$pi/big"
same "both inside" "$T/www/big" "$T/got3"
step "nc"
mkfifo "$T/quiet"; exec 8<>"$T/quiet"      # a listener at the end of its input hangs up
(inside busybox nc -l -p "$pn" <&8 >"$T/nc.got") & started+=($!); listener=$!
wait_port tcp "$pn" "$listener"
outside busybox nc 127.0.0.1 "$pn" <"$T/www/big"
wait "$listener" || fail "nc inside"
same "to nc inside" "$T/www/big" "$T/nc.got"
(outside busybox nc -l -p "$pm" <&8 >"$T/nc.got2") & started+=($!); listener=$!
wait_port tcp "$pm" "$listener"
inside busybox nc 127.0.0.1 "$pm" <"$T/www/big"
wait "$listener" || fail "nc outside"
same "from nc inside" "$T/www/big" "$T/nc.got2"
