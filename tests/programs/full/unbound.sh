#!/usr/bin/env bash
# unbound, asked by dig, host and delv over UDP and TCP; forwarding from an unbound inside to a dnsmasq outside and the reverse.
. "$(dirname "$0")/../lib.sh"
need unbound dnsmasq dig host
read -r dm uo ui none < <(free_ports 4)
outside_bg dnsmasq dnsmasq --no-resolv --no-hosts --no-daemon --conf-file=/dev/null --user=root --pid-file= --bind-interfaces --listen-address=127.0.0.1 --port="$dm" \
    --host-record=up.fwd,127.9.9.9 --txt-record=big.fwd,"$(printf 'x%.0s' {1..250})","$(printf 'y%.0s' {1..250})","$(printf 'z%.0s' {1..250})" --local=/fwd/
wait_port udp "$dm" "$pid"
# conf NAME PORT
conf() {
    cat >"$T/$1.conf" <<CONF
server:
    interface: 127.0.0.1@$2
    interface: ::1@$2
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "$T"
    pidfile: ""
    use-syslog: no
    num-threads: 2
    do-not-query-localhost: no
    module-config: "iterator"
    domain-insecure: "fwd"
    access-control: 127.0.0.0/8 allow
    access-control: ::1 allow
    local-zone: "here." static
    local-data: "www.here. A 127.1.2.3"
    local-data: "www.here. AAAA ::5"
    local-data: "1.here. TXT '$1'"
forward-zone:
    name: "fwd."
    forward-addr: 127.0.0.1@$dm
remote-control:
    control-enable: no
CONF
}
# exercise SIDE NAME PORT
exercise() {
    local d="$1 dig -p $3 +time=3 +tries=2"
    eq "A" 127.1.2.3 "$($d @127.0.0.1 +short www.here)"
    eq "AAAA over IPv6" ::5 "$($d @::1 +short www.here AAAA)"
    eq "TCP" "\"$2\"" "$($d @127.0.0.1 +tcp +short 1.here TXT)"
    eq "no such name" NXDOMAIN "$($d @127.0.0.1 none.here | sed -n 's/.*status: \([A-Z]*\),.*/\1/p')"
    eq "forwarded" 127.9.9.9 "$($d @127.0.0.1 +short up.fwd)"
    eq "forwarded, truncated, again over TCP" 753 "$($d @127.0.0.1 +noedns +short big.fwd TXT | tr -d ' "\n' | wc -c | awk '{ print $1 + 3 }')"
    eq "a hundred on one connection" 100 "$($d @127.0.0.1 +tcp +keepopen +short $(for i in {1..100}; do echo www.here; done) | grep -c 127.1.2.3)"
    eq "host" "www.here has address 127.1.2.3" "$($1 host -t A -p "$3" www.here 127.0.0.1 | tail -n 1)"
    eq "host, every type" 2 "$($1 host -p "$3" www.here 127.0.0.1 | grep -c 'has .*address')"
    eq "host, no such name" "Host none.here not found: 3(NXDOMAIN)" "$($1 host -p "$3" none.here 127.0.0.1 | tail -n 1)"
}
conf out "$uo"; conf in "$ui"
step "unbound outside, clients inside"
outside_bg out unbound -d -c "$T/out.conf"; wait_port udp "$uo" "$pid"
exercise inside out "$uo"
step "unbound inside, clients outside; both inside"
inside_bg in unbound -d -c "$T/in.conf"; wait_port udp "$ui" "$pid"
exercise outside in "$ui"
exercise inside in "$ui"
eq "host, nobody there" 1 "$(status_of inside sh -c "host -W 1 -R 1 -p $none www.here 127.0.0.1 >/dev/null")"
