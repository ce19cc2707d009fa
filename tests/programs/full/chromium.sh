#!/usr/bin/env bash
# Chromium without a head: a page with twenty parts over HTTP/2 and TLS, a script that fetches and posts; the server bare, then inside.
. "$(dirname "$0")/../lib.sh"
need chromium-headless-shell nginx openssl python3
certificate site
read -r po pi web < <(free_ports 3)
mkdir "$T/www"
data "$T/www/big" 3000000
for i in {1..20}; do echo "window.parts = (window.parts || 0) + 1; // $i" >"$T/www/part$i.js"; done
{ echo '<!doctype html><title>t</title><body><p id=r>not yet</p>'; for i in {1..20}; do echo "<script src=/part$i.js></script>"; done
cat <<'HTML'
<script>(async () => {
  const hex = async b => [...new Uint8Array(await crypto.subtle.digest('SHA-256', b))].map(x => x.toString(16).padStart(2, '0')).join('');
  const body = await (await fetch('/big')).arrayBuffer(), sum = await hex(body);
  const posted = await (await fetch('/up/x', { method: 'POST', body })).text();
  const all = await Promise.all([...Array(30)].map((_, i) => fetch('/part1.js?' + i).then(r => r.text())));
  document.getElementById('r').textContent = [parts, sum, posted === sum, all.filter(t => t.includes('// 1')).length, performance.getEntriesByName(location.origin + '/big')[0].nextHopProtocol].join(' ');
})().catch(e => { document.getElementById('r').textContent = 'error ' + e; });</script>
HTML
} >"$T/www/index.html"
outside_bg web python3 "$src/httpd.py" 127.0.0.1 "$web" "$T/www"; wait_port tcp "$web" "$pid"
for p in "$po" "$pi"; do
    mkdir "$T/$p"
    cat >"$T/$p/conf" <<CONF
$([[ $(id -u) != 0 ]] || echo "user root;")
daemon off;
pid $T/$p/pid;
events { worker_connections 128; }
http {
    access_log off;
    client_body_temp_path $T/$p/body; proxy_temp_path $T/$p/proxy; fastcgi_temp_path $T/$p/fastcgi; uwsgi_temp_path $T/$p/uwsgi; scgi_temp_path $T/$p/scgi;
    client_max_body_size 50m;
    types { text/html html; application/javascript js; }
    server {
        listen 127.0.0.1:$p ssl http2;
        ssl_certificate $T/site.crt; ssl_certificate_key $T/site.key; ssl_protocols TLSv1.2 TLSv1.3;
        root $T/www;
        location /up/ { proxy_pass http://127.0.0.1:$web/; }
    }
}
CONF
done
outside_bg out nginx -e "$T/out.err" -p "$T/$po" -c "$T/$po/conf"; wait_port tcp "$po" "$pid"
inside_bg in nginx -e "$T/in.err" -p "$T/$pi" -c "$T/$pi/conf"; wait_port tcp "$pi" "$pid"
browse() { # SIDE PORT
    LIMIT=25 $1 chromium-headless-shell --no-sandbox --disable-gpu --disable-dev-shm-usage --ignore-certificate-errors --user-data-dir="$T/profile$((++n))" \
        --virtual-time-budget=8000 --dump-dom "https://127.0.0.1:$2/" 2>"$T/chromium.log" | sed -n 's/.*<p id="r">\([^<]*\)<.*/\1/p'
}
n=0 want="20 $(sum "$T/www/big") true 30 h2"
eq "bare" "$want" "$(browse outside "$po")"
eq "the browser inside" "$want" "$(browse inside "$po")"
eq "both inside" "$want" "$(browse inside "$pi")"
