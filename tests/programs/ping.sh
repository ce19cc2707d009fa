#!/usr/bin/env bash
# ping and arping; what went out and what came back is counted on the peer.
. "$(dirname "$0")/raw.sh"
need ping arping tcpdump busybox
. "$here/far.sh"
sent() { grep -c "$1" "$T/seen.log" || true; }

peer_bg seen tcpdump -i p0 --immediate-mode -nn -t -l -v "ether src $H_MAC and (icmp[0] = 8 or icmp6[0] = 128 or arp[6:2] = 1)"
wait_line "$T/seen.log" 'listening on'

step "ping"
# counts ARGUMENTS…: sent, received
counts() { inside ping -q -i 0.01 "$@" | sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p'; }
eq "IPv4" "5 5" "$(counts -c 5 -s 100 $P4)"
wait_line "$T/seen.log" 'length 108' 5
eq "seen on the peer" 5 "$(sent 'ICMP echo request.*length 108')"
eq "IPv6" "5 5" "$(counts -6 -c 5 -s 200 $P6)"
wait_line "$T/seen.log" 'payload length: 208' 5
eq "from an address, with a TTL and a type of service, in fragments" "2 2" "$(counts -c 2 -I $H4 -t 9 -Q 0x10 -s 4000 $P4)"
wait_line "$T/seen.log" 'tos 0x10, ttl 9' 2
eq "from an interface" "2 2" "$(counts -c 2 -I h0 $P4)"
eq "a pattern, and a reply that has it" "1" "$(inside ping -c 1 -p a5 -s 64 $P4 | grep -c '^72 bytes from 10.77.0.2: icmp_seq=1 ttl=64 time=')"
eq "the loopback" "2 2" "$(counts -c 2 127.0.0.1)"
eq "the loopback's IPv6" "2 2" "$(counts -c 2 ::1)"
eq "a flood" "200 200" "$(inside ping -q -f -i 0.002 -c 200 $P4 | sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p')"
eq "two hops" "2 2" "$(counts -c 2 10.78.0.2)"
eq "two hops, IPv6" "2 2" "$(counts -c 2 fd78::2)"
eq "too few hops" "From $P4 icmp_seq=1 Time to live exceeded" "$(inside ping -c 1 -W 2 -t 1 10.78.0.2 | sed -n 2p)"
eq "its status" 1 "$(status_of inside sh -c 'ping -q -c 1 -W 2 -t 1 10.78.0.2 >/dev/null')"
eq "too few hops, IPv6" "From $P6 icmp_seq=1 Time exceeded: Hop limit" "$(inside ping -c 1 -W 2 -t 1 fd78::2 | sed -n 2p)"
eq "longer than the MTU" "ping: local error: message too long, mtu=1500" "$(inside ping -c 1 -W 1 -M do -s 1473 $P4 2>&1 | grep local)"
eq "busybox's" "3 packets transmitted, 3 packets received, 0% packet loss" "$(inside busybox ping -q -c 3 -i 0.01 $P4 | grep transmitted)"

step "arping"
eq "answers" 2 "$(inside arping -I h0 -c 2 -w 5 $P4 | grep -ic $P_MAC)"
eq "nobody there" 1 "$(status_of inside sh -c 'arping -I h0 -c 1 -w 1 10.77.0.99 >/dev/null')"
wait_line "$T/seen.log" 'who-has 10.77.0.99'
eq "busybox's" "Received 1 response" "$(inside busybox arping -I h0 -c 1 -w 5 $P4 | grep -o "Received 1 response")"
