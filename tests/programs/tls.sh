#!/usr/bin/env bash
# TLS and HTTP/2: nginx and curl, reload with a new certificate during a download; openssl's own server and client.
. "$(dirname "$0")/lib.sh"
need nginx curl openssl python3
certificate one; certificate two
mkdir -p "$T/www"
data "$T/www/big" 8000000
data "$T/www/small" 3000
read -r po pi web so si < <(free_ports 5)
outside_bg web python3 "$src/httpd.py" 127.0.0.1 "$web" "$T/www"; wait_port tcp "$web" "$pid"

# conf NAME PORT CERTIFICATE
conf() {
    mkdir -p "$T/$1"
    cat >"$T/$1/nginx.conf" <<CONF
$([[ $(id -u) != 0 ]] || echo "user root;")
worker_processes 2;
daemon off;
pid $T/$1/pid;
error_log $T/$1/error.log info;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $T/$1/body; proxy_temp_path $T/$1/proxy; fastcgi_temp_path $T/$1/fastcgi;
    uwsgi_temp_path $T/$1/uwsgi; scgi_temp_path $T/$1/scgi;
    client_max_body_size 50m;
    server {
        listen 127.0.0.1:$2 ssl http2;
        listen [::1]:$2 ssl http2;
        ssl_certificate $T/$3.crt; ssl_certificate_key $T/$3.key; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:s:1m;
        root $T/www;
        location = /who { return 200 "\$remote_addr \$server_protocol \$ssl_protocol\\n"; }
        location /up/ { proxy_pass http://127.0.0.1:$web/; proxy_request_buffering off; }
    }
}
CONF
}
nginx_args() { echo nginx -e "$T/$1/error.log" -p "$T/$1" -c "$T/$1/nginx.conf"; }
# fingerprint SIDE PORT: of the certificate served there
fingerprint() { $1 openssl s_client -connect "127.0.0.1:$2" 2>/dev/null <<<"" | openssl x509 -noout -fingerprint; }
# exercise SIDE PORT
exercise() {
    local curl="$1 curl -sS -f --cacert $T/one.crt" u=https://127.0.0.1:$2
    eq "HTTP/2" "127.0.0.1 HTTP/2.0 TLSv1.3 2" "$($curl --http2 -w %{http_version} "$u/who" | xargs)"
    eq "HTTP/1.1, IPv6" "::1 HTTP/1.1 TLSv1.2 1.1" "$($curl --http1.1 --tls-max 1.2 -w %{http_version} "https://[::1]:$2/who" | xargs)"
    $curl --http2 -o "$T/got" "$u/big"; same "8 MB over HTTP/2" "$T/www/big" "$T/got"
    rm -f "$T"/part.*
    eq "60 streams" "60 of 200, 1 connection" "$($curl --http2 -Z --parallel-max 30 -o "$T/part.#1" \
        -w '%{http_code} %{num_connects}\n' "https://localhost:$2/small?[1-60]" 2>"$T/parallel.log" |
        awk '$1 == 200 { n++ } { c += $2 } END { print n " of 200, " c " connection" }')"
    eq "60 files alike" "60 $(sum "$T/www/small")" "$(sha256sum "$T"/part.* | cut -d' ' -f1 | uniq -c | sed 's/^ *//')"
    eq "upload" "$(sum "$T/www/big")" "$($curl --http2 -T "$T/www/big" "$u/up/x")"
    eq "another's certificate" 60 "$(status_of $1 curl -s --cacert "$T/two.crt" "$u/who")"
}
step "nginx outside, curl inside"
conf out "$po" one
outside_bg out $(nginx_args out); wait_port tcp "$po" "$pid"
exercise inside "$po"
step "nginx inside, curl outside; both inside"
conf in "$pi" one
inside_bg in $(nginx_args in); wait_port tcp "$pi" "$pid"; wait_file "$T/in/pid"; server=$pid
exercise outside "$pi"
exercise inside "$pi"
step "reload during a download"
eq "certificate" "$(openssl x509 -in "$T/one.crt" -noout -fingerprint)" "$(fingerprint inside "$pi")"
outside_bg slow curl -sS -f --http2 --cacert "$T/one.crt" --limit-rate 12M -o "$T/slow" "https://127.0.0.1:$pi/big"; slow=$pid
wait_file "$T/slow"
conf in "$pi" two
kill -HUP "$(cat "$T/in/pid")"
changed() { [[ $(fingerprint outside "$pi") == "$(openssl x509 -in "$T/two.crt" -noout -fingerprint)" ]]; }
until_true 5 changed || fail "the new certificate is not served"
wait "$slow" || fail "the download that was running"
same "the download that was running" "$T/www/big" "$T/slow"
stop "$server" QUIT
eq "status after QUIT" 0 "$status"

step "openssl s_server and s_client, TLS 1.3 and DTLS"
mkfifo "$T/quiet"; exec 8<>"$T/quiet"      # a server at the end of its input hangs up
for pair in "outside $so inside" "inside $si outside"; do
    read -r there port here <<<"$pair"
    for flag in -tls1_3 -dtls1_2; do
        ($there openssl s_server -quiet -naccept 1 "$flag" -accept "127.0.0.1:$port" -cert "$T/one.crt" -key "$T/one.key" <&8 >"$T/heard" 2>"$T/s_server.log") &
        server=$!; started+=("$server")
        if [[ $flag == -dtls* ]]; then wait_port udp "$port" "$server"; else wait_port tcp "$port" "$server"; fi
        { echo "hello $flag"; until_true 5 test -s "$T/heard"; } |
            $here openssl s_client -quiet -no_ign_eof -nocommands -verify_return_error -CAfile "$T/one.crt" "$flag" -connect "127.0.0.1:$port" >"$T/s_client.log" 2>&1 || true
        eq "server $there, client $here" "hello $flag" "$(cat "$T/heard")"
        stop "$server"
    done
done
