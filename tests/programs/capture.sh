#!/usr/bin/env bash
# tcpdump: what it captures inside is what one on the host captures at the same time, flags, tags and lengths included.
. "$(dirname "$0")/raw.sh"
need tcpdump ping
frames() { peer $python "$src/frames.py" p0 "$@"; }
frames_out() { host $python "$src/frames.py" h0 "$@"; }
mode="--immediate-mode -s 2000"      # at once; tcpdump's own ring has larger blocks, and a second for each
mark=frames                         # sends what both captures begin and end with

# both NAME ARGUMENTS…: captures with one inside and, at the same time, one on the host
both() {
    inside_bg "$1.in" tcpdump -Z root -w "$T/in/$1.in" --print -l -nn -v $mode "${@:2}"; in=$pid
    host_bg "$1.out" tcpdump -Z root -w "$T/in/$1.out" --print -l -nn -v $mode "${@:2}"; out=$pid
    wait_line "$T/$1.in.log" 'listening on'; wait_line "$T/$1.out.log" 'listening on'
    $mark 65000
}
# alike NAME: ends both once they have got everything, and compares; what there was is left in $T/NAME, a line for each packet
order=cat
alike() {
    local side
    $mark 65001
    for side in in out; do wait_line "$T/$1.$side.log" 'id 65001,'; done
    stop "$in"; eq "status inside" 0 "$status"; stop "$out"
    for side in in out; do
        # Who reads it is the host: it has the numbers of the interfaces.
        host tcpdump -nn -t -e -vv -X -r "$T/in/$1.$side" 2>/dev/null |
            awk '/^[^ \t]/ { printf "%s", (NR > 1) ? "\n" : "" } { gsub(/[ \t]+/, " "); printf "%s", $0 } END { print "" }' |
            sed '0,/ id 65000,/d; / id 65001,/,$d' | $order >"$T/$1.$side"
        eq "$1: dropped $side" 0 "$(sed -n 's/ packets dropped by kernel//p' "$T/$1.$side.log")"
    done
    cmp -s "$T/$1.in" "$T/$1.out" || fail "$1: inside is not as on the host: $(diff "$T/$1.in" "$T/$1.out" | head -n 20)"
    [[ -s $T/$1.in ]] || fail "$1: nothing"
    mv "$T/$1.in" "$T/$1"
}
# ids NAME: the identifications of those that are ours
ids() { sed -n '/ICMP/d; s/.* id \([0-9]*\), .*4001 > .*/\1/p' "$T/$1" | xargs; }

step "interfaces"
eq "tcpdump -D" "$(host tcpdump -D)" "$(inside tcpdump -D)"
eq "no such interface" 1 "$(status_of inside tcpdump -i h9 2>"$T/error")"
eq "its message" "$(host tcpdump -i h9 2>&1 | tail -n 1)" "$(tail -n 1 "$T/error")"

step "promiscuous mode lasts as long as a capture, however it ends"
eq "before" 0 "$(promiscuity)"
inside_bg p tcpdump -i h0 -w /dev/null -p; wait_line "$T/p.log" 'listening on'
eq "tcpdump -p" 0 "$(promiscuity)"
stop "$pid"
inside_bg p1 tcpdump -i h0 -w /dev/null; p1=$pid; wait_line "$T/p1.log" 'listening on'
eq "one" 1 "$(promiscuity)"
inside_bg p2 tcpdump -i h0 -w /dev/null; p2=$pid; wait_line "$T/p2.log" 'listening on'
eq "two" 2 "$(promiscuity)"
kill -9 $(descendants "$p2") "$p2"
wait "$p2" 2>/dev/null || true
until_true 30 promiscuity_is 1 || fail "killed: $(promiscuity) instead of 1"
stop "$p1"
until_true 30 promiscuity_is 0 || fail "ended: $(promiscuity) instead of 0"

step "a known set, through the ring as tcpdump sets it up"
inside_bg set tcpdump -i h0 -nn -vv -t -l -c 22 'udp dst port 4000 and ip[4:2] != 65000'; set=$pid
wait_line "$T/set.log" 'listening on'
frames 1-20,size=40 30-40,port=5000 21,vlan=7 22,size=1472
gone "$set" 30 || fail "tcpdump has not got its 22: $(tail -n 3 "$T/set.log")"
eq "exactly these, in order" "$(seq 22 | xargs)" "$(grep -o ' id [0-9]*,' "$T/set.log" | tr -dc '0-9\n' | xargs)"
eq "and none is damaged" 22 "$(grep -c 'udp sum ok' "$T/set.log")"

