#!/usr/bin/env python3
"""frames.py INTERFACE SPEC…: sends Ethernet frames, UDP datagrams each, through a packet socket.

SPEC is ID[-LAST][,key=value…]: the IP identification, or several; keys are to (MAC), src, dst (IPv4), port (destination),
vlan (802.1Q tag, or 802.1ad and 802.1Q as OUTER.INNER), size (of the payload), ttl."""
import socket
import struct
import sys


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def mac(text):
    return bytes(int(x, 16) for x in text.split(":"))


def frame(ident, own, to="02:77:00:00:00:01", src="10.77.0.2", dst="10.77.0.1", port=4000, vlan="", size=20, ttl=64):
    addresses = socket.inet_aton(src) + socket.inet_aton(dst)
    payload = bytes(range(97, 123)) * (int(size) // 26 + 1)
    udp = struct.pack("!HHHH", 4001, int(port), 8 + int(size), 0) + payload[: int(size)]
    pseudo = addresses + struct.pack("!BBH", 0, 17, len(udp))
    udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xffff) + udp[8:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), ident, 0, int(ttl), 17, 0) + addresses
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    tags = b""
    for n, tag in enumerate(vlan.split(".") if vlan else ()):
        tags += struct.pack("!HH", 0x88a8 if "." in vlan and n == 0 else 0x8100, int(tag))
    return mac(to) + own + tags + b"\x08\0" + head + udp


if __name__ == "__main__":
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind((sys.argv[1], 0))
    for spec in sys.argv[2:]:
        ids, *pairs = spec.split(",")
        first, _, last = ids.partition("-")
        for i in range(int(first), int(last or first) + 1):
            s.send(frame(i, s.getsockname()[4], **dict(p.split("=") for p in pairs)))
