#!/usr/bin/env bash
# A C client, static with musl and dynamic with glibc: getaddrinfo, connect, fetch.
. "$(dirname "$0")/lib.sh"
need python3
need_helper tests-fetch tests-fetch-musl
read -r p4 p6 none < <(free_ports 3)
mkdir "$T/www"
data "$T/www/big" 3000000
outside_bg v4 python3 "$src/httpd.py" 127.0.0.1 "$p4" "$T/www"; wait_port tcp "$p4" "$pid"
outside_bg v6 python3 "$src/httpd.py" ::1 "$p6" "$T/www"; wait_port tcp "$p6" "$pid"
for f in tests-fetch-musl tests-fetch; do
    step "$f"
    inside "$bin/$f" 127.0.0.1 "$p4" /big >"$T/got"; same "$f IPv4" "$T/www/big" "$T/got"
    inside "$bin/$f" ::1 "$p6" /big >"$T/got"; same "$f IPv6" "$T/www/big" "$T/got"
    inside "$bin/$f" localhost "$p4" /big >"$T/got"; same "$f localhost" "$T/www/big" "$T/got"
    eq "$f refused" 7 "$(status_of inside "$bin/$f" 127.0.0.1 "$none" / 2>/dev/null)"
    eq "$f resolves localhost as the host does" "$(outside "$bin/$f" localhost 80)" "$(inside "$bin/$f" localhost 80)"
done
