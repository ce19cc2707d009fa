# shellcheck shell=bash
# Sourced by the tests of containers: podman and crun with a store of their own, images of the machine's Debian packages, a gofer and an agent.
#
# They run in a mount namespace of their own. Debian's crun needs a pure cgroup v2: where there is another beside it, only that one is seen. Cgroups of
# the containers' own are not made: limiting devices in them takes CAP_SYS_RESOURCE, which a virtual machine's root may lack.
if [[ -z ${OWN_MOUNTS-} && $(id -u) == 0 ]]; then
    OWN_MOUNTS=yes exec unshare --mount --propagation private bash -c 'mount --make-rshared / &&
        { [[ ! -d /sys/fs/cgroup/unified ]] || mount --rbind /sys/fs/cgroup/unified /sys/fs/cgroup; } && exec bash "$0" "$@"' "$0" "$@"
fi
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_root "mounts, and containers of root"
need podman crun python3

fetches=()
G=$T/gofer A=$T/agent

machine() {
    podman=(--root "$T/store" --runroot "$T/runroot" --storage-driver vfs --cgroup-manager cgroupfs --events-backend none --runtime crun)
    # The defaults are more than can be had without CAP_SYS_RESOURCE.
    run_args=(--cgroups=disabled --ulimit nofile=4096:4096 --ulimit nproc=4096:4096)
    mkdir -m 700 "$G" "$A"
    at_exit+=(remove_containers)
}
remove_containers() { podman "${podman[@]}" rm -f -t 0 --all >/dev/null 2>&1 || true; umount "$T"/store/* 2>/dev/null || true; }

gofer_and_agent() {
    network=(--network host)
    [[ -n $RUN ]] || return 0
    start_gofer
    "$bin/splitsock-seccomp-profile" "$here/../../deploy/containers/default-seccomp.json" "$A/agent.sock" wait-killable >"$T/profile.json"
    start_agent
    network=(--network none --security-opt "seccomp=$T/profile.json")
}
start_gofer() { # [POLICY]
    outside_bg gofer "$bin/splitsock-gofer" --listen "ipc://$G/gofer.sock" --policy "${1-open}" --socket-mode 0666
    gofer=$pid
    until_true 5 test -S "$G/gofer.sock" || fail "no gofer"
}
start_agent() {
    outside_bg agent "$bin/splitsock-agent" --listen "$A/agent.sock" --gofer "ipc://$G/gofer.sock"
    agent=$pid
    until_true 5 test -S "$A/agent.sock" || fail "no agent"
}

# The same with a socket that somebody else has made, as systemd does.
start_activated_agent() {
    outside_bg agent /usr/bin/python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
s.listen()
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])' "$A/agent.sock" "$bin/splitsock-agent" --gofer "ipc://$G/gofer.sock"
    agent=$pid
    until_true 5 grep -q "listening on $A/agent.sock" "$T/agent.log" || fail "no agent"
}

# pod run|exec|rm …: podman, whose containers have sockets by the agent.
pod() {
    case $1 in
        run) timeout -k 1 "$LIMIT" podman "${podman[@]}" run "${run_args[@]}" "${network[@]}" "${@:2}" ;;
        *) timeout -k 1 "$LIMIT" podman "${podman[@]}" "$@" ;;
    esac
}
# alone run …: without the agent, and with the gofer's sockets but for the one that splitsock-ctl uses.
alone() {
    local suffix mounts=()
    for suffix in '' .stream .seqpacket; do mounts+=(-v "$G/gofer.sock$suffix:/run/splitsock/gofer.sock$suffix"); done
    timeout -k 1 "$LIMIT" podman "${podman[@]}" run "${run_args[@]}" --network none "${mounts[@]}" "${@:2}"
}

# into_image TREE FILE…: copies programs with the libraries they are linked with, and whatever else is named.
into_image() {
    local tree=$1 file library
    for file in "${@:2}"; do
        mkdir -p "$tree$(dirname "$file")"
        cp -a "$(realpath "$file")" "$tree$file"
        for library in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*'); do
            [[ -e $tree$library ]] || { mkdir -p "$tree$(dirname "$library")"; cp -L "$library" "$tree$library"; }
        done
    done
}
image() { # NAME TREE [COMMAND]
    mkdir -p "$2"/{dev,proc,sys,tmp,run,etc}
    chmod 1777 "$2/tmp"
    printf 'root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n' >"$2/etc/passwd"
    printf 'root:x:0:\nadm:x:4:\nwww-data:x:33:\n' >"$2/etc/group"
    tar -C "$2" -c . | podman "${podman[@]}" import -q ${3+--change "CMD $3"} - "$1" >/dev/null
}
client_tree() { # TREE
    local program
    into_image "$1" "$(command -v curl)" /bin/busybox
    mkdir -p "$1/bin"
    cp "$bin"/splitsock-{run,fetch} "$1/bin"
    cp "$bin/tests-refused" "$1/bin/refused"
    for program in "$1"/bin/{splitsock-run,splitsock-fetch,refused}; do into_image "$1" $(ldd "$program" | grep -o '/[^ ]*'); done
    for program in sh cat sleep true httpd; do ln -s busybox "$1/bin/$program"; done
}
client_image() { client_tree "$T/image-client"; image client "$T/image-client"; }
nginx_image() { # LISTEN: an address and port, or a port
    local tree=$T/image-nginx
    rm -rf "$tree"
    into_image "$tree" /usr/sbin/nginx "$(command -v curl)" /etc/nginx/nginx.conf /etc/nginx/mime.types
    mkdir -p "$tree"/etc/nginx/{sites-enabled,conf.d,modules-enabled} "$tree"/var/{log,lib}/nginx "$tree/var/www/html"
    echo 'hello from a container' >"$tree/var/www/html/index.html"
    cp "$bin/splitsock-run" "$tree/usr/sbin"
    into_image "$tree" $(ldd "$bin/splitsock-run" | grep -o '/[^ ]*')
    data "$tree/var/www/html/big" 3000000
    printf 'server { listen %s; root /var/www/html; }\n' "$1" >"$tree/etc/nginx/sites-enabled/default"
    image nginx "$tree" '["/usr/sbin/nginx", "-g", "daemon off;"]'
}
host_nginx() { # PORT
    mkdir "$T/nginx"
    cat >"$T/nginx.conf" <<EOF
pid $T/nginx/pid; error_log $T/nginx.log; daemon off;
events { worker_connections 2000; }
http { access_log off; server { listen 127.0.0.1:$1 backlog=1000; root $T/www; } }
EOF
    outside_bg nginx-outside nginx -c "$T/nginx.conf" -e "$T/nginx.log"
    wait_port tcp "$1" "$pid"
}
port_is_free() { [[ -z $(ss -Hltn "sport = :$1") ]]; }

# What an agent's Hello says: a gofer that reads it and hangs up.
told_by_agent() {
    local id
    python3 "$here/containers/hello.py" "$T/listener.sock" "$T/hello" &
    started+=($!)
    until_true 5 test -S "$T/listener.sock" || fail "no listener"
    "$bin/splitsock-agent" --listen "$A/other.sock" --gofer "ipc://$T/listener.sock" 2>"$T/other.log" &
    started+=($!)
    until_true 5 test -S "$A/other.sock" || fail "no agent"
    sed "s#$A/agent.sock#$A/other.sock#" "$T/profile.json" >"$T/other.json"
    id=$(timeout "$LIMIT" podman "${podman[@]}" run -d "${run_args[@]}" --network none --security-opt "seccomp=$T/other.json" --user 33:33 \
        --uidmap 0:100000:65536 --gidmap 0:200000:65536 \
        --annotation splitsock.name=web --annotation color=blue client sleep 30)
    wait_file "$T/hello"
    read -r hello_id name color uid gid cgroup <"$T/hello"
    echo "$([[ $hello_id == "$id" ]] && echo true) $name $color $uid $gid $([[ $cgroup == "$(sed -n 's/^0:://p' /proc/self/cgroup)" ]] && echo true)" >"$T/told"
    pod rm -f -t 0 "$id" >/dev/null
}
