#!/usr/bin/env bash
# git: clone, fetch and push through git daemon, and clone over plain HTTP; each with either end inside.
. "$(dirname "$0")/lib.sh"
need git python3
export HOME=$T GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
git config --global user.name t; git config --global user.email t@example.com
git config --global init.defaultBranch main; git config --global safe.directory '*'; git config --global protocol.version 2
read -r po pi ho < <(free_ports 3)
git init -q "$T/work"
data "$T/work/big" 2000000
for i in {1..50}; do echo "line $i" >"$T/work/f$i"; done
git -C "$T/work" add . && git -C "$T/work" commit -q -m one
mkdir "$T/srv"
git clone -q --bare "$T/work" "$T/srv/repo.git"
git -C "$T/srv/repo.git" update-server-info
daemon=(git daemon --base-path="$T/srv" --export-all --enable=receive-pack --reuseaddr --listen=127.0.0.1)
outside_bg out "${daemon[@]}" --port="$po"; wait_port tcp "$po" "$pid"
inside_bg in "${daemon[@]}" --port="$pi"; wait_port tcp "$pi" "$pid"
outside_bg http python3 "$src/httpd.py" 127.0.0.1 "$ho" "$T/srv"; wait_port tcp "$ho" "$pid"
# exercise SIDE PORT NAME
exercise() {
    step "$3"
    $1 git clone -q "git://127.0.0.1:$2/repo.git" "$T/$3"
    same "$3" "$T/work/big" "$T/$3/big"
    echo "$3" >"$T/$3/added"
    git -C "$T/$3" add added && git -C "$T/$3" commit -q -m "$3"
    $1 git -C "$T/$3" push -q origin HEAD:main 2>"$T/push.log" || fail "push: $(cat "$T/push.log")"
    $1 git -C "$T/$3" pull -q
    eq "pushed" "$(git -C "$T/$3" rev-parse HEAD)" "$(git -C "$T/srv/repo.git" rev-parse main)"
}
exercise inside "$po" client-inside
exercise outside "$pi" daemon-inside
exercise inside "$pi" both-inside
step "HTTP"
git -C "$T/srv/repo.git" update-server-info
inside git clone -q "http://127.0.0.1:$ho/repo.git" "$T/http"
eq "HTTP clone" "$(git -C "$T/srv/repo.git" rev-parse main)" "$(git -C "$T/http" rev-parse HEAD)"
