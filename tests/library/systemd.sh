#!/usr/bin/env bash
# The units under a real systemd: the first process of namespaces of its own, on a copy of this system (an overlay, in memory) into which DEST was
# installed. So neither this system's files nor its services are touched, whether it runs systemd itself or not.
#   systemd.sh DEST     as root
set -euo pipefail
exec </dev/null
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
fail() { echo "FAIL: $*" >&2; [[ -z ${init-} ]] || in_it journalctl --no-pager -n 60 >&2 || true; exit 1; }
eq() { [[ $2 == "$3" ]] || fail "$1: wanted '$2', got '$3'"; }
step() { echo "- $*"; }
until_true() { # SECONDS COMMAND…
    local i
    for ((i = 0; i < $1 * 20; i++)); do "${@:2}" && return 0; sleep 0.05; done
    return 1
}

if [[ $1 == --boot ]]; then
    # In the new namespaces.
    dest=$2 root=$3
    mount --make-rprivate /
    mount -t tmpfs -o mode=755 tmpfs "$root"
    mkdir "$root/upper" "$root/work" "$root/new"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/new"
    new=$root/new
    cp -a "$dest/usr/." "$new/usr/"
    mount -t proc proc "$new/proc"
    mount -t sysfs sysfs "$new/sys"
    mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$new/dev"
    mkdir -m 755 "$new"/dev/{pts,shm,net}
    mknod -m 666 "$new/dev/net/tun" c 10 200 # the mode that udev gives it
    for device in null zero full random urandom tty; do
        touch "$new/dev/$device"
        mount --bind "/dev/$device" "$new/dev/$device"
    done
    mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$new/dev/pts"
    ln -s pts/ptmx "$new/dev/ptmx"
    ln -s /proc/self/fd "$new/dev/fd"
    for directory in run tmp var/log; do mount -t tmpfs -o mode=1777 tmpfs "$new/$directory"; done
    mount -o remount,mode=755 "$new/run"
    mkdir -p "$new/old" "$new/etc/splitsock" "$new/var/log/journal"
    rm -f "$new/etc/machine-id"
    echo 0123456789abcdef0123456789abcdef >"$new/etc/machine-id"
    ip link set lo up
    cd "$new"
    pivot_root . old
    umount -l /old
    export container=namespaces
    exec chroot . /lib/systemd/systemd --show-status=0 --unit=basic.target >/dev/null 2>&1
fi

dest=$1
[[ $(id -u) == 0 ]] || fail "it takes root to make namespaces"
root=$(mktemp -d "${TMPDIR:-/tmp}/splitsock-systemd.XXXXXX")
unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child "$0" --boot "$dest" "$root" &
outer=$! init=
finish() {
    local s=$?
    trap - EXIT
    kill -KILL "$outer" 2>/dev/null || true
    wait "$outer" 2>/dev/null || true
    rmdir "$root" 2>/dev/null || true
    exit "$s"
}
trap finish EXIT
trap 'exit 143' TERM INT
in_it() { nsenter -t "$init" --mount --pid --net --uts --ipc --cgroup --root --wd -- timeout -k 1 20 "$@"; }
has_init() { init=$(ps -o pid= --ppid "$outer" | tr -d ' ') && [[ -n $init && $(cat "/proc/$init/comm") == systemd ]]; }
until_true 20 has_init || fail "systemd did not start"
# Whatever else this system would run does not matter; a bus and a journal do.
is_up() { in_it systemctl -q is-active basic.target 2>/dev/null; }
until_true 30 is_up || fail "systemd did not come up"

