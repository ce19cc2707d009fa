#!/usr/bin/env bash
# Many containers on one agent, by crun alone; some of them stall or die. COUNT says how many.
. "$(dirname "${BASH_SOURCE[0]}")/containers/lib.sh"
[[ -n $RUN ]] || { echo "the bare kernel has no agent"; exit 0; }
COUNT=${COUNT:-60}

crun() { command crun --root "$T/crun" --cgroup-manager=disabled "$@"; }
address() { echo "127.1.$(($1 / 250)).$(($1 % 250 + 1))"; }
start() { # NUMBER: a server in a container
    mkdir -p "$T/bundles/c$1"
    sed "s/ADDRESS/$(address "$1")/; s/template/c$1/g" "$T/template/config.json" >"$T/bundles/c$1/config.json"
    crun run --detach --bundle "$T/bundles/c$1" "c$1" >>"$T/crun.log" 2>&1 </dev/null || fail "c$1 does not start"
}
remove_many() { crun list -q | xargs -r -n 1 -P 8 crun --root "$T/crun" --cgroup-manager=disabled delete -f; } >/dev/null 2>&1
answers() { [[ $(curl -sS -m "${2:-5}" "http://$(address "$1"):$port/hello" 2>/dev/null) == 'hello from a container' ]]; }
# all_answer BUT…: every container does, except for those.
all_answer() {
    local n urls=()
    for ((n = 0; n < COUNT; n++)); do
        [[ " $* " == *" $n "* ]] || urls+=("http://$(address "$n"):$port/hello")
    done
    until_true 5 these_answer "${urls[@]}" || fail "of ${#urls[@]} containers answer $(grep -c . "$T/answers"): $(tail -n 3 "$T/curl.log")"
}
these_answer() { curl -sS -m 20 "$@" >"$T/answers" 2>"$T/curl.log"; [[ $(grep -cx 'hello from a container' "$T/answers") == "$#" ]]; }
no_servers() { [[ -z $(pgrep -P "$agent") ]]; }
# The process that serves a container, and the container's own.
server_of() { sed -n "s/.*container c$1: served by process //p" "$T/agent.log"; }
process_of() { crun state "c$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'; }

step "$COUNT containers start, one after another"
mkdir -m 700 "$G" "$A"
at_exit+=(remove_many)
gofer_and_agent
read -r port <<<"$(free_ports 1)"
into_image "$T/image" /bin/busybox
mkdir -p "$T"/image/{bin,proc,dev,srv}
for name in httpd sleep wget; do ln -s busybox "$T/image/bin/$name"; done
echo 'hello from a container' >"$T/image/srv/hello"
python3 "$here/containers/bundle.py" "$T/profile.json" "$T/image" "$T/template" httpd -f -p "ADDRESS:$port" -h /srv
began=${EPOCHREALTIME/./}
for ((n = 0; n < COUNT; n++)); do start "$n"; done
echo "  $(((${EPOCHREALTIME/./} - began) / COUNT / 1000)) ms each"
all_answer
eq "sessions" "$COUNT" "$("$bin/splitsock-ctl" --gofer "ipc://$G/gofer.sock" --json sessions | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')"
pss=$(cat $(pgrep -P "$agent" | sed 's#.*#/proc/&/smaps_rollup#') | awk '/^Pss:/ { sum += $2 } END { print sum }')
echo "  $((pss / COUNT)) KiB of memory each"

step "one that stalls, one whose server stalls, one that dies, one whose server dies, a runtime that stalls: no other notices"
kill -STOP "$(process_of 0)"
kill -STOP "$(server_of 1)"
kill -KILL "$(process_of 2)"
kill -KILL "$(server_of 3)"
outside_bg runtime python3 -c 'import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b"{"); time.sleep(60)' "$A/agent.sock"
all_answer 0 1 2 3
start "$COUNT"
until_true 5 answers "$COUNT" || fail "a new container does not answer"
eq "the stalled one answers" no "$(answers 0 0.3 && echo yes || echo no)"
eq "the one with a stalled server answers" no "$(answers 1 0.3 && echo yes || echo no)"
eq "the one that died answers" no "$(answers 2 0.3 && echo yes || echo no)"
eq "the one whose server died answers" no "$(answers 3 0.3 && echo yes || echo no)"
until_true 5 grep -q 'ended by signal 9' "$T/agent.log" || fail "the agent does not say that a server died"

step "those that stalled go on"
kill -CONT "$(process_of 0)" "$(server_of 1)"
all_answer 2 3

step "when they have ended, nothing is left"
stop "$pid"
remove_many
until_true 10 no_servers || fail "left: $(pgrep -a -P "$agent")"
eq "notes" c3 "$(ls "$A/agent.sock.d")"        # its server could not remove it
eq "sessions" 0 "$("$bin/splitsock-ctl" --gofer "ipc://$G/gofer.sock" --json sessions | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')"
