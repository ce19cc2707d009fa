#!/usr/bin/env bash
# What the gofer is told of containers, and what its policy makes of it.
. "$(dirname "${BASH_SOURCE[0]}")/containers/lib.sh"
[[ -n $RUN ]] || { echo "the bare kernel has no agent"; exit 0; }

machine
gofer_and_agent
read -r web other <<<"$(free_ports 2)"
client_image
mkdir "$T/www"
echo 'hello from the host' >"$T/www/hello"
host_nginx "$web"

step "the gofer is told whom the agent serves"
told_by_agent
eq "id, name, label, user and group on the host, cgroup" "true web blue 100033 200033 true" "$(cat "$T/told")"

    step "policy tells containers apart: one is published, one may fetch a page, another nothing"
    cat >"$T/policy.yaml" <<EOF
version: 1
clients:
  - name: web
    containers: [web]
    publish:
      - {port: 80, on: "127.0.0.1:$other"}
  - name: reader
    labels: {role: reader}
    rules:
      - {name: page, allow: [connect], to: [127.0.0.1], ports: [$web]}
  - name: agent
    users: [0]
    agent: true
EOF
    pod rm -f -t 0 nginx >/dev/null
    stop "$gofer"
    start_gofer "$T/policy.yaml"
    nginx_image 80
    pod run -d --name web --annotation splitsock.name=web nginx >/dev/null
    wait_port tcp "$other"
    eq "the page" 'hello from a container' "$(curl -sS "http://127.0.0.1:$other/")"
    eq "the reader's page" 'hello from the host' "$(pod run --rm --annotation role=reader client curl -sS "http://127.0.0.1:$web/hello")"
    eq "the reader's status elsewhere" 7 "$(status_of pod run --rm --annotation role=reader client curl -sS "http://127.0.0.1:$other/" 2>/dev/null)"
    eq "the published one's status" 7 "$(status_of pod exec web curl -sS "http://127.0.0.1:$web/hello" 2>/dev/null)"
    eq "the status of one that nobody names" 7 "$(status_of pod run --rm client curl -sS "http://127.0.0.1:$web/hello" 2>/dev/null)"
