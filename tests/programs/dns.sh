#!/usr/bin/env bash
# Names: dig, and every resolver (glibc, musl, Go's, Python's, busybox's, curl's), against dnsmasq outside; then dnsmasq inside.
. "$(dirname "$0")/lib.sh"
need dnsmasq dig unshare getent busybox curl python3
need_helper tests-fetch tests-fetch-musl tests-go-static tests-go-cgo
need_root "a name server on port 53 needs root"
ns=127.$((RANDOM % 200 + 10)).$((RANDOM % 250 + 1)).53     # resolv.conf cannot name a port, so the address is what differs
read -r pw pi < <(free_ports 2)
long=$(printf 'x%.0s' {1..200})
records() {
    printf '%s\n' --no-resolv --no-hosts --no-daemon --conf-file=/dev/null --user=root --pid-file= --bind-interfaces \
        --host-record=web.test,127.0.0.1 --host-record=six.test,::1 --host-record=dual.test,127.0.0.1,::1 \
        --cname=alias.test,web.test --txt-record=text.test,hello --local=/test/ \
        --txt-record=big.test,a"$long" --txt-record=big.test,b"$long" --txt-record=big.test,c"$long" \
        --txt-record=big.test,d"$long" --txt-record=big.test,e"$long" --txt-record=big.test,f"$long"
}
mapfile -t args < <(records)
outside_bg dnsmasq dnsmasq "${args[@]}" --listen-address="$ns" --port=53
server=$pid
for ((i = 0; i < 100; i++)); do [[ -n $(ss -Hlun "src = $ns:53") ]] && break; kill -0 "$server" || fail "dnsmasq"; sleep 0.05; done
mkdir "$T/www"; echo page >"$T/www/page"
outside_bg web python3 "$src/httpd.py" 127.0.0.1 "$pw" "$T/www"; wait_port tcp "$pw" "$pid"

printf 'nameserver %s\noptions timeout:3 attempts:2\n' "$ns" >"$T/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$T/hosts"
printf 'hosts: files dns\n' >"$T/nsswitch.conf"
# A private /etc around $RUN.
private() {
    timeout -k 1 "$LIMIT" unshare -m sh -c 'for f in resolv.conf hosts nsswitch.conf; do
        mount --bind "$0/$f" /etc/$f || exit 99; done; exec "$@"' "$T" "$@"
}
named() { private $RUN "$@"; }
[[ $(status_of private true 2>/dev/null) == 0 ]] || fail "cannot bind-mount over /etc/resolv.conf: run this where root may make mount namespaces (unshare -m)"

step "dig"
d="inside dig @$ns +time=3 +tries=2 +short"
eq "A" 127.0.0.1 "$($d web.test A)"
eq "AAAA" ::1 "$($d six.test AAAA)"
eq "CNAME" "web.test. 127.0.0.1" "$($d alias.test A | xargs)"
eq "over TCP" 127.0.0.1 "$($d +tcp web.test A)"
eq "truncated, so again over TCP" 6 "$($d +noedns big.test TXT | wc -l)"
eq "twenty queries" 20 "$($d $(for i in {1..10}; do echo web.test A six.test AAAA; done) | wc -l)"
eq "no such name" NXDOMAIN "$(inside dig @"$ns" none.test | sed -n 's/.*status: \([A-Z]*\),.*/\1/p')"
eq "nobody there" 9 "$(status_of inside dig @127.0.0.1 -p "$pi" +time=1 +tries=1 web.test | tail -n 1)"

step "glibc"
eq "getent ahosts" "$(private getent ahosts dual.test | sort)" "$(named getent ahosts dual.test | sort)"
eq "getent hosts" 127.0.0.1 "$(named getent hosts web.test | awk '{print $1}')"
eq "AI_ADDRCONFIG" "$(private "$bin/tests-fetch" dual.test 80)" "$(named "$bin/tests-fetch" dual.test 80)"
eq "unknown name" 6 "$(status_of named "$bin/tests-fetch" none.test 80 2>/dev/null)"
eq "fetch by name" page "$(named "$bin/tests-fetch" web.test "$pw" /page)"
eq "python" "$(private python3 -c 'import socket; print(sorted(socket.getaddrinfo("dual.test", 80)))')" \
    "$(named python3 -c 'import socket; print(sorted(socket.getaddrinfo("dual.test", 80)))')"
eq "curl" page "$(named curl -sS "http://alias.test:$pw/page")"
eq "curl, unknown name" 6 "$(status_of named curl -s "http://none.test:$pw/")"
step "musl and busybox"
eq "musl" "$(private "$bin/tests-fetch-musl" dual.test 80)" "$(named "$bin/tests-fetch-musl" dual.test 80)"
eq "musl by name" page "$(named "$bin/tests-fetch-musl" web.test "$pw" /page)"
eq "busybox wget by name" page "$(named busybox wget -q -O - "http://web.test:$pw/page")"
named busybox nslookup web.test >"$T/nslookup" || fail "busybox nslookup: $(cat "$T/nslookup")"
grep -q '^Address.*127.0.0.1$' "$T/nslookup" || fail "busybox nslookup: $(cat "$T/nslookup")"
step "Go"
for f in static cgo; do
    eq "Go, $f" "127.0.0.1 ::1" "$(named "$bin/tests-go-$f" resolve dual.test)"
    eq "Go, $f, localhost" "$(private "$bin/tests-go-$f" resolve localhost)" "$(named "$bin/tests-go-$f" resolve localhost)"
    eq "Go, $f, unknown name" 1 "$(status_of named "$bin/tests-go-$f" resolve none.test 2>/dev/null)"
    eq "Go, $f, fetch by name" 5 "$(named "$bin/tests-go-$f" get "http://web.test:$pw/page" 1 1 | cut -d' ' -f1)"
done

step "dnsmasq inside"
inside_bg inner dnsmasq "${args[@]}" --listen-address=127.0.0.1 --port="$pi"
wait_port udp "$pi" "$pid"
eq "UDP" 127.0.0.1 "$(outside dig @127.0.0.1 -p "$pi" +time=3 +tries=2 +short web.test)"
eq "TCP" 127.0.0.1 "$(outside dig @127.0.0.1 -p "$pi" +time=3 +tries=2 +short +tcp web.test)"
eq "both inside" 6 "$(inside dig @127.0.0.1 -p "$pi" +time=3 +tries=2 +short +noedns big.test TXT | wc -l)"
