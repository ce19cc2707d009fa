#!/usr/bin/env bash
# The traditional netcat: both ways over TCP, a program behind a port, UDP, a chosen source port, a port scan; and against OpenBSD's.
. "$(dirname "$0")/lib.sh"
need nc.traditional nc.openbsd
data "$T/file" 1000000
read -r src_port none < <(free_ports 2)
mkfifo "$T/quiet"; exec 8<>"$T/quiet"      # a listener at the end of its input hangs up
# exercise SERVER-SIDE CLIENT-SIDE
exercise() {
    local a b c d s=$1 k=$2
    step "listener $s, client $k"
    read -r a b c d < <(free_ports 4)
    ($s nc.traditional -l -s 127.0.0.1 -p "$a" <&8 >"$T/got") & listener=$!; started+=("$listener"); wait_port tcp "$a" "$listener"
    $k nc.traditional -q 0 -w 5 127.0.0.1 "$a" <"$T/file"
    wait "$listener" || fail "listener"
    same "to the listener" "$T/file" "$T/got"
    ($s nc.traditional -q 0 -l -s 127.0.0.1 -p "$b" <"$T/file") & listener=$!; started+=("$listener"); wait_port tcp "$b" "$listener"
    $k nc.openbsd -d 127.0.0.1 "$b" >"$T/got"
    wait "$listener" || fail "listener"
    same "from the listener, to OpenBSD's" "$T/file" "$T/got"
    ($s nc.traditional -l -s 127.0.0.1 -p "$c" -c 'read -r line; echo "[$line]"') & listener=$!; started+=("$listener"); wait_port tcp "$c" "$listener"
    eq "a program behind a port" "[hello]" "$(echo hello | $k nc.traditional -w 5 127.0.0.1 "$c")"
    wait "$listener" || fail "listener"
    "${s}_bg" udp nc.traditional -u -l -s 127.0.0.1 -p "$d"; listener=$pid; wait_port udp "$d" "$listener"
    echo datagram | $k nc.traditional -u -q 0 -p "$src_port" 127.0.0.1 "$d"
    wait_file "$T/udp.log"
    eq "UDP" datagram "$(cat "$T/udp.log")"
    stop "$listener"
}
exercise outside inside
exercise inside outside
exercise inside inside
step "a scan"
read -r open < <(free_ports 1)
outside_bg open nc.openbsd -k -l 127.0.0.1 "$open"; wait_port tcp "$open" "$pid"
eq "what is open" "$open" "$(inside nc.traditional -v -n -z -w 1 127.0.0.1 "$open" "$none" 2>&1 | sed -n 's/.*\] \([0-9]*\) (.*) open$/\1/p')"
eq "nobody there" 1 "$(status_of inside nc.traditional -z 127.0.0.1 "$none")"
