#!/usr/bin/env bash
# MQTT: mosquitto, mosquitto_pub and mosquitto_sub; each quality of service, retained messages, last wills, TLS, a bridge.
. "$(dirname "$0")/lib.sh"
need mosquitto mosquitto_pub mosquitto_sub openssl
certificate broker
read -r po so pi si < <(free_ports 4)
# conf NAME PORT TLS-PORT [TEXT]
conf() {
    cat >"$T/$1.conf" <<CONF
allow_anonymous true
log_type all
$([[ $(id -u) != 0 ]] || echo "user root")
listener $2 127.0.0.1
listener $3 127.0.0.1
certfile $T/broker.crt
keyfile $T/broker.key
${4-}
CONF
}
# subscribed NAME CLIENT: the broker called NAME says so in its log
subscribed() { grep -q "Sending SUBACK to $2\$" "$T/$1.log"; }
for ((i = 0; i < 300; i++)); do echo "message $i $RANDOM"; done >"$T/lines"
data "$T/blob" 3000000
n=0
# exercise BROKER PORT TLS-PORT PUB-SIDE SUB-SIDE
exercise() {
    local qos id
    for qos in 0 1 2; do
        id=sub$((++n))
        ($5 mosquitto_sub -p "$2" -h 127.0.0.1 -i "$id" -q "$qos" -t "t/$id/#" -C 300 -W 10 >"$T/$id") & sub=$!; started+=("$sub")
        until_true 5 subscribed "$1" "$id" || fail "$id did not subscribe"
        $4 mosquitto_pub -p "$2" -h 127.0.0.1 -q "$qos" -t "t/$id/x" -l <"$T/lines"
        wait "$sub" || fail "subscriber, QoS $qos: $(wc -l <"$T/$id") of 300"
        same "QoS $qos" "$T/lines" "$T/$id"
    done
    $4 mosquitto_pub -p "$3" -h localhost --cafile "$T/broker.crt" -q 1 -r -t "kept/$n" -f "$T/blob"
    $5 mosquitto_sub -p "$3" -h 127.0.0.1 --cafile "$T/broker.crt" -q 1 -t "kept/$n" -C 1 -N -W 10 >"$T/got"
    same "3 MB retained, over TLS" "$T/blob" "$T/got"
    id=will$n
    ($5 mosquitto_sub -p "$2" -h 127.0.0.1 -i "$id" -t "will/$n" -C 1 -W 10 >"$T/$id") & sub=$!; started+=("$sub")
    until_true 5 subscribed "$1" "$id" || fail "$id did not subscribe"
    $4 mosquitto_sub -p "$2" -h 127.0.0.1 -i "doomed$n" -t x --will-topic "will/$n" --will-payload "last words" & doomed=$!
    until_true 5 subscribed "$1" "doomed$n" || fail "doomed$n did not subscribe"
    kill -KILL $(descendants $doomed) 2>/dev/null || true
    kill -KILL $doomed 2>/dev/null || true
    wait "$doomed" 2>/dev/null || true
    wait "$sub" || fail "nobody heard of the will"
    eq "last will" "last words" "$(cat "$T/$id")"
}
step "the broker outside, clients inside"
conf out "$po" "$so"
outside_bg out mosquitto -c "$T/out.conf"; wait_port tcp "$so" "$pid"
exercise out "$po" "$so" inside inside
step "the broker inside, a client on each side"
conf in "$pi" "$si" "connection bridge
address 127.0.0.1:$po
topic bridged/# both 1
cleansession true
notifications false"
inside_bg in mosquitto -c "$T/in.conf"; wait_port tcp "$si" "$pid"
exercise in "$pi" "$si" outside inside
step "a bridge from the broker inside to the one outside"
for pair in "in $pi out $po" "out $po in $pi"; do
    read -r a ap b bp <<<"$pair"
    (outside mosquitto_sub -p "$bp" -h 127.0.0.1 -i "over-$b" -q 1 -t bridged/x -C 1 -W 10 >"$T/over") & sub=$!; started+=("$sub")
    until_true 5 subscribed "$b" "over-$b" || fail "over-$b did not subscribe"
    outside mosquitto_pub -p "$ap" -h 127.0.0.1 -q 1 -t bridged/x -m "from $a"
    wait "$sub" || fail "nothing came over the bridge from $a"
    eq "over the bridge" "from $a" "$(cat "$T/over")"
done
