#!/usr/bin/env bash
# udhcpc and dhclient get leases from a dnsmasq in the peer. Inside nobody can set an address: what they got is written down.
. "$(dirname "$0")/../raw.sh"
need udhcpc dnsmasq
peer_bg dnsmasq dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0 --log-dhcp --interface=p0 --bind-interfaces \
    --dhcp-range=10.77.0.100,10.77.0.101,600 --dhcp-leasefile="$T/leases" --no-ping
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

step "ISC dhclient, with another name and another address"
need dhclient
cat >"$T/dhclient.conf" <<'CONF'
send host-name "through-splitsock";
send dhcp-client-identifier "dhclient";
timeout 20;
CONF
# It gets no environment but what dhclient has to say.
cat >"$T/dhclient-script" <<SH
#!/bin/sh
echo "\$reason \$new_ip_address \$new_subnet_mask \$new_dhcp_server_identifier \$new_dhcp_lease_time \$interface" >>"$OUT"
SH
chmod 755 "$T/dhclient-script"
chmod 644 "$T/dhclient.conf"
inside_bg dhclient dhclient -4 -d -1 -cf "$T/dhclient.conf" -lf "$T/in/leases" -pf "$T/in/pid" -sf "$T/dhclient-script" h0
wait_line "$T/dhclient.log" 'bound to 10.77.0.'
lease="10.77.0.101 255.255.255.0 10.77.0.2 600 h0"
until_true 5 grep -qx "BOUND $lease" "$OUT" || fail "the script was told: $(tail -n 2 "$OUT")"
# The file of leases is the program's own word; dnsmasq's is what it has given.
grep -q 'fixed-address 10.77.0.101;' "$T/in/leases" || fail "dhclient has written: $(cat "$T/in/leases")"
eq "the server's" "$H_MAC 10.77.0.101 through-splitsock" "$(awk '$3 ~ /101$/ { print $2, $3, $4 }' "$T/leases")"
grep -qF 'client provides name: through-splitsock' "$T/dnsmasq.log" || fail "the server was told no name"
wait_line "$T/dnsmasq.log" 'DHCPACK(p0) 10.77.0.101'
