#!/usr/bin/env bash
# curl inside, an HTTP server outside: keep-alive, parallel transfers, upload, IPv6, refusal, names; then the reverse.
. "$(dirname "$0")/lib.sh"
need curl python3
read -r p4 p6 none < <(free_ports 3)
mkdir "$T/www"
data "$T/www/big" 3000000
data "$T/www/small" 1234
outside_bg v4 python3 "$src/httpd.py" 127.0.0.1 "$p4" "$T/www"; wait_port tcp "$p4" "$pid"
outside_bg v6 python3 "$src/httpd.py" ::1 "$p6" "$T/www"; wait_port tcp "$p6" "$pid"
u=http://127.0.0.1:$p4

step "download"
eq "status and size" "200 3000000 1.1" "$(inside curl -sS -o "$T/got" -w '%{http_code} %{size_download} %{http_version}' "$u/big")"
same download "$T/www/big" "$T/got"
eq "absent page" 404 "$(inside curl -sS -o /dev/null -w '%{http_code}' "$u/nothing")"

step "five requests on one connection"
eq connections "1 0 0 0 0 " "$(inside curl -sS -w '%{num_connects} ' -o /dev/null -o /dev/null -o /dev/null -o /dev/null -o /dev/null \
    "$u/small" "$u/small" "$u/small" "$u/small" "$u/small")"

step "sixty requests, twenty at a time"
inside curl -sS -f -Z --parallel-max 20 -o "$T/part.#1" "$u/small?[1-60]" 2>"$T/parallel.log"
eq "files alike" "60 $(sum "$T/www/small")" "$(sha256sum "$T"/part.* | cut -d' ' -f1 | uniq -c | sed 's/^ *//')"
inside curl -sS -f -Z -o "$T/big.#1" "$u/big?[1-4]" 2>"$T/parallel.log"
eq "big files alike" "4 $(sum "$T/www/big")" "$(sha256sum "$T"/big.* | cut -d' ' -f1 | uniq -c | sed 's/^ *//')"

step "upload"
eq "PUT" "$(sum "$T/www/big")" "$(inside curl -sS -T "$T/www/big" "$u/put")"
eq "POST" "$(printf hello | sha256sum | cut -d' ' -f1)" "$(inside curl -sS -d hello "$u/post")"
eq "POST, 100-continue" "$(sum "$T/www/big")" "$(inside curl -sS -H 'Expect: 100-continue' --data-binary "@$T/www/big" "$u/post")"

step "addresses are the true ones"
eq "source as curl sees it and as the server does" "$(inside curl -sS -w ' %{local_ip} %{local_port} %{remote_ip} %{remote_port}' "$u/peer" |
    awk '{ print ($1 == $3 && $2 == $4) ? "same" : $0, $5, $6 }')" "same 127.0.0.1 $p4"
eq "--local-port" "127.0.0.1 $none" "$(inside curl -sS --interface 127.0.0.1 --local-port "$none" "$u/peer")"

step "IPv6"
eq "IPv6" "200 1234 ::1" "$(inside curl -sS -o "$T/got" -w '%{http_code} %{size_download} %{remote_ip}' "http://[::1]:$p6/small")"
same "IPv6 download" "$T/www/small" "$T/got"

step "refused, and localhost by name"
eq "refused" 7 "$(status_of inside curl -s "http://127.0.0.1:$none/")"
eq "refused on IPv6" 7 "$(status_of inside curl -s "http://[::1]:$none/")"
eq "localhost" 200 "$(inside curl -sS -o /dev/null -w '%{http_code}' "http://localhost:$p4/small")"
eq "localhost -4" 200 "$(inside curl -4 -sS -o /dev/null -w '%{http_code}' "http://localhost:$p4/small")"
eq "unknown host" 6 "$(status_of inside curl -s --max-time 10 "http://name.invalid/")"

step "the server inside, curl outside, then both inside"
read -r p < <(free_ports 1)
inside_bg inner python3 "$src/httpd.py" 127.0.0.1 "$p" "$T/www"; wait_port tcp "$p" "$pid"
outside curl -sS -f -Z -o "$T/in.#1" "http://127.0.0.1:$p/big?[1-4]" 2>"$T/parallel.log"
eq "big files from inside" "4 $(sum "$T/www/big")" "$(sha256sum "$T"/in.* | cut -d' ' -f1 | uniq -c | sed 's/^ *//')"
eq "upload to inside" "$(sum "$T/www/big")" "$(outside curl -sS -T "$T/www/big" "http://127.0.0.1:$p/put")"
inside curl -sS -f -o "$T/both" "http://127.0.0.1:$p/big"
same "both inside" "$T/www/big" "$T/both"
