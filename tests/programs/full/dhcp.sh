#!/usr/bin/env bash
# udhcpc gets a lease from a dnsmasq in the peer. Inside nobody can set an address: what it got is written down.
. "$(dirname "$0")/../raw.sh"
need udhcpc dnsmasq
peer_bg dnsmasq dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0 --log-dhcp --interface=p0 --bind-interfaces \
    --dhcp-range=10.77.0.100,10.77.0.100,600 --dhcp-leasefile="$T/leases" --no-ping
wait_line "$T/dnsmasq.log" 'DHCP, IP range'
cat >"$T/script" <<'SH'
#!/bin/sh
echo "$1 $ip $mask $serverid $lease $interface" >>"$OUT"
SH
chmod 755 "$T/script"
export OUT=$T/in/got
inside udhcpc -f -q -n -t 5 -T 1 -i h0 -s "$T/script" >"$T/udhcpc.log" 2>&1 || fail "$(cat "$T/udhcpc.log")"
eq "the lease" "bound 10.77.0.100 24 10.77.0.2 600 h0" "$(tail -n 1 "$OUT")"
eq "the server's" "$H_MAC 10.77.0.100" "$(awk '{ print $2, $3 }' "$T/leases")"
for what in DHCPDISCOVER DHCPOFFER DHCPREQUEST DHCPACK; do grep -q "$what.*p0" "$T/dnsmasq.log" || fail "no $what"; done
