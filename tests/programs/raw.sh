# shellcheck shell=bash
# Sourced, instead of lib.sh, by the tests of packet and raw sockets. They have two network namespaces of their own, "host" and "peer", and a
# veth between them: h0, 10.77.0.1 and fd77::1, and p0, 10.77.0.2 and fd77::2. A root gofer is in "host"; inside is an ordinary
# user behind it or, on the bare kernel, root in "host".
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_root "it takes root to make network namespaces"
need ip setpriv python3

HOST=splitsock-host-$$ PEER=splitsock-peer-$$
H4=10.77.0.1 H6=fd77::1 P4=10.77.0.2 P6=fd77::2
H_MAC=02:77:00:00:00:01 P_MAC=02:77:00:00:00:02
python=/usr/bin/python3             # Debian's: scapy is there, and it is every user's

host() { timeout -k 1 "$LIMIT" ip netns exec "$HOST" "$@"; }
peer() { timeout -k 1 "$LIMIT" ip netns exec "$PEER" "$@"; }
# host_bg NAME CMD…, peer_bg NAME CMD…: as outside_bg
host_bg() { outside_bg "$1" ip netns exec "$HOST" "${@:2}"; }
peer_bg() { outside_bg "$1" ip netns exec "$PEER" "${@:2}"; }

# wait_line FILE TEXT [COUNT]: until so many lines of the file have the text.
wait_line() { until_true "$LIMIT" lines_are "$@" || fail "no '$2' in $1: $(tail -n 5 "$1")"; }
lines_are() { [[ $(grep -acF -- "$2" "$1" 2>/dev/null) -ge ${3-1} ]]; }

# promiscuity [NAME] on the host
promiscuity() { ip -n "$HOST" -d link show "${1-h0}" | sed -n 's/.*promiscuity \([0-9]*\).*/\1/p'; }
promiscuity_is() { [[ $(promiscuity "${2-h0}") == "$1" ]]; }

remove_namespaces() { ip netns del "$HOST"; ip netns del "$PEER"; } 2>/dev/null
at_exit+=(remove_namespaces)
ip netns add "$HOST"
ip netns add "$PEER"
# Neither has a word to say that is not asked for: no addresses of its own making, no duplicate address detection.
for ns in "$HOST" "$PEER"; do ip netns exec "$ns" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/addr_gen_mode; echo 0 >/proc/sys/net/ipv6/conf/default/accept_ra'; done
ip -n "$HOST" link add h0 address $H_MAC type veth peer name p0 address $P_MAC netns "$PEER"
for side in "$HOST h0 $H4 $H6" "$PEER p0 $P4 $P6"; do
    read -r ns name v4 v6 <<<"$side"
    ip -n "$ns" link set lo up
    ip -n "$ns" link set "$name" up
    ip -n "$ns" addr add "$v4/24" dev "$name"
    ip -n "$ns" addr add "$v6/64" dev "$name" nodad
done

mkdir -m 1777 "$T/in" "$T/home"     # where programs inside may write
export HOME=$T/home
if [[ -n $RUN ]]; then
    # The tree may be where nobody else gets in.
    mkdir -m 755 "$T/bin"
    cp "$bin/splitsock-run" "$T/bin"
    host_bg gofer "$bin/splitsock-gofer" --listen "ipc://$T/gofer.sock" --policy open --socket-mode 0666
    wait_line "$T/gofer.log" 'listening on'
    RUN="setpriv --reuid=65534 --regid=65534 --clear-groups $T/bin/splitsock-run --gofer ipc://$T/gofer.sock --isolate --"
else
    RUN="ip netns exec $HOST"
fi
