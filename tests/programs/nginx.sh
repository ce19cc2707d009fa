#!/usr/bin/env bash
# nginx with two workers: outside with curl inside, inside with curl outside, both inside; reload; other users.
. "$(dirname "$0")/lib.sh"
need nginx curl
mkdir -p "$T/www"
data "$T/www/big" 20000000
data "$T/www/small" 3000

# conf NAME PORT TEXT [USER]
conf() {
    mkdir -p "$T/$1"
    cat >"$T/$1/nginx.conf" <<CONF
${4:+user $4;}
worker_processes 2;
daemon off;
pid $T/$1/pid;
error_log $T/$1/error.log info;
events { worker_connections 128; }
http {
    access_log off;
    sendfile on;
    keepalive_timeout 5;
    client_body_temp_path $T/$1/body; proxy_temp_path $T/$1/proxy; fastcgi_temp_path $T/$1/fastcgi;
    uwsgi_temp_path $T/$1/uwsgi; scgi_temp_path $T/$1/scgi;
    server {
        listen 127.0.0.1:$2 ${reuseport-};
        listen [::1]:$2 ${reuseport-};
        root $T/www;
        location = /text { return 200 "$3 \$remote_addr \$server_port\\n"; }
        ${proxy:+location /via/ { proxy_pass http://127.0.0.1:$proxy/; \}}
    }
}
CONF
}
nginx_args() { echo nginx -e "$T/$1/error.log" -p "$T/$1" -c "$T/$1/nginx.conf"; }
workers() { [[ $(ps -o pid= --ppid "$(cat "$T/$1/pid")" | wc -l) == 2 ]]; }
# exercise NAME PORT SIDE: curl on that side
exercise() {
    local side=$3 i
    eq "$1 text" "$1 127.0.0.1 $2" "$($side curl -sS "http://127.0.0.1:$2/text")"
    eq "$1 text, IPv6" "$1 ::1 $2" "$($side curl -sS "http://[::1]:$2/text")"
    $side curl -sS -f -o "$T/got" "http://127.0.0.1:$2/big"
    same "$1 20 MB" "$T/www/big" "$T/got"
    rm -f "$T"/part.*
    $side curl -sS -f -Z --parallel-max 20 -o "$T/part.#1" "http://127.0.0.1:$2/small?[1-80]" 2>"$T/parallel.log"
    eq "$1 parallel" "80 $(sum "$T/www/small")" "$(sha256sum "$T"/part.* | cut -d' ' -f1 | uniq -c | sed 's/^ *//')"
}

user=""
if [[ $(id -u) == 0 ]]; then
    need_setuid "nginx becomes another user"
    user=www-data
fi
read -r po pi pr < <(free_ports 3)

step "outside, curl inside"
conf out "$po" out ${user:+www-data}
outside_bg out $(nginx_args out); wait_port tcp "$po" "$pid"
exercise out "$po" inside

step "inside as '${user:-$(id -un)}', curl outside"
proxy=$po conf in "$pi" in $user
inside_bg in $(nginx_args in); wait_port tcp "$pi" "$pid"; wait_file "$T/in/pid"
server=$pid
exercise in "$pi" outside
workers in || fail "nginx inside does not have its two workers"
step "as a proxy, and both inside"
outside curl -sS -f -o "$T/got" "http://127.0.0.1:$pi/via/big"
same "through the proxy" "$T/www/big" "$T/got"
exercise in "$pi" inside

step "reload"
proxy=$po conf in "$pi" reloaded $user
kill -HUP "$(cat "$T/in/pid")"
for ((i = 0; i < 100; i++)); do
    text=$(outside curl -sS "http://127.0.0.1:$pi/text") || fail "a request failed during the reload"
    [[ $text == reloaded* ]] && break
    sleep 0.03
done
eq "after HUP" "reloaded 127.0.0.1 $pi" "$text"
stop "$server" QUIT
eq "status after QUIT" 0 "$status"
[[ -z $(ss -Hltn "sport = :$pi") ]] || fail "port $pi is still held after nginx ended"

step "SO_REUSEPORT listeners"
reuseport=reuseport conf reuse "$pr" reuse $user
inside_bg reuse $(nginx_args reuse); wait_port tcp "$pr" "$pid"; server=$pid
exercise reuse "$pr" outside
stop "$server"
eq "status after TERM" 0 "$status"

if [[ $user == www-data ]]; then
    step "wholly unprivileged inside"
    read -r pu < <(free_ports 1)
    conf user "$pu" user
    chown -R 65534:65534 "$T/user"
    inside_bg user setpriv --reuid 65534 --regid 65534 --clear-groups $(nginx_args user); wait_port tcp "$pu" "$pid"
    exercise user "$pu" outside
fi
