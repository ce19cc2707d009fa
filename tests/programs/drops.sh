#!/usr/bin/env bash
# Frames that are lost on the host before they come to the program: its own statistics tell of them, as those of the bare kernel do.
. "$(dirname "$0")/raw.sh"
gofer=${pid-} FRAMES=10000

cat >"$T/listen.py" <<'PY'
"""Reads frames of one kind until the last, then says how many came, and what PACKET_STATISTICS says, twice."""
import select, socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("h0", 0x88b5))
statistics = lambda: struct.unpack("II", s.getsockopt(263, 6, 8))
print("before", *statistics(), flush=True)
sys.stdin.readline()
received = 0
while select.select([s], [], [], 2)[0]:
    s.recv(2000)
    received += 1
print("received", received, *statistics(), flush=True)
print("again", *statistics(), flush=True)
PY
mkfifo -m 666 "$T/go"
exec 7<>"$T/go"
inside_bg listen sh -c "exec $python $T/listen.py <$T/go"
wait_line "$T/listen.log" before
eq "before" "before 0 0" "$(cat "$T/listen.log")"
# Who is to read cannot: the gofer, or on the bare kernel the program, which waits for its line.
[[ $RUN != setpriv* ]] || kill -STOP "$gofer"
peer $python -c "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(('p0', 0))
for i in range($FRAMES):
    s.send(b'\xff' * 6 + b'\2abcde' + b'\x88\xb5' + bytes(1000))"
[[ $RUN != setpriv* ]] || kill -CONT "$gofer"
echo go >&7
wait_line "$T/listen.log" again
read -r _ received packets drops < <(grep received "$T/listen.log")
((received > 0 && drops >= FRAMES / 2)) || fail "received $received, dropped $drops: it has not come to that"
eq "what was sent" $FRAMES "$packets"
eq "received and dropped" $FRAMES $((received + drops))
eq "told once" "again 0 0" "$(grep again "$T/listen.log")"

[[ $RUN == setpriv* ]] || exit 0
step "and the gofer's counter, of its part"
lost=$("$bin/splitsock-ctl" --gofer "ipc://$T/gofer.sock" stats --prometheus | sed -n 's/^splitsock_packet_frames_dropped_total{reason="kernel"} //p')
((lost >= FRAMES - 4096 && lost <= drops)) || fail "the gofer has lost '$lost', and the program was told of $drops"
