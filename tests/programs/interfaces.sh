#!/usr/bin/env bash
# Interfaces that come, change and go on the host while packet sockets inside are open.
. "$(dirname "$0")/raw.sh"
need tcpdump
cat >"$T/watch.py" <<'PY'
"""Answers the lines of its standard input, one by one: what a program sees of interfaces, and of a packet socket bound to one."""
import errno, socket, sys, time
sockets = {}
def name_of(e):
    return errno.errorcode.get(e.errno, str(e))
def within(seconds, ask):
    end = time.time() + seconds
    while True:
        try:
            return str(ask())
        except OSError as e:
            if time.time() > end:
                return name_of(e)
        time.sleep(0.02)
def opened(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((name, 0))
    s.settimeout(5)
    sockets[name] = s
    return "bound"
def ours(s):
    while True:
        try:
            data = s.recv(4000)
        except OSError as e:
            return name_of(e)
        if data[12:14] == b"\x88\xb5":
            return f"{len(data)} {data[14]}"
for line in sys.stdin:
    what, name, *more = line.split()
    if what == "index":
        print(within(5, lambda: socket.if_nametoindex(name)))
    elif what == "gone":
        end = time.time() + 5
        while (found := name in [n for _, n in socket.if_nameindex()]) and time.time() < end:
            time.sleep(0.02)
        print("still there" if found else "gone")
    elif what == "open":
        print(within(5, lambda: opened(name)))
    elif what == "name":
        s = sockets[name]
        end = time.time() + 5
        while (now := s.getsockname()[0]) != more[0] and time.time() < end:
            time.sleep(0.02)
        print(now)
    elif what == "get":
        print(ours(sockets[name]))
    elif what == "send":
        # NUMBER LENGTH, or for what it must end as: a change of the host's is not here in the same instant
        frame = b"\xff" * 6 + b"\2fghij" + b"\x88\xb5" + bytes([int(more[0])]) + bytes(int(more[1]) - 15)
        end = time.time() + 5
        while (result := within(0, lambda: sockets[name].send(frame))) != more[2] and time.time() < end:
            time.sleep(0.02)
        print(result)
    sys.stdout.flush()
PY

mkfifo -m 666 "$T/questions" "$T/answers"
inside_bg watch sh -c "exec $python $T/watch.py <$T/questions >$T/answers 2>$T/in/watch.err"
exec 8<>"$T/questions" 9<>"$T/answers" # both ways: an opening waits for nobody
# is ANSWER QUESTION…
is() { local got; echo "${@:2}" >&8; read -r -t 10 got <&9 || got="nothing: $(cat "$T/in/watch.err")"; eq "${*:2}" "$1" "$got"; }
h() { ip -n "$HOST" "$@"; }
p() { ip -n "$PEER" "$@"; }
# from_peer INTERFACE NUMBER: a frame of 60 bytes
from_peer() {
    peer $python -c "import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); s.bind(('$1', 0)); s.send(b'\xff' * 6 + b'\2abcde' + b'\x88\xb5' + bytes([$2]) + bytes(45))"
}
# to_peer INTERFACE NUMBER QUESTION…: what is sent there comes out here
to_peer() {
    peer_bg "peer$2" tcpdump -i "$1" --immediate-mode -nn -t -l -c 1 "ether proto 0x88b5 and ether[14] = $2"
    wait_line "$T/peer$2.log" 'listening on'
    is "${@:3}"
    gone "$pid" 5 || fail "frame $2 did not come out of $1"
}

inside_bg any tcpdump -i any --immediate-mode -nn -t -l -q -s 2000 ether proto 0x88b5
wait_line "$T/any.log" 'listening on'
is bound open h0

step "an interface comes"
h link add v0 type veth peer name v1 netns "$PEER"
is "$(h -o link show v0 | cut -d: -f1)" index v0
h link set v0 up; p link set v1 up
sleep 0.3                       # a socket that is bound to one that is down is told so, and inside it is up within a tenth of a second
is bound open v0
from_peer v1 1
is "60 1" get v0
to_peer v1 2 100 send v0 2 100 100
inside tcpdump -D | grep -q '\.v0 \[Up, Running' || fail "tcpdump -D does not know it"

step "its MTU changes"
to_peer v1 3 1514 send v0 3 1514 1514
h link set v0 mtu 1300
is EMSGSIZE send v0 4 1400 EMSGSIZE
h link set v0 mtu 1400
is 1414 send v0 5 1414 1414

step "down, another name, up"
h link set v0 down
is ENETDOWN get v0
is ENETDOWN send v0 6 100 ENETDOWN
h link set v0 name w0
is w0 name v0 w0
is gone gone v0
is "$(h -o link show w0 | cut -d: -f1)" index w0
h link set w0 up
to_peer v1 7 100 send v0 7 100 100
from_peer v1 8
is "60 8" get v0

step "it goes"
h link del w0
is ENETDOWN get v0
is ENXIO send v0 9 100 ENXIO
is gone gone w0

step "a bridge with a port, and a tap"
h link add br9 type bridge
h link add b0 type veth peer name b1 netns "$PEER"
h link set b0 master br9 up; h link set br9 up; p link set b1 up
sleep 0.3
is bound open br9
is bound open b0
from_peer b1 10
is "60 10" get br9
is "60 10" get b0
to_peer b1 11 100 send br9 11 100 100
is "100 11" get b0

step "a bridge changes its MTU and its name while a socket is bound to it"
h link set br9 mtu 1300
is EMSGSIZE send br9 14 1400 EMSGSIZE
h link set br9 mtu 1400; h link set b0 mtu 1400; p link set b1 mtu 1400
to_peer b1 15 1414 send br9 15 1414 1414
is "1414 15" get b0
h link set br9 down
is ENETDOWN get br9
h link set br9 name bq9
is bq9 name br9 bq9
h link set bq9 up
to_peer b1 16 100 send br9 16 100 100
is "100 16" get b0
from_peer b1 17
is "60 17" get br9
is "60 17" get b0
h link set bq9 down
is ENETDOWN get br9
h link set bq9 name br9
is br9 name br9 br9
h link set br9 up

step "a tap: what is sent there a program on the host reads, and the other way"
cat >"$T/tap.py" <<'PY'
"""A virtual machine's end of a tap. Writes what standard input says, NUMBER LENGTH, and tells what it reads."""
import fcntl, os, select, struct, sys
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", b"t0", 0x1002)) # TUNSETIFF: IFF_TAP | IFF_NO_PI
print("there", flush=True)
while True:
    for fd in select.select([tap, 0], [], [])[0]:
        if fd == tap:
            data = os.read(tap, 4000)
            if data[12:14] == b"\x88\xb5":
                print("read", len(data), data[14], flush=True)
        else:
            line = sys.stdin.readline()
            if not line:
                sys.exit()
            number, length = map(int, line.split())
            os.write(tap, b"\xff" * 6 + b"\2abcde" + b"\x88\xb5" + bytes([number]) + bytes(length - 15))
PY
mkfifo "$T/frames"
exec 7<>"$T/frames"
host_bg tap sh -c "exec $python $T/tap.py <$T/frames"
machine=$pid
wait_line "$T/tap.log" there
is bound open t0
h link set t0 up
is "$(h -o link show t0 | cut -d: -f1)" index t0
is ENETDOWN get t0              # it was, when the socket was bound to it
is 100 send t0 20 100 100
wait_line "$T/tap.log" 'read 100 20'
echo 21 60 >&7
is "60 21" get t0
h link set t0 mtu 1300
is EMSGSIZE send t0 22 1400 EMSGSIZE
h link set t0 mtu 1400
is 1414 send t0 23 1414 1414
wait_line "$T/tap.log" 'read 1414 23'
echo 24 1414 >&7
is "1414 24" get t0
h link set t0 down
is ENETDOWN get t0
h link set t0 name t9
is t9 name t0 t9
h link set t9 up
is 100 send t0 25 100 100
wait_line "$T/tap.log" 'read 100 25'
echo 26 60 >&7
is "60 26" get t0
kill "$machine"
is ENETDOWN get t0
is ENXIO send t0 27 100 ENXIO
is gone gone t9
! grep -q 'read .* 22$' "$T/tap.log" || fail "the tap has been given a frame that was refused"

step "the bridge goes, and its port stays"
h link del br9
is ENETDOWN get br9
is gone gone br9
from_peer b1 12
is "60 12" get b0

step "who was there all the time has seen it all"
from_peer p0 13
is "60 13" get h0
for line in 'v0 .*B ' 'v0 .*Out' 'w0 .*Out' 'w0 .*B ' 'br9 .*B ' 'br9 .*Out' 'bq9 .*B ' 'bq9 .*Out' 't0 .*B ' 't0 .*Out' 't9 .*B ' 't9 .*Out' 'b0 .*B ' \
    'h0 .*B '; do
    until_true 5 grep -q "^$line" "$T/any.log" || fail "tcpdump -i any has no $line"
done
