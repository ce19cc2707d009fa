#!/usr/bin/env bash
# git over smart HTTP: http-backend behind nginx and fcgiwrap; clone, push of many objects, shallow fetch; either end inside.
. "$(dirname "$0")/../lib.sh"
need git nginx fcgiwrap
[[ -x /usr/lib/git-core/git-http-backend ]] || fail "no git-http-backend"
export HOME=$T GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
git config --global user.name t; git config --global user.email t@example.com; git config --global init.defaultBranch main; git config --global safe.directory '*'
mkdir "$T/srv"
git init -q "$T/repo"; data "$T/repo/big" 3000000; git -C "$T/repo" add .; git -C "$T/repo" commit -qm one
echo 2 >"$T/repo/two"; git -C "$T/repo" add .; git -C "$T/repo" commit -qm two
git clone -q --bare "$T/repo" "$T/srv/repo.git"; git -C "$T/srv/repo.git" config http.receivepack true
# nginx_on SIDE PORT FCGI-PORT: nginx and fcgiwrap speak TCP, too
nginx_on() {
    mkdir "$T/$1"
    cat >"$T/$1/nginx.conf" <<CONF
$([[ $(id -u) != 0 ]] || echo "user root;")
daemon off;
pid $T/$1/pid;
events { worker_connections 128; }
http {
    access_log off;
    client_body_temp_path $T/$1/body; proxy_temp_path $T/$1/proxy; fastcgi_temp_path $T/$1/fastcgi;
    uwsgi_temp_path $T/$1/uwsgi; scgi_temp_path $T/$1/scgi;
    client_max_body_size 100m;
    server {
        listen 127.0.0.1:$2;
        location / {
            fastcgi_pass 127.0.0.1:$3;
            fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
            fastcgi_param GIT_PROJECT_ROOT $T/srv; fastcgi_param GIT_HTTP_EXPORT_ALL ""; fastcgi_param HOME $T;
            fastcgi_param PATH_INFO \$uri; fastcgi_param QUERY_STRING \$query_string; fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param CONTENT_TYPE \$content_type; fastcgi_param CONTENT_LENGTH \$content_length; fastcgi_param REMOTE_ADDR \$remote_addr;
            fastcgi_param GIT_PROTOCOL \$http_git_protocol;
        }
    }
}
CONF
    "$1_bg" "fcgi-$1" fcgiwrap -s "tcp:127.0.0.1:$3"; wait_port tcp "$3" "$pid"
    "$1_bg" "nginx-$1" nginx -e "$T/$1/error.log" -p "$T/$1" -c "$T/$1/nginx.conf"; wait_port tcp "$2" "$pid"
}
# exercise SIDE PORT NAME
exercise() {
    step "$3"
    local u=http://127.0.0.1:$2/repo.git
    $1 git clone -q "$u" "$T/$3"; same "$3" "$T/repo/big" "$T/$3/big"
    for i in {1..200}; do echo "$3 $i $RANDOM" >"$T/$3/f$i"; done
    data "$T/$3/more" 3000000
    git -C "$T/$3" add .; git -C "$T/$3" commit -qm "$3"
    $1 git -C "$T/$3" push -q origin HEAD:main
    eq "pushed" "$(git -C "$T/$3" rev-parse HEAD)" "$(git -C "$T/srv/repo.git" rev-parse main)"
    $1 git clone -q --depth 1 "$u" "$T/$3-shallow"
    eq "shallow" 1 "$(git -C "$T/$3-shallow" rev-list --count HEAD)"
    $1 git -C "$T/$3-shallow" fetch -q --unshallow
    eq "all of it" "$(git -C "$T/$3" rev-list --count HEAD)" "$(git -C "$T/$3-shallow" rev-list --count HEAD)"
    git -C "$T/srv/repo.git" fsck --strict >"$T/fsck.log" 2>&1 || fail "fsck"
}
read -r po fo pi fi_ < <(free_ports 4)
nginx_on outside "$po" "$fo"
nginx_on inside "$pi" "$fi_"
exercise inside "$po" client-inside
exercise outside "$pi" server-inside
exercise inside "$pi" both-inside
