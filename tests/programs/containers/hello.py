"""hello.py SOCKET FILE: takes one client's Hello and writes id, name, the label "color", uid, gid and cgroup that it serves."""
import os
import socket
import struct
import sys


def fields(data):
    """A protobuf message: (number, value)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            assert key & 7 == 2
            length = varint()
            yield key >> 3, data[at:at + length]
            at += length


listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
stream = listener.accept()[0].makefile("rb")
length, kind = struct.unpack("<IB", stream.read(12)[:5])
hello = dict(fields(stream.read(length)))
served = list(fields(hello[4]))
one = dict(served)
labels = [dict(fields(value)) for number, value in served if number == 3]
color = [label[2] for label in labels if label[1] == b"color"][0]
text = [one[1], one[2], color]
with open(sys.argv[2] + ".new", "w") as out:
    print(*(t.decode() for t in text), one.get(5, 0), one.get(6, 0), one[4].decode(), file=out)
os.rename(sys.argv[2] + ".new", sys.argv[2])
