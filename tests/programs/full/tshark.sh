#!/usr/bin/env bash
# dumpcap and tshark: interfaces, fields, capture filters, two interfaces in one file, ring of files.
. "$(dirname "$0")/../raw.sh"
need tshark dumpcap capinfos
frames() { peer $python "$src/frames.py" p0 "$@"; }
step "interfaces"
names() { dumpcap=$($1 dumpcap -D 2>/dev/null) || true; sed -n 's/^[0-9]*\. \(h0\|lo\|any\)\b.*/\1/p' <<<"$dumpcap" | sort | xargs; }
eq "dumpcap -D" "any h0 lo" "$(names inside)"
step "dumpcap, a count and a file"
inside_bg dump dumpcap -q -P -i h0 -f 'udp dst port 4000' -c 60 -w "$T/in/dump.pcap"; dump=$pid
wait_line "$T/dump.log" 'File:'
frames 1-40,size=300 50-60,port=5000 41-60,vlan=6
gone "$dump" 10 || fail "dumpcap stayed"
eq "what is in it" "$(seq 60 | xargs)" "$(outside tshark -r "$T/in/dump.pcap" -T fields -e ip.id -d udp.port==4000,data 2>/dev/null | xargs printf '%d ' | xargs)"
step "tshark, fields as they come"
inside_bg fields tshark -n -l -i h0 -f 'udp or vlan' -Y 'ip.id < 100' -c 30 -T fields -e ip.id -e vlan.id -e frame.len -e udp.checksum.status -o udp.check_checksum:TRUE; fields=$pid
wait_line "$T/fields.log" "Capturing on 'h0'"
until_true 10 promiscuity_is 1 || fail "it does not capture"
frames 1-10,size=10 11-20,vlan=9,size=50 21-30,size=1000
gone "$fields" 10 || fail "tshark stayed"
eq "fields" "$(for i in {1..30}; do printf '%d,%s,%d,1 ' "$i" "$( ((i > 10 && i < 21)) && echo 9)" $((i < 11 ? 52 : i < 21 ? 96 : 1042)); done | xargs)" \
    "$(sed -n 's/^0x0*\([0-9a-f]*\)\t\([0-9]*\)\t\([0-9]*\)\t\([0-9]\).*/0x\1 \2,\3,\4/p' "$T/fields.log" | while read -r id rest; do echo "$((id)),$rest"; done | xargs)"
until_true 5 promiscuity_is 0 || fail "promiscuous for ever"
