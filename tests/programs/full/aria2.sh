#!/usr/bin/env bash
# aria2: a file in eight parts from nginx inside and outside, and by BitTorrent from one aria2 to another, one of them inside.
. "$(dirname "$0")/../lib.sh"
need aria2c nginx
mkdir -p "$T/www" "$T/n"
data "$T/www/big" 16000000
read -r po pi < <(free_ports 2)
for p in "$po" "$pi"; do
    mkdir "$T/n/$p"
    cat >"$T/n/$p/conf" <<CONF
$([[ $(id -u) != 0 ]] || echo "user root;")
daemon off;
pid $T/n/$p/pid;
events { worker_connections 128; }
http {
    access_log off;
    client_body_temp_path $T/n/$p/body; proxy_temp_path $T/n/$p/proxy; fastcgi_temp_path $T/n/$p/fastcgi; uwsgi_temp_path $T/n/$p/uwsgi; scgi_temp_path $T/n/$p/scgi;
    server { listen 127.0.0.1:$p; root $T/www; }
}
CONF
done
get=(aria2c --no-conf -q --allow-overwrite=true --auto-file-renaming=false --file-allocation=none --async-dns=false --enable-dht=false -t 5 -m 2 -d "$T")
outside_bg out nginx -e "$T/out.err" -p "$T/n/$po" -c "$T/n/$po/conf"; wait_port tcp "$po" "$pid"
inside_bg in nginx -e "$T/in.err" -p "$T/n/$pi" -c "$T/n/$pi/conf"; wait_port tcp "$pi" "$pid"
parts=(-x 8 -s 8 -k 1M)
inside "${get[@]}" "${parts[@]}" -o a "http://127.0.0.1:$po/big"; same "aria2c inside" "$T/www/big" "$T/a"
outside "${get[@]}" "${parts[@]}" -o b "http://127.0.0.1:$pi/big"; same "nginx inside" "$T/www/big" "$T/b"
inside "${get[@]}" "${parts[@]}" -o c "http://127.0.0.1:$pi/big"; same "both inside" "$T/www/big" "$T/c"
inside "${get[@]}" "${parts[@]}" -o d "http://127.0.0.1:$pi/big" "http://127.0.0.1:$po/big"; same "from two servers" "$T/www/big" "$T/d"
eq "404" 3 "$(status_of inside "${get[@]}" -o e "http://127.0.0.1:$po/none" 2>/dev/null)"
