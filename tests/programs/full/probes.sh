#!/usr/bin/env bash
# fping, mtr and hping3.
. "$(dirname "$0")/../raw.sh"
need fping mtr hping3 ss
LIMIT=30
. "$here/far.sh"
peer_bg server $python -m http.server --bind $P4 80
until_true 10 eval '[[ -n $(ip netns exec $PEER ss -Hltn "sport = :80") ]]' || fail "no server"
step "fping"
eq "IPv4" "10.77.0.2 10.78.0.2" "$(inside fping -a -q -r 1 -t 500 10.77.0.2 10.78.0.2 10.77.0.99 2>/dev/null | sort | xargs)"
eq "IPv6" "fd77::2 fd78::2" "$(inside fping -6 -a -q -r 1 -t 500 fd77::2 fd78::2 2>/dev/null | sort | xargs)"
step "mtr"
eq "ICMP" "10.77.0.2 10.78.0.2" "$(inside mtr -n -r -c 1 -G 1 10.78.0.2 | awk '/--/ && $3 + 0 == 0 { print $2 }' | xargs)"
eq "UDP" "10.77.0.2 10.78.0.2" "$(inside mtr -u -n -r -c 1 -G 1 10.78.0.2 | awk '/--/ && $3 + 0 == 0 { print $2 }' | xargs)"
eq "IPv6" "fd77::2 fd78::2" "$(inside mtr -6 -n -r -c 1 -G 1 fd78::2 | awk '/--/ && $3 + 0 == 0 { print $2 }' | xargs)"
step "hping3"
eq "SYN to an open port" 3 "$(inside hping3 -I h0 -n -S -p 80 -c 3 -i u20000 $P4 2>/dev/null | grep -c 'sport=80 flags=SA')"
eq "SYN to a closed one" 3 "$(inside hping3 -I h0 -n -S -p 81 -k -c 3 -i u20000 $P4 2>/dev/null | grep -c 'sport=81 flags=RA')"
eq "ICMP" 3 "$(inside hping3 -I h0 -n -1 -c 3 -i u20000 $P4 2>/dev/null | grep -c 'icmp_seq')"
