#!/usr/bin/env bash
# Python: seven styles of server and their clients, with the server inside, the client inside, and both inside.
. "$(dirname "$0")/lib.sh"
need python3
kinds=(http asyncio threads forking prefork udp selectors)
read -r -a inner < <(free_ports ${#kinds[@]})
read -r -a outer < <(free_ports ${#kinds[@]})
for i in "${!kinds[@]}"; do
    kind=${kinds[i]} host=127.0.0.1 proto=tcp
    case $kind in udp) proto=udp ;; threads) host=::1 ;; esac
    step "$kind on $host"
    inside_bg "$kind-in" python3 "$src/net.py" server "$kind" "$host" "${inner[i]}"; a=$pid
    outside_bg "$kind-out" python3 "$src/net.py" server "$kind" "$host" "${outer[i]}"; b=$pid
    wait_port "$proto" "${inner[i]}" "$a"
    wait_port "$proto" "${outer[i]}" "$b"
    outside python3 "$src/net.py" client "$kind" "$host" "${inner[i]}" || fail "$kind: client outside, server inside"
    inside python3 "$src/net.py" client "$kind" "$host" "${outer[i]}" || fail "$kind: client inside, server outside"
    inside python3 "$src/net.py" client "$kind" "$host" "${inner[i]}" || fail "$kind: both inside"
    stop "$a"; stop "$b"
done
