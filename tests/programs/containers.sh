#!/usr/bin/env bash
# Containers of podman and crun without a network, behind splitsock-agent; nothing in an image is changed. On the bare kernel they are in the host's
# network namespace.
. "$(dirname "${BASH_SOURCE[0]}")/containers/lib.sh"

loop_count() { pod logs loop 2>/dev/null | grep -c 'hello from the host'; }
loop_has() { [[ $(loop_count) -ge $1 ]]; }
loop_fails() { pod logs loop 2>&1 | grep -q 'curl: '; }

machine
gofer_and_agent
read -r web published <<<"$(free_ports 2)"
client_image
nginx_image "127.0.0.1:$published"

step "an unmodified client fetches from the host's nginx"
mkdir "$T/www"
echo 'hello from the host' >"$T/www/hello"
data "$T/www/big" 5000000
host_nginx "$web"
eq "the page" 'hello from the host' "$(pod run --rm client curl -sS "http://127.0.0.1:$web/hello")"
pod run --rm client curl -sS "http://127.0.0.1:$web/big" >"$T/big"
same "a long answer" "$T/www/big" "$T/big"
eq "as another user" 'hello from the host' "$(pod run --rm --user 33:33 --cap-drop all client curl -sS "http://127.0.0.1:$web/hello")"

step "an unmodified nginx serves the host's curl, on a port that it has from the gofer"
pod run -d --name nginx nginx >/dev/null
wait_port tcp "$published"
eq "the page" 'hello from a container' "$(curl -sS "http://127.0.0.1:$published/")"
for _ in 1 2 3 4 5 6 7 8; do curl -sS -o "$T/got.$_" "http://127.0.0.1:$published/big" & fetches+=($!); done
for p in "${fetches[@]}"; do wait "$p"; done
for f in "$T"/got.*; do same "$f" "$T/image-nginx/var/www/html/big" "$f"; done

step "a process that is put into a running container has sockets, too"
eq "the page" 'hello from the host' "$(pod exec nginx curl -sS "http://127.0.0.1:$web/hello")"

if [[ -n $RUN ]]; then
    step "without the profile there is nothing"
    eq "curl's status" 7 "$(status_of podman "${podman[@]}" run "${run_args[@]}" --network none --rm client curl -sS "http://127.0.0.1:$web/hello" 2>/dev/null)"

    step "/proc/net is the gofer's; io_uring and other families are refused"
    # The agent is not waited for: a program may be quicker.
    eq "its interfaces" "$(ls /sys/class/net | sort | xargs)" "$(pod run --rm client sh -c 'until [ ! -L /proc/net/dev ] && ! [ /proc/net -ef /proc/self/net ]; do
        sleep 0.1; done; cat /proc/net/dev' | sed -n 's/ *\(.*\):.*/\1/p' | sort | xargs)"
    pod run --rm client refused >"$T/refused" || fail "refused"
    eq "calls that the profile tells apart" "$(cat <<'EOF'
families: 1:0 2:0 10:0 16:0 17:0 high half: 0 audit: 22 uevent: 0
io_uring: 38
send: 0 0 106 receive: 0 0 ioctl: 0 25 0
EOF
)" "$(cat "$T/refused")"

    step "the agent restarts: what runs is served on, what is new needs the agent"
    stop "$agent"
    eq "the page" 'hello from a container' "$(curl -sS "http://127.0.0.1:$published/")"
    eq "an exec of what has no agent" no "$(pod run --rm client true 2>/dev/null && echo yes || echo no)"
    start_activated_agent
    eq "the page" 'hello from a container' "$(curl -sS "http://127.0.0.1:$published/")"
    eq "the page" 'hello from the host' "$(pod run --rm client curl -sS "http://127.0.0.1:$web/hello")"
    eq "the page" 'hello from the host' "$(pod exec nginx curl -sS "http://127.0.0.1:$web/hello")"

    step "the gofer restarts: what was open is lost, what is new works"
    pod run -d --name loop client sh -c "while :; do curl -sS http://127.0.0.1:$web/hello; sleep 0.1; done" >/dev/null
    until_true 5 loop_has 2 || fail "$(pod logs loop 2>&1)"
    stop "$gofer"
    eq "nginx answers" no "$(curl -sS -m 2 "http://127.0.0.1:$published/" 2>/dev/null && echo yes || echo no)"
    until_true 5 loop_fails || fail "$(pod logs loop 2>&1)"
    start_gofer
    before=$(loop_count)
    until_true 5 loop_has $((before + 2)) || fail "$(pod logs loop 2>&1)"
    pod rm -f -t 0 loop nginx >/dev/null
    pod run -d --name nginx nginx >/dev/null
    wait_port tcp "$published"

    step "nobody but root and the agent's user may bring a container, whatever the socket's mode is"
    chmod 755 "$A"
    setpriv --reuid=65534 --regid=65534 --clear-groups timeout 5 /usr/bin/python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
assert s.recv(1) == b""' "$A/agent.sock" || fail "another user is heard"
    until_true 5 grep -q 'from another user was refused' "$T/agent.log" || fail "no word of it"

fi

step "a container ends, and so does its port"
pod rm -f -t 0 --all >/dev/null
until_true 5 port_is_free "$published" || fail "port $published is still held"
