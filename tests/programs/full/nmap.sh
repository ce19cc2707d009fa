#!/usr/bin/env bash
# nmap: SYN and UDP scans and OS detection of the peer find what they find from the host.
. "$(dirname "$0")/../raw.sh"
need nmap
LIMIT=40
cat >"$T/ports.py" <<'PY'
import socket, sys
tcp = socket.create_server((sys.argv[1], 8080), backlog=64)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 5353))
print("ready", flush=True)
while True:
    data, who = udp.recvfrom(2000)
    udp.sendto(b"here", who)
PY
peer_bg ports $python "$T/ports.py" $P4
wait_line "$T/ports.log" ready
# The table of ports, and whether there is a verdict on the system; times and sequence numbers differ from run to run.
scan() { "$1" env NMAP_PRIVILEGED=1 nmap -n "${@:2}" $P4 >"$T/scan" 2>&1 || fail "nmap ${*:2}: $(tail -n 3 "$T/scan")"
         grep -E '^[0-9]+/|MAC Address|^Host is up' "$T/scan" | sed 's/ ([0-9.]*s latency)//'; grep -cE 'OS details|OS guesses|OS matches|OS fingerprint' "$T/scan" || true; }
for how in "-sS -p 8080,8081" "-sU -p 5353,5354" "-sS -O -p 8080,8081"; do
    step "nmap $how"
    wanted=$(scan host $how)
    [[ $wanted == *open* && $wanted == *closed* ]] || fail "from the host: $wanted"
    eq "as from the host" "$wanted" "$(scan inside $how)"
done
