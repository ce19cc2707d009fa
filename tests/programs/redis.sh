#!/usr/bin/env bash
# Redis: the server inside and clients outside, the reverse, both inside; pipelining, publishing, forking, replication.
. "$(dirname "$0")/lib.sh"
need redis-server redis-cli redis-benchmark
read -r pi po pr < <(free_ports 3)
common() { echo --bind 127.0.0.1 ::1 --port "$1" --dir "$T" --dbfilename "$1.rdb" --save '' --daemonize no --repl-diskless-sync-delay 0; }
data "$T/value" 1000000

# exercise PORT SIDE
exercise() {
    local cli="$2 redis-cli -h 127.0.0.1 -p $1"
    eq ping PONG "$($cli ping)"
    eq "1 MB set" OK "$($cli -x set big <"$T/value")"
    $cli --raw get big | head -c 1000000 >"$T/got"
    same "1 MB get" "$T/value" "$T/got"
    for ((i = 1; i <= 5000; i++)); do printf 'INCR counter\r\n'; done >"$T/pipe"
    $cli --pipe <"$T/pipe" >"$T/pipe.log" || fail "redis-cli --pipe"
    grep -q 'errors: 0, replies: 5000' "$T/pipe.log" || fail "pipelining: $(cat "$T/pipe.log")"
    eq "pipelined increments" 5000 "$($cli get counter)"
    eq "IPv6" PONG "$($2 redis-cli -h ::1 -p "$1" ping)"
}

step "the server inside"
inside_bg server redis-server $(common "$pi"); wait_port tcp "$pi" "$pid"; server=$pid
exercise "$pi" outside
step "benchmark, 20 clients"
outside redis-benchmark -h 127.0.0.1 -p "$pi" -n 3000 -c 20 -t set,get,lpush -q | tr '\r' '\n' >"$T/bench.log"
eq "three results" 3 "$(grep -c 'requests per second' "$T/bench.log")"
grep 'requests per second' "$T/bench.log"
outside redis-benchmark -h 127.0.0.1 -p "$pi" -n 10000 -c 10 -P 50 -t incr -q | tr '\r' '\n' | grep 'requests per second'

step "publish and subscribe"
(sleep 0.01; LIMIT=10 outside redis-cli -p "$pi" subscribe news >"$T/sub" 2>/dev/null) & started+=($!)
for ((i = 0; i < 100; i++)); do
    [[ $(outside redis-cli -p "$pi" publish news hello) == 1 ]] && break
    sleep 0.05
done
for ((i = 0; i < 100; i++)); do grep -q hello "$T/sub" && break; sleep 0.05; done
grep -q hello "$T/sub" || fail "the subscriber did not get its message"
outside redis-cli -p "$pi" client kill type pubsub >/dev/null

step "a fork for saving"
outside redis-cli -p "$pi" bgsave >/dev/null
for ((i = 0; i < 100; i++)); do
    [[ $(outside redis-cli -p "$pi" info persistence) == *rdb_bgsave_in_progress:0* ]] && break
    sleep 0.05
done
[[ -s $T/$pi.rdb ]] || fail "nothing was saved"

step "a replica outside, then one inside"
outside_bg replica redis-server $(common "$po") --replicaof 127.0.0.1 "$pi"; wait_port tcp "$po" "$pid"
inside_bg replica2 redis-server $(common "$pr") --replicaof 127.0.0.1 "$po"; wait_port tcp "$pr" "$pid"
outside redis-cli -p "$pi" set fresh yes >/dev/null
for p in "$po" "$pr"; do
    for ((i = 0; i < 160; i++)); do
        [[ $(outside redis-cli -p "$p" get fresh) == yes ]] && break
        sleep 0.05
    done
    eq "replica on $p" yes "$(outside redis-cli -p "$p" get fresh)"
done
outside redis-cli -p "$po" replicaof no one >/dev/null
step "the client inside, the server outside; then both inside"
outside redis-cli -p "$po" flushall >/dev/null
exercise "$po" inside
outside redis-cli -p "$pi" flushall >/dev/null
exercise "$pi" inside
inside redis-benchmark -h 127.0.0.1 -p "$pi" -n 2000 -c 20 -t set -q | tr '\r' '\n' | grep 'requests per second'
inside redis-cli -p "$pi" shutdown nosave
gone "$server" 5 || fail "the server stayed after SHUTDOWN"
