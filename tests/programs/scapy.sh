#!/usr/bin/env bash
# scapy: sniff, AsyncSniffer, sendp, srp, srp1, sr and sr1 on packet sockets; the peer answers, and counts what it gets.
. "$(dirname "$0")/raw.sh"
need tcpdump
$python -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("scapy"))' || fail "scapy is not installed: run deploy/install-packages.sh"
LIMIT=40                            # it is long in starting

# What the peer gets, and what it is to say when it is told to.
peer_bg seen tcpdump -i p0 --immediate-mode -nn -t -l -v "ether src $H_MAC and (udp dst port 4000 or udp dst port 4002 or arp[6:2] = 1 or vlan)"
wait_line "$T/seen.log" 'listening on'
peer_bg server $python -m http.server --bind $P4 80
until_true 10 eval '[[ -n $(ip netns exec $PEER ss -Hltn "sport = :80") ]]' || fail "no server"
mkfifo -m 666 "$T/asks" "$T/answers"
exec 8<>"$T/asks" 9<>"$T/answers"

cat >"$T/use.py" <<'PY'
import sys
import logging
logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import (ARP, AsyncSniffer, Dot1Q, Ether, ICMP, ICMPv6EchoReply, ICMPv6EchoRequest, IP, IPv6, Raw, TCP, UDP,
                       conf, get_if_addr, get_if_hwaddr, getmacbyip, rdpcap, sendp, sniff, sr, sr1, srp, srp1, wrpcap)
asks, answers, scratch = open(sys.argv[1], "w"), open(sys.argv[2]), sys.argv[3]
conf.verb, conf.iface = 0, "h0"
PEER4, PEER6, PEER_MAC = "10.77.0.2", "fd77::2", "02:77:00:00:00:02"

def show(name, *values):
    print(name, *values, flush=True)

def ask(what):
    """The peer does something; it is done when this returns."""
    asks.write(what + "\n")
    asks.flush()
    assert answers.readline() == "done\n"

def ids(packets):
    return " ".join(str(p[IP].id) for p in packets)

show("address", get_if_addr("h0"), get_if_hwaddr("h0"))

# srp and srp1: by ARP and through Ethernet
answered, unanswered = srp(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=["10.77.0.2", "10.77.0.99"]), timeout=1, retry=0)
show("arp", [(r.psrc, r.hwsrc) for _, r in answered], [q.pdst for q in unanswered])
show("getmacbyip", getmacbyip(PEER4))
ether = Ether(dst=PEER_MAC)
r = srp1(ether / IP(dst=PEER4) / ICMP(id=7, seq=3) / (b"x" * 1400), timeout=5)
show("srp1", r[IP].src, r[ICMP].type, r[ICMP].id, r[ICMP].seq, len(r))
r = srp1(ether / IPv6(src="fd77::1", dst=PEER6) / ICMPv6EchoRequest(id=9, data=b"six"), timeout=5)
show("srp1 IPv6", r[IPv6].src, r[ICMPv6EchoReply].id, r[ICMPv6EchoReply].data)

# sr1 and sr: scapy's own routing and ARP
r = sr1(IP(dst=PEER4) / ICMP(id=8, seq=4), timeout=5)
show("sr1", r.src, r[ICMP].type, r[ICMP].id)
answered, unanswered = sr(IP(dst=PEER4) / TCP(sport=4444, dport=[80, 81], flags="S", seq=100), timeout=5)
show("syn", sorted((a[TCP].dport, str(b[TCP].flags), b[TCP].ack) for a, b in answered), len(unanswered))
r = sr1(IP(dst=PEER4) / UDP(sport=4445, dport=9) / b"nobody", timeout=5)
show("unreachable", r[ICMP].type, r[ICMP].code)

# sendp: what the peer has seen is compared outside
n = sendp([ether / IP(dst=PEER4, id=i) / UDP(sport=4001, dport=4000) / (b"y" * i) for i in range(1, 21)], return_packets=True)
sendp(ether / Dot1Q(vlan=5) / IP(dst=PEER4, id=21) / UDP(sport=4001, dport=4000) / b"tagged")
sendp(ether / IP(dst=PEER4, src="10.77.0.50", id=22) / UDP(sport=4001, dport=4000) / b"in another's name")
show("sendp", len(n))

# sniff, with a count, with a filter and a function that says when to stop, and one in the background
seen = sniff(count=5, filter="udp port 4000 and ip[4:2] > 30", timeout=10, started_callback=lambda: ask("25-35"))
show("sniff", ids(seen))
seen = sniff(lfilter=lambda p: UDP in p and p[UDP].dport == 4000, stop_filter=lambda p: IP in p and p[IP].id == 44, timeout=10,
             started_callback=lambda: ask("41-44,vlan=6,to=02:99:00:00:00:07"))
show("promiscuous", ids(seen), [p[Dot1Q].vlan for p in seen if Dot1Q in p])
background = AsyncSniffer(filter="udp port 4002", count=3)
background.start()
while not getattr(background, "stop_cb", None):
    pass
sendp([ether / IP(dst=PEER4, id=i) / UDP(sport=4001, dport=4002) for i in (51, 52)])
ask("53,port=4002")
background.join(10)
show("AsyncSniffer", sorted(p[IP].id for p in background.results))
wrpcap(scratch + "/scapy.pcap", seen)
show("file", ids(rdpcap(scratch + "/scapy.pcap")))
PY

step "scapy"
inside_bg scapy $python "$T/use.py" "$T/asks" "$T/answers" "$T/in"; scapy=$pid
while kill -0 "$scapy" 2>/dev/null && ((SECONDS < LIMIT)); do
    read -r -t 0.2 spec <&8 || continue
    peer $python "$src/frames.py" p0 "$spec"
    echo done >&9
done
gone "$scapy" 1 || fail "scapy stayed"
diff "$T/scapy.log" - <<END >"$T/diff" || fail "not what was to be expected: $(cat "$T/diff")"
address $H4 $H_MAC
arp [('$P4', '$P_MAC')] ['10.77.0.99']
getmacbyip $P_MAC
srp1 $P4 0 7 3 1442
srp1 IPv6 $P6 9 b'six'
sr1 $P4 0 8
syn [(80, 'SA', 101), (81, 'RA', 101)] 0
unreachable 3 3
sendp 20
sniff 31 32 33 34 35
promiscuous 41 42 43 44 [6, 6, 6, 6]
AsyncSniffer [51, 52, 53]
file 41 42 43 44
END
step "as the peer has seen it"
wait_line "$T/seen.log" ' id 52,'
eq "what was sent" "$(seq 22 | xargs) 51 52" "$(sed -n 's/.* id \([0-9]*\), .*UDP (17).*/\1/p' "$T/seen.log" | xargs)"
eq "in another's name" 1 "$(grep -c '10.77.0.50.4001 > 10.77.0.2.4000: UDP, length 17' "$T/seen.log")"
eq "one that is there and one that is not were asked for" 1 "$(grep -c 'who-has 10.77.0.99' "$T/seen.log")"
