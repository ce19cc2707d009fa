#!/usr/bin/env bash
# Route netlink: ip and getifaddrs show inside what they show outside; bare requests, as small libraries make them.
. "$(dirname "$0")/lib.sh"
need ip python3
step "ip"
for what in "link" "addr" "route" "-6 route"; do
    # counters and ages change between two looks; names, flags and addresses do not
    look() { $1 ip -o $what show | sed -E 's/(valid_lft|preferred_lft|expires) [0-9a-z]+//g'; }
    eq "ip $what" "$(look outside)" "$(look inside)"
done
step "requests: unbound, with an address, bound, with padding after the message"
cat >"$T/dump.py" <<'PY'
import socket, struct
RTM_GETADDR, DUMP, NLMSG_ERROR, NLMSG_DONE = 22, 0x301, 2, 3
for how in ("send", "sendto", "bind, send", "bind, send, padding"):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    s.settimeout(8)
    request = struct.pack("=IHHIIBBBBI", 24, RTM_GETADDR, DUMP, 7, 0, 0, 0, 0, 0, 0)
    if "bind" in how:
        s.bind((0, 0))
    if "padding" in how:
        request += bytes(128)
    s.sendto(request, (0, 0)) if how == "sendto" else s.send(request)
    count, kind = 0, None
    try:
        while kind not in (NLMSG_ERROR, NLMSG_DONE):
            data = s.recv(65536)
            while data:
                length, kind = struct.unpack("=IH", data[:6])
                data = data[(length + 3) & ~3:]
                count += 1
        print(how, kind, count)
    except OSError as e:
        print(how, e)
PY
eq "dumps" "$(outside python3 "$T/dump.py")" "$(inside python3 "$T/dump.py")"
