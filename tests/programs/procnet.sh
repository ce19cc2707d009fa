#!/usr/bin/env bash
# /proc/net inside is the gofer's host's: what programs read there that know nothing else (Java, nmap, scapy, net-tools).
. "$(dirname "$0")/raw.sh"
[[ -n $RUN ]] || { step "nothing to compare on the bare kernel"; exit 0; }

step "the same files"
ip -n "$HOST" neigh add 10.77.0.9 lladdr 02:77:00:00:00:09 dev h0 nud permanent
ip -n "$HOST" route add 10.99.0.0/16 via $P4 metric 7
ip -n "$HOST" -6 route add fd99::/64 via $P6 metric 8
# What counts and ages is left out; the kernel's order is that of its own tables.
show() {
    case $2 in
    dev) $1 cat /proc/net/dev | sed 's/:.*//' ;;
    ipv6_route) $1 cat /proc/net/ipv6_route | awk '$6 != "ffffffff" { $7 = $8 = ""; print }' | sort ;;
    if_inet6 | arp) $1 cat "/proc/net/$2" | sort ;;
    *) $1 cat "/proc/net/$2" ;;
    esac
}
for file in dev route if_inet6 ipv6_route arp; do
    # `ip netns exec` shows the namespace's own
    outside=$(show host $file)
    [[ $file == dev || $outside == *h0* ]] || fail "$file says nothing on the bare kernel"
    eq "$file" "$outside" "$(show inside $file)"
done

step "counters, a change, and what is not ours"
(( $(inside awk '$1 == "h0:" { print $2 }' /proc/net/dev) > 0 )) || fail "no bytes counted"
inside_bg watch sh -c 'until grep -q " h0" /proc/net/if_inet6 && grep -q fd77000000000000000000000000abcd /proc/net/if_inet6; do sleep 0.1; done; echo seen'
ip -n "$HOST" addr add fd77::abcd/64 dev h0 nodad
wait_line "$T/watch.log" seen
eq "the namespace's own stays" "lo" "$(inside sh -c 'sed -n "s/ *\([a-z0-9]*\):.*/\1/p" /proc/self/net/dev')"
inside sh -c 'cat /proc/net/tcp /proc/net/unix' >/dev/null || fail "/proc/net/tcp"
eq "nobody else sees it" "self/net" "$(readlink /proc/net)"
