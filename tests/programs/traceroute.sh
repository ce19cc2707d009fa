#!/usr/bin/env bash
# traceroute of Debian, with each of its methods, through two routers.
. "$(dirname "$0")/raw.sh"
need traceroute tcpdump ss
LIMIT=30
. "$here/far.sh"
END=splitsock-end-$$
remove_end() { ip netns del "$END" 2>/dev/null; }
at_exit+=(remove_end)
ip netns add "$END"
ip -n "$FAR" link add g0 type veth peer name e0 netns "$END"
for side in "$FAR g0 10.79.0.1 fd79::1" "$END e0 10.79.0.2 fd79::2"; do
    read -r ns name v4 v6 <<<"$side"
    ip -n "$ns" link set "$name" up
    ip -n "$ns" addr add "$v4/24" dev "$name"
    ip -n "$ns" addr add "$v6/64" dev "$name" nodad
done
for name in f0 g0; do ip -n "$FAR" addr add fe80::1/64 dev $name nodad; done
ip -n "$END" link set lo up
ip -n "$END" route add default via 10.79.0.1; ip -n "$END" -6 route add default via fd79::1
ip -n "$FAR" route add default via 10.78.0.1; ip -n "$FAR" -6 route add default via fd78::1
ip -n "$PEER" route add 10.79.0.0/24 via 10.78.0.2; ip -n "$PEER" -6 route add fd79::/64 via fd78::2
ip -n "$HOST" route add 10.79.0.0/24 via $P4; ip -n "$HOST" -6 route add fd79::/64 via $P6
ip netns exec "$FAR" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
ip netns exec "$END" sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit'
host ping -q -c 1 -w 4 fd79::2 >"$T/ping.log" || fail "no way"
outside_bg server ip netns exec "$END" $python -m http.server --bind 10.79.0.2 80
outside_bg server6 ip netns exec "$END" $python -m http.server --bind fd79::2 80
until_true 10 eval '[[ $(ip netns exec $END ss -Hltn "sport = :80" | wc -l) == 2 ]]' || fail "no server"
outside_bg arrived ip netns exec "$END" tcpdump -n -l -i e0 'src host 10.77.0.1 or src host fd77::1'
wait_line "$T/arrived.log" 'listening on'

V4="1 10.77.0.2 2 10.78.0.2 3 10.79.0.2" V6="1 fd77::2 2 fd78::2 3 fd79::2"
# hops OPTION…: the numbers and addresses that traceroute prints, if each hop has answered all three probes
hops() { inside traceroute -n -w 3 "$@" 2>&1 | awk 'NR > 1 { print $1, $2; if (NF != 8) print "incomplete:", $0 }' | xargs; }

step "UDP"
eq "IPv4" "$V4" "$(hops 10.79.0.2)"
eq "IPv6" "$V6" "$(hops fd79::2)"
wait_line "$T/arrived.log" '10.77.0.1.' 3
step "one probe after the other"
eq "IPv4" "$V4" "$(hops -N 1 10.79.0.2)"
step "ICMP"
eq "IPv4" "$V4" "$(hops -I 10.79.0.2)"
eq "IPv6" "$V6" "$(hops -I fd79::2)"
wait_line "$T/arrived.log" 'ICMP echo request' 3
wait_line "$T/arrived.log" 'ICMP6, echo request' 3
step "TCP"
eq "IPv4" "$V4" "$(hops -T 10.79.0.2)"
eq "IPv6" "$V6" "$(hops -T fd79::2)"
wait_line "$T/arrived.log" '10.79.0.2.80: Flags [S]' 3
wait_line "$T/arrived.log" 'fd79::2.80: Flags [S]' 3
step "UDP to one port"
eq "IPv4" "$V4" "$(hops -U 10.79.0.2)"
step "a router that will not"
ip -n "$FAR" route add prohibit 10.79.0.9; ip -n "$FAR" -6 route add prohibit fd79::9
eq "IPv4" "10.78.0.2 !X" "$(inside traceroute -n -q 1 -w 3 10.79.0.9 | awk 'END { print $2, $NF }')"
eq "IPv6" "fd78::2 !X" "$(inside traceroute -n -q 1 -w 3 fd79::9 | awk 'END { print $2, $NF }')"
