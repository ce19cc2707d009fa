#!/usr/bin/env bash
# socat and OpenBSD's nc: TCP, UDP, half-close, forking listeners, sources, AF_UNIX left alone.
. "$(dirname "$0")/lib.sh"
need socat nc.openbsd
data "$T/file" 1000000
read -r a b c d e f g h none < <(free_ports 9)

step "socat: a forking echo server inside"
inside_bg echo socat "TCP4-LISTEN:$a,bind=127.0.0.1,fork,reuseaddr" EXEC:cat; wait_port tcp "$a" "$pid"
for i in 1 2 3 4 5; do
    outside socat -t 5 - "TCP4:127.0.0.1:$a" <"$T/file" >"$T/got.$i" & jobs[i]=$!
done
for i in 1 2 3 4 5; do wait "${jobs[i]}" || fail "client $i"; same "echo $i" "$T/file" "$T/got.$i"; done
inside socat -t 5 - "TCP4:127.0.0.1:$a" <"$T/file" >"$T/got"; same "both inside" "$T/file" "$T/got"

step "socat: the client inside, from a chosen port, on IPv6"
outside_bg server socat "TCP6-LISTEN:$b,bind=[::1],fork,reuseaddr" SYSTEM:'cat; echo "$SOCAT_PEERPORT"'; wait_port tcp "$b" "$pid"
inside socat -t 5 - "TCP6:[::1]:$b,sourceport=$c,reuseaddr" <"$T/file" >"$T/got"
eq "half-close, then the port" "$c" "$(tail -c +1000001 "$T/got")"
eq "refused" 1 "$(status_of inside socat - "TCP4:127.0.0.1:$none" 2>/dev/null)"

step "socat: a relay inside"
inside_bg relay socat "TCP4-LISTEN:$d,bind=127.0.0.1,fork,reuseaddr" "TCP4:127.0.0.1:$a"; wait_port tcp "$d" "$pid"
outside socat -t 5 - "TCP4:127.0.0.1:$d" <"$T/file" >"$T/got"; same "relay" "$T/file" "$T/got"

step "socat: UDP"
inside_bg udp socat "UDP4-RECVFROM:$e,bind=127.0.0.1,fork" EXEC:'tr a-z A-Z'; wait_port udp "$e" "$pid"
for side in outside inside; do
    # Its input ends when the answer is here.
    { echo hello; until_true 10 test -s "$T/udp.$side"; } | $side socat -t 0.1 - "UDP4:127.0.0.1:$e" >"$T/udp.$side"
    eq "UDP from $side" HELLO "$(cat "$T/udp.$side")"
done

step "socat: AF_UNIX is the program's own"
inside_bg unix socat "UNIX-LISTEN:$T/sock,fork" EXEC:cat
for ((i = 0; i < 100; i++)); do [[ -S $T/sock ]] && break; sleep 0.05; done
eq "AF_UNIX" local "$(echo local | inside socat -t 5 - "UNIX-CONNECT:$T/sock")"

step "nc"
# One way at a time: an nc whose peer has finished may stop before its own input has gone out, on the bare kernel too.
(inside nc.openbsd -l 127.0.0.1 "$f" >"$T/nc.in") & listener=$!; started+=("$listener")
wait_port tcp "$f" "$listener"
outside nc.openbsd -N 127.0.0.1 "$f" <"$T/file"
wait "$listener" || fail "nc inside"
same "to nc inside" "$T/file" "$T/nc.in"
(inside nc.openbsd -l -N 127.0.0.1 "$h" <"$T/file") & listener=$!; started+=("$listener")
wait_port tcp "$h" "$listener"
outside nc.openbsd -d 127.0.0.1 "$h" >"$T/nc.out"
wait "$listener" || fail "nc inside"
same "from nc inside" "$T/file" "$T/nc.out"
eq "nc -z, nobody there" 1 "$(status_of inside nc.openbsd -z 127.0.0.1 "$none")"
eq "nc -z" 0 "$(status_of inside nc.openbsd -z 127.0.0.1 "$a")"
eq "nc -w, a server that says nothing" 0 "$(status_of inside nc.openbsd -w 1 127.0.0.1 "$a" </dev/null)"
(inside nc.openbsd -u -l -W 1 127.0.0.1 "$g" >"$T/nc.udp") & listener=$!; started+=("$listener")
wait_port udp "$g" "$listener"
echo datagram | outside nc.openbsd -u -q 0 127.0.0.1 "$g"
wait "$listener" || fail "nc -u inside"
eq "nc -u" datagram "$(cat "$T/nc.udp")"