gofer=splitsock-gofer.service
write() { in_it tee "$1" >/dev/null; }
property() { in_it systemctl show -P "$1" "$gofer"; }
is() { [[ $(property "$1") == "$2" ]]; }
as_nobody() { in_it setpriv --reuid=65534 --regid=65534 --groups="$group" "$@"; }
run() { as_nobody splitsock-run --isolate -- "$@"; }
fetch() { run curl -sS --max-time 5 http://127.0.0.1:8080/hello; }
drop_in() { in_it mkdir -p "/etc/systemd/system/$gofer.d"; write "/etc/systemd/system/$gofer.d/$1.conf"; in_it systemctl daemon-reload; }

step "users, directories"
in_it systemd-sysusers
in_it systemd-tmpfiles --create splitsock.conf
group=$(in_it id -g splitsock)
eq "/run/splitsock" "755 splitsock splitsock" "$(in_it stat -c '%a %U %G' /run/splitsock)"
eq "/var/log/splitsock" "750 splitsock adm" "$(in_it stat -c '%a %U %G' /var/log/splitsock)"

step "without a policy nothing starts"
in_it systemctl start splitsock-gofer.socket
eq "the sockets without a policy" inactive "$(in_it systemctl is-active splitsock-gofer.socket || true)"

step "the sockets are there, the gofer is not"
write /etc/splitsock/policy.yaml <<'END'
version: 1
foreign_rings: unlimited             # not what is tested here, and not every kernel can refuse them
clients:
  - name: tester
    users: [nobody]
    sockets: open
    raw: {protocols: [icmp]}
    packet:
      - interface: "*"
        receive: true
        send: true
        ethertypes: any
        protocols: any
END
in_it systemctl start splitsock-gofer.socket
for name in gofer.sock gofer.sock.stream gofer.sock.seqpacket; do
    eq "$name" "660 splitsock splitsock" "$(in_it stat -c '%a %U %G' "/run/splitsock/$name")"
done
eq "the gofer before anybody asks" inactive "$(property ActiveState)"

step "a client starts it"
in_it mkdir -m 755 /tmp/www
write /tmp/www/hello <<<"hello from the host"
in_it systemd-run -q --unit=www python3 -m http.server -d /tmp/www --bind 127.0.0.1 8080
until_true 10 in_it curl -sS -o /dev/null http://127.0.0.1:8080/hello 2>/dev/null || fail "no server"
eq "the first fetch" "hello from the host" "$(fetch)"
eq "the gofer" active "$(property ActiveState)"
main=$(property MainPID)

step "what it may"
status=$(in_it cat "/proc/$main/status")
for line in 'CapEff:	0000000000000000' 'CapBnd:	0000000000000000' 'NoNewPrivs:	1' 'Seccomp:	2'; do
    grep -qx "$line" <<<"$status" || fail "no '$line' in: $status"
done
eq "its user" splitsock "$(in_it stat -c %U "/proc/$main")"
eq "a port below 1024" PermissionError "$(run python3 -c '
import socket
try: socket.socket().bind(("127.0.0.1", 80)); print("bound")
except OSError as e: print(type(e).__name__)')"
in_it systemd-run -q --wait --pipe -p User=nobody true    # systemd itself works
if as_nobody sh -c 'setpriv --clear-groups splitsock-run --gofer ipc:///run/splitsock/gofer.sock -- true' 2>/dev/null; then
    fail "who is not in the group may connect"
fi

step "the audit is in the journal"
audited() { in_it journalctl -q --no-pager -o cat -u splitsock-gofer "$@"; }
has_connect() { audited SPLITSOCK_EVENT=connect SPLITSOCK_PORT=8080 SPLITSOCK_IDENTITY_UID=65534 SPLITSOCK_RULE=tester | grep -q '^{.*"event":"connect"'; }
until_true 5 has_connect || fail "no connect in the journal"

step "reload"
in_it systemctl reload "$gofer"
until_true 5 is ActiveState active || fail "it did not say that it is ready again"
eq "the process after a reload" "$main" "$(property MainPID)"
eq "a fetch after a reload" "hello from the host" "$(fetch)"

step "killed: the sockets stay, and the next client has another one"
in_it kill -KILL "$main"
until_true 10 test "$(property MainPID)" != "$main" || true
eq "a fetch after a kill" "hello from the host" "$(until_true 5 fetch 2>/dev/null)"
[[ $(property MainPID) != "$main" ]] || fail "it is still $main"

step "stopped: likewise"
in_it systemctl stop "$gofer"
eq "stopped" inactive "$(property ActiveState)"
eq "how it ended" success "$(property Result)"
in_it test -S /run/splitsock/gofer.sock.stream || fail "it took systemd's socket away"
eq "a fetch after a stop" "hello from the host" "$(fetch)"

step "the watchdog"
drop_in watchdog <<<$'[Service]\nWatchdogSec=6\nRestartSec=0'
in_it systemctl restart "$gofer"
main=$(property MainPID)
sleep 8                             # it lives, and says so
eq "while it lives" "$main" "$(property MainPID)"
in_it kill -STOP "$main"
other_main() { [[ $(property MainPID) != "$main" ]] && is ActiveState active; }
until_true 20 other_main || fail "a gofer that hangs is not restarted"

step "a port below 1024, with ports.conf"
in_it cp "/usr/share/doc/splitsock/$gofer.d/ports.conf" "/etc/systemd/system/$gofer.d/"
in_it systemctl daemon-reload
in_it systemctl restart "$gofer"
eq "a port below 1024" bound "$(run python3 -c 'import socket; socket.socket().bind(("127.0.0.1", 80)); print("bound")')"
eq "no raw socket" PermissionError "$(run python3 -c '
import socket
try: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print("opened")
except OSError as e: print(type(e).__name__)')"

step "raw sockets, with raw.conf"
in_it cp "/usr/share/doc/splitsock/$gofer.d/raw.conf" "/etc/systemd/system/$gofer.d/"
in_it systemctl daemon-reload
in_it systemctl restart "$gofer"
eq "a raw socket" opened "$(run python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print("opened")')"

step "packet sockets, with packet.conf alone"
in_it rm "/etc/systemd/system/$gofer.d/raw.conf" "/etc/systemd/system/$gofer.d/ports.conf"
in_it cp "/usr/share/doc/splitsock/$gofer.d/packet.conf" "/etc/systemd/system/$gofer.d/"
in_it systemctl daemon-reload
in_it systemctl restart "$gofer"
in_it ip link add h0 type veth peer name p0
for name in h0 p0; do in_it ip link set "$name" up; done
eq "frames" "b'splitsock'" "$(run python3 -c '
import mmap, socket, struct, time
def opened(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
    s.bind((name, 0x88b5))
    s.settimeout(5)
    return s
a, b = opened("h0"), opened("p0")
mac = a.getsockname()[4]
time.sleep(0.5)
a.send(b"\xff" * 6 + mac + b"\x88\xb5" + b"splitsock" + bytes(40))
print(b.recv(2000)[14:23])
ring = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
ring.setsockopt(263, 5, struct.pack("IIII", 4096, 2, 2048, 4))
')"
eq "the main process, from a cgroup below" active "$(property ActiveState)"
in_it systemctl stop "$gofer"
eq "how it ended" success "$(property Result)"
echo PASSED
