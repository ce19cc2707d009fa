#!/usr/bin/env bash
# lldpd inside, as root there, and one on the peer: each learns of the other.
. "$(dirname "$0")/../raw.sh"
need lldpd lldpcli
[[ $RUN == setpriv* ]] && RUN=${RUN#*--clear-groups }
step "two daemons"
peer_bg peer lldpd -d -u "$T/in/peer.sock" -I p0 -S "on the peer"; peerd=$pid
inside_bg here lldpd -d -u "$T/in/here.sock" -I h0 -S "from inside"; hered=$pid
# Until then they are paused, and an "update" that has read so before and says so after leaves them so.
for log in peer here; do wait_line "$T/$log.log" "should resume operations"; done
what() { outside lldpcli -u "$T/in/$1.sock" -f keyvalue show neighbors details 2>/dev/null | sed -n "s/^lldp.$2.chassis.descr=//p"; }
learnt() { [[ $(what peer p0) == "from inside" && $(what here h0) == "on the peer" ]]; }
poke() { local s; for s in peer here; do outside lldpcli -u "$T/in/$s.sock" update >/dev/null 2>&1 || true; done; learnt; }
until_true 10 poke || fail "learnt on the peer: '$(what peer p0)', inside: '$(what here h0)'"