step "everything, both ways, at the same time as on the host"
mode= both all -i h0
frames 1-60,size=100 61,to=02:99:00:00:00:09 62,to=ff:ff:ff:ff:ff:ff,dst=10.77.0.255 63,to=01:00:5e:01:01:01,dst=224.1.1.1 64,size=1472 \
    65,vlan=5 66,vlan=9.12 67,size=0
peer ping -q -c 2 -i 0.01 -s 900 $H4 >"$T/ping.log"
peer ping -q -c 2 -i 0.01 -s 900 $H6 >"$T/ping.log"
# Both ends leave checksums and segments to the interface.
cat >"$T/bulk.py" <<'PY'
import socket, sys
if sys.argv[1] == "serve":
    s = socket.create_server(("10.77.0.2", 7000))
    print("ready", flush=True)
    c = s.accept()[0]
    n = 0
    while n < 300000:
        n += len(c.recv(65536))
    c.sendall(bytes(300000))
else:
    c = socket.create_connection(("10.77.0.2", 7000))
    c.sendall(bytes(300000))
    n = 0
    while n < 300000:
        n += len(c.recv(65536))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.sendto(b"checksum to come", ("10.77.0.1" if sys.argv[1] == "serve" else "10.77.0.2", 9))
PY
peer_bg bulk $python "$T/bulk.py" serve; wait_line "$T/bulk.log" ready
host $python "$T/bulk.py" get
gone "$pid" 5 || fail "the server stayed"
alike all
eq "of our own" "$(seq 67 | xargs)" "$(ids all)"
(($(grep -c 'incorrect\|bad udp cksum' "$T/all") > 2)) || fail "no checksums left to the interface"
(($(sed -n 's/.*ethertype IPv4 (0x0800), length \([0-9]*\):.*/\1/p' "$T/all" | awk '$1 > 1514' | wc -l) > 2)) || fail "no frame longer than the MTU"
eq "a tag" 1 "$(grep -c 'vlan 5, p 0.* id 65,' "$T/all")"
eq "two tags" 1 "$(grep -c '802.1Q-QinQ.*vlan 9, p 0.*vlan 12, p 0.* id 66,' "$T/all")"

step "filters"
both vlan -i h0 'ip[4:2] >= 65000 or vlan 5'
frames 1 2,vlan=5 3,vlan=6 4,vlan=5.7 5
alike vlan
eq "by the tag" "2 4" "$(ids vlan)"
echo 'udp port 5000 and greater 200 or ip[4:2] >= 65000' >"$T/filter"
both file -i h0 -F "$T/filter" -p
frames 1,port=5000,size=300 2,port=5000,size=10 3,size=300 4,port=5000,size=300,to=02:99:00:00:00:09
alike file
eq "from a file" "1 4" "$(ids file)"

step "directions"
for q in in out; do
    [[ $q == out ]] && mark=frames_out || mark=frames
    both "d-$q" -i h0 -Q "$q" 'ip[4:2] >= 65000 or icmp[0] = 0 or icmp[0] = 8'
    peer ping -q -c 1 -s 700 $H4 >"$T/ping.log"
    alike "d-$q"
done
eq "in" "request" "$(grep -o 'ICMP echo re[a-z]*' "$T/d-in" | cut -c11- | xargs)"
eq "out" "reply" "$(grep -o 'ICMP echo re[a-z]*' "$T/d-out" | cut -c11- | xargs)"

step "any interface, and the loopback"
# What passes here and there in one moment has no order.
order=sort
both any -i any
frames 1-5 6,vlan=8 7,to=ff:ff:ff:ff:ff:ff
host ping -q -c 1 -s 600 127.0.0.1 >"$T/ping.log"
host ping -q -c 1 -s 601 $P4 >"$T/ping.log"
alike any
for line in '^h0 *In .* id 1,' '^h0 *B .* id 7,' '^h0 *Out .*length 609' '^lo *In .*request.*length 608'; do
    grep -q "$line" "$T/any" || fail "-i any: no '$line' in $(cut -c-150 "$T/any")"
done
