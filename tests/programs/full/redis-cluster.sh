#!/usr/bin/env bash
# A Redis cluster: three nodes inside, in namespaces of their own, over the cluster bus; then two inside and one outside.
. "$(dirname "$0")/../lib.sh"
need redis-server redis-cli
# cluster SIDE… : one node each, made into a cluster and filled
cluster() {
    local ports nodes=() p i=0 k side
    # The bus is on PORT + 10000: that is the one to be below the ephemeral range, where nobody gets it by chance.
    while :; do
        read -r -a ports < <(free_ports 3)
        for k in 0 1 2; do
            ((ports[k] -= 10000))
            [[ -z $(ss -Hltn "sport = :${ports[k]}") ]] || continue 2
        done
        break
    done
    for side; do
        p=${ports[i++]}
        mkdir "$T/$p"
        "${side}_bg" "node$p" redis-server --bind 127.0.0.1 --port "$p" --dir "$T/$p" --save '' --cluster-enabled yes --cluster-node-timeout 3000 --cluster-config-file nodes.conf
        wait_port tcp "$p" "$pid"; wait_port tcp "$((p + 10000))" "$pid"
        nodes+=("127.0.0.1:$p")
    done
    outside redis-cli --cluster create "${nodes[@]}" --cluster-yes >"$T/create.log" 2>&1 || fail "redis-cli --cluster create: $(tail -n 5 "$T/create.log")"
    grep -q 'All 16384 slots covered' "$T/create.log" || fail "create: $(tail -n 5 "$T/create.log")"
    ok() { local n; for n in "${ports[@]}"; do [[ $(outside redis-cli -p "$n" cluster info) == *cluster_state:ok* ]] || return 1; done; }
    until_true 10 ok || fail "not every node says ok"
    for ((i = 0; i < 300; i++)); do echo "set key$i value$i"; done | inside redis-cli -c -p "${ports[0]}" | sort | uniq -c >"$T/set.log"
    eq "keys in the three nodes" 300 "$(for p in "${ports[@]}"; do outside redis-cli -p "$p" dbsize; done | awk '{ s += $1 } END { print s }')"
    for p in "${ports[@]}"; do [[ $(outside redis-cli -p "$p" dbsize) -gt 50 ]] || fail "node $p has too few keys"; done
    eq "followed to another node" value17 "$(for p in "${ports[@]}"; do outside redis-cli -c -p "$p" get key17; done | sort -u)"
    eq "published on one node, for subscribers on all" 0 "$(outside redis-cli -p "${ports[1]}" publish x y)"
    outside redis-cli --cluster check "127.0.0.1:${ports[2]}" >"$T/check.log" || fail "check"
    grep -q 'All nodes agree about slots' "$T/check.log" || fail "check: $(cat "$T/check.log")"
}
step "three nodes inside"
cluster inside inside inside
step "two inside, one outside"
cluster inside outside inside
