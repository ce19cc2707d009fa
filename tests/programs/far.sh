# shellcheck shell=bash
# Sourced after raw.sh: a third namespace behind the peer, which forwards; f0 there is 10.78.0.2 and fd78::2.
FAR=splitsock-far-$$
remove_far() { ip netns del "$FAR" 2>/dev/null; }
at_exit+=(remove_far)
ip netns add "$FAR"
ip -n "$PEER" link add q0 type veth peer name f0 netns "$FAR"
for side in "$PEER q0 10.78.0.1 fd78::1" "$FAR f0 10.78.0.2 fd78::2"; do
    read -r ns name v4 v6 <<<"$side"
    ip -n "$ns" link set "$name" up
    ip -n "$ns" addr add "$v4/24" dev "$name"
    ip -n "$ns" addr add "$v6/64" dev "$name" nodad
done
# A router asks for its neighbours from link-local addresses.
for name in p0 q0; do ip -n "$PEER" addr add fe80::1/64 dev $name nodad; done
ip -n "$FAR" link set lo up
ip -n "$FAR" route add 10.77.0.0/24 via 10.78.0.1; ip -n "$FAR" -6 route add fd77::/64 via fd78::1
ip -n "$HOST" route add 10.78.0.0/24 via $P4; ip -n "$HOST" -6 route add fd78::/64 via $P6
# A router's and a host's errors are not limited here.
peer sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit'
ip netns exec "$FAR" sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit'
host ping -q -c 1 -w 4 fd78::2 >"$T/ping.log" || fail "no way"
