#!/usr/bin/env bash
# Containers that have the gofer's sockets mounted: splitsock-run as their entrypoint, and a program with the library.
. "$(dirname "${BASH_SOURCE[0]}")/containers/lib.sh"
[[ -n $RUN ]] || { echo "on the bare kernel nothing is mounted"; exit 0; }

machine
gofer_and_agent
read -r web entrypoint <<<"$(free_ports 2)"
client_image
mkdir "$T/www"
echo 'hello from the host' >"$T/www/hello"
host_nginx "$web"

step "splitsock-run as the entrypoint, under podman's own profile"
eq "the page" 'hello from the host' \
    "$(alone run --rm --user 33:33 --cap-drop all client splitsock-run curl -sS "http://127.0.0.1:$web/hello")"
nginx_image "127.0.0.1:$entrypoint"
alone run -d --name entrypoint nginx splitsock-run --isolate -- nginx -g 'daemon off;' >/dev/null
wait_port tcp "$entrypoint"
eq "the page" 'hello from a container' "$(curl -sS "http://127.0.0.1:$entrypoint/")"
pod rm -f -t 0 entrypoint >/dev/null

step "a profile that refuses pidfd_getfd, as Docker's does: said so; the shipped one does not"
shipped=$here/../../deploy/containers/default-seccomp.json
sed '/"pidfd_getfd"/d' "$shipped" >"$T/docker.json"
eq "status" 125 "$(status_of alone run --rm --security-opt "seccomp=$T/docker.json" client splitsock-run true 2>"$T/refused.txt")"
grep -q 'pidfd_getfd is refused here.*splitsock-run-seccomp.json' "$T/refused.txt" || fail "$(cat "$T/refused.txt")"
eq "lines" 1 "$(wc -l <"$T/refused.txt")"
eq "the page" 'hello from the host' \
    "$(alone run --rm --security-opt "seccomp=$shipped" client splitsock-run curl -sS "http://127.0.0.1:$web/hello")"

step "a program with the library"
eq "the page" 'hello from the host' \
    "$(alone run --rm --user 33:33 --cap-drop all client splitsock-fetch 127.0.0.1 "$web" /hello | tail -n 1)"
