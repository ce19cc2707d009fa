#!/usr/bin/env bash
# rsync and its daemon: pull, push, changes only, a password, listing; the daemon outside, inside, and both inside.
. "$(dirname "$0")/lib.sh"
need rsync
read -r po pi < <(free_ports 2)
mkdir -p "$T/tree/sub"
data "$T/tree/big" 8000000
for i in {1..60}; do data "$T/tree/sub/f$i" $((i * 300)); done
ln -s sub/f1 "$T/tree/link"
echo "joe:secret" >"$T/secrets"; chmod 600 "$T/secrets"
echo secret >"$T/password"; chmod 600 "$T/password"
echo wrong >"$T/wrong"; chmod 600 "$T/wrong"
# conf NAME PORT
conf() {
    mkdir -p "$T/$1/locked"
    cp -a "$T/tree" "$T/$1/served"; mkdir "$T/$1/in"
    cat >"$T/$1.conf" <<CONF
use chroot = no
munge symlinks = no
port = $2
address = 127.0.0.1
lock file = $T/$1.lock
$([[ $(id -u) != 0 ]] || printf 'uid = root\ngid = root')
[served]
    path = $T/$1/served
[in]
    path = $T/$1/in
    read only = no
    auth users = joe
    secrets file = $T/secrets
CONF
}
alike() { diff -r --no-dereference "$2" "$3" >"$T/diff.log" || fail "$1"; }
later=0
# exercise SIDE NAME PORT
exercise() {
    local r="$1 rsync -a --timeout=10" u=rsync://127.0.0.1:$3 j=rsync://joe@127.0.0.1:$3
    rm -rf "$T/got"
    eq "listing" "in served" "$($1 rsync "$u/" | awk '{ print $1 }' | sort | xargs)"
    $r "$u/served/" "$T/got/"; alike "pull" "$T/$2/served" "$T/got"
    eq "nothing left to do" "" "$($r -ni "$u/served/" "$T/got/")"
    head -c 7 /dev/urandom | dd of="$T/$2/served/big" bs=1 seek=4000000 conv=notrunc status=none
    touch -d "+$((++later)) minutes" "$T/$2/served/big"
    $r --no-whole-file --stats "$u/served/" "$T/got/" >"$T/stats"; alike "pull of a change" "$T/$2/served" "$T/got"
    eq "only the change is sent" yes "$(sed -n 's/,//g; s/^Literal data: \([0-9]*\) .*/\1/p' "$T/stats" | awk '{ print ($1 > 0 && $1 < 20000) ? "yes" : $1 }')"
    $r -z --delete --password-file="$T/password" "$T/tree/" "$j/in/"; alike "push" "$T/tree" "$T/$2/in"
    eq "a wrong password" 5 "$(status_of $r --password-file="$T/wrong" "$T/tree/" "$j/in/" 2>/dev/null)"
    eq "a module that may only be read" 1 "$(status_of $r "$T/tree/" "$u/served/x/" 2>/dev/null)"
}
step "the daemon outside, rsync inside"
conf out "$po"
outside_bg out rsync --daemon --no-detach --config="$T/out.conf"; wait_port tcp "$po" "$pid"
exercise inside out "$po"
step "the daemon inside, rsync outside; both inside"
conf in "$pi"
inside_bg in rsync --daemon --no-detach --config="$T/in.conf"; wait_port tcp "$pi" "$pid"
exercise outside in "$pi"
rm -rf "$T/got"
inside rsync -a --timeout=10 "rsync://127.0.0.1:$pi/served/" "$T/got/"; alike "both inside" "$T/in/served" "$T/got"
