#!/usr/bin/env bash
# The same without root: an ordinary user's podman, agent and gofer. The user has subordinate ids, as adduser(8) gives them.
. "$(dirname "${BASH_SOURCE[0]}")/containers/lib.sh"
[[ -n $RUN ]] || { echo "the bare kernel has no agent"; exit 0; }
need newuidmap

# In the background: a shell that waited for it would be what is ended.
as_user() { exec setpriv --reuid=65534 --regid=65534 --clear-groups env -C "$U" HOME="$U/home" XDG_RUNTIME_DIR="$U/run" "$@"; }
rootless() { # podman's arguments
    timeout -k 1 "$LIMIT" setpriv --reuid=65534 --regid=65534 --clear-groups env -C "$U" HOME="$U/home" XDG_RUNTIME_DIR="$U/run" \
        podman --storage-driver vfs --cgroup-manager cgroupfs --events-backend none --runtime crun "$@"
}
remove_user() { rootless rm -f -t 0 --all; rootless unshare rm -rf "$U/home"; rootless system migrate; } >/dev/null 2>&1
sandbox=(run --cgroups=disabled --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 --network none)

step "an unmodified client in a container of an ordinary user"
U=$T/user
mkdir -p "$U"/{home,run,bin} "$T/www"
chmod 700 "$U/run"
cp "$bin"/splitsock-{agent,gofer} "$U/bin"
chown -R 65534:65534 "$U"
echo "$(id -un 65534):200000:65536" >"$T/subids"
# This mount namespace is the test's own.
mount --bind "$T/subids" /etc/subuid
mount --bind "$T/subids" /etc/subgid
at_exit+=(remove_user)
outside_bg gofer as_user "$U/bin/splitsock-gofer" --listen "ipc://$U/gofer.sock" --policy open
until_true 5 test -S "$U/gofer.sock" || fail "no gofer"
outside_bg agent as_user "$U/bin/splitsock-agent" --listen "$U/agent.sock" --gofer "ipc://$U/gofer.sock"
until_true 5 test -S "$U/agent.sock" || fail "no agent"
"$bin/splitsock-seccomp-profile" "$here/../../deploy/containers/default-seccomp.json" "$U/agent.sock" wait-killable >"$U/profile.json"
client_tree "$T/image"
mkdir -p "$T"/image/{dev,proc,sys,tmp,run,etc}
read -r web published <<<"$(free_ports 2)"
echo 'hello from the host' >"$T/www/hello"
outside_bg web busybox httpd -f -p "127.0.0.1:$web" -h "$T/www"
wait_port tcp "$web"
tar -C "$T/image" -c . | rootless import -q - client >/dev/null
inside=("${sandbox[@]}")
for suffix in '' .stream .seqpacket; do inside+=(-v "$U/gofer.sock$suffix:/run/splitsock/gofer.sock$suffix"); done
sandbox+=(--security-opt "seccomp=$U/profile.json")
eq "the page" 'hello from the host' "$(rootless "${sandbox[@]}" --rm client curl -sS "http://127.0.0.1:$web/hello")"
eq "as another user of the container" 'hello from the host' \
    "$(rootless "${sandbox[@]}" --rm --user 7:7 client curl -sS "http://127.0.0.1:$web/hello")"

step "its own /proc/net is the gofer's"
rootless "${sandbox[@]}" --rm client sh -c 'until [ ! -L /proc/net/dev ] && ! [ /proc/net -ef /proc/self/net ]; do sleep 0.1; done'

step "a server in it"
rootless "${sandbox[@]}" -d --name server client httpd -f -p "127.0.0.1:$published" -h /etc >/dev/null
wait_port tcp "$published"
eq "its hosts file is there" 200 "$(curl -sS -o "$T/hosts" -w '%{http_code}' "http://127.0.0.1:$published/hosts")"
eq "an exec in it" 'hello from the host' "$(rootless exec server curl -sS "http://127.0.0.1:$web/hello")"

step "splitsock-run as the entrypoint, and a program with the library"
eq "the page" 'hello from the host' "$(rootless "${inside[@]}" --rm client splitsock-run curl -sS "http://127.0.0.1:$web/hello")"
eq "the page" 'hello from the host' "$(rootless "${inside[@]}" --rm client splitsock-fetch 127.0.0.1 "$web" /hello | tail -n 1)"
