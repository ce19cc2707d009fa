#!/usr/bin/env bash
# GNU wget inside: one file, a recursive fetch on one connection, resuming, IPv6, refusal.
. "$(dirname "$0")/lib.sh"
need wget python3
read -r p4 p6 none < <(free_ports 3)
mkdir -p "$T/www/dir" "$T/out"
data "$T/www/big" 2000000
for i in 1 2 3 4 5; do data "$T/www/dir/f$i" 5000; done
outside_bg v4 python3 "$src/httpd.py" 127.0.0.1 "$p4" "$T/www"; wait_port tcp "$p4" "$pid"
outside_bg v6 python3 "$src/httpd.py" ::1 "$p6" "$T/www"; wait_port tcp "$p6" "$pid"

step "one file"
inside wget -q --tries=1 -O "$T/got" "http://127.0.0.1:$p4/big"
same "wget" "$T/www/big" "$T/got"
step "recursive"
inside wget -q --tries=1 -r -np -nH -P "$T/out" "http://localhost:$p4/dir/"
for i in 1 2 3 4 5; do same "recursive" "$T/www/dir/f$i" "$T/out/dir/f$i"; done
step "IPv6"
inside wget -q --tries=1 -O "$T/got6" "http://[::1]:$p6/big"
same "IPv6" "$T/www/big" "$T/got6"
step "upload and errors"
eq "PUT" "$(sum "$T/www/big")" "$(inside wget -q -O - --method=PUT --body-file="$T/www/big" "http://127.0.0.1:$p4/x")"
eq "404" 8 "$(status_of inside wget -q --tries=1 -O /dev/null "http://127.0.0.1:$p4/none")"
eq "refused" 4 "$(status_of inside wget -q --tries=1 -O /dev/null "http://127.0.0.1:$none/")"
