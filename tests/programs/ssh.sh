#!/usr/bin/env bash
# OpenSSH with its own keys and configuration: sshd outside with ssh and scp inside, then sshd inside.
. "$(dirname "$0")/lib.sh"
need ssh ssh-keygen scp sshd unshare
need_setuid "sshd needs root to let anybody in, and separates its privileges by user"
read -r po pi pf web < <(free_ports 4)
mkdir -m 700 "$T/ssh"
ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/host"
ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/user"
cp "$T/ssh/user.pub" "$T/ssh/authorized"
echo "* $(cut -d' ' -f1,2 "$T/ssh/host.pub")" >"$T/ssh/known"
# sshd_on PORT: its configuration
sshd_on() {
    cat >"$T/ssh/sshd.$1" <<CONF
ListenAddress 127.0.0.1:$1
HostKey $T/ssh/host
AuthorizedKeysFile $T/ssh/authorized
PidFile none
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
CONF
    echo "$T/ssh/sshd.$1"
}
cat >"$T/ssh/config" <<CONF
Host *
    User root
    IdentityFile $T/ssh/user
    IdentitiesOnly yes
    UserKnownHostsFile $T/ssh/known
    GlobalKnownHostsFile /dev/null
    BatchMode yes
    ConnectTimeout 10
CONF
# sshd insists on /run/sshd, which exists only where its service was set up.
cat >"$T/ssh/start" <<'SH'
mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "$1"
SH
data "$T/five" 5000000
# exercise PORT SIDE
exercise() {
    local o="-F $T/ssh/config"
    eq "a command" "hello $1" "$($2 ssh $o -p "$1" 127.0.0.1 'set -- $SSH_CONNECTION; echo hello $4')"
    eq "its status" 7 "$(status_of $2 ssh $o -p "$1" 127.0.0.1 'exit 7')"
    eq "stdin and stdout" "$(sum "$T/five")" "$($2 ssh $o -p "$1" 127.0.0.1 cat <"$T/five" | sha256sum | cut -d' ' -f1)"
    $2 scp -q $o -P "$1" "$T/five" "127.0.0.1:$T/up"; same "scp up" "$T/five" "$T/up"
    $2 scp -q $o -P "$1" "127.0.0.1:$T/five" "$T/down"; same "scp down" "$T/five" "$T/down"
    rm "$T/up" "$T/down"
}
step "sshd outside, ssh inside"
outside_bg out unshare -m sh "$T/ssh/start" "$(sshd_on "$po")"
wait_port tcp "$po" "$pid"
exercise "$po" inside
step "a forwarded port, the listener inside"
mkdir "$T/www"; echo page >"$T/www/page"
outside_bg web python3 "$src/httpd.py" 127.0.0.1 "$web" "$T/www"; wait_port tcp "$web" "$pid"
inside_bg forward ssh -F "$T/ssh/config" -p "$po" -N -o ExitOnForwardFailure=yes -L "127.0.0.1:$pf:127.0.0.1:$web" 127.0.0.1
wait_port tcp "$pf" "$pid"
eq "through the tunnel" page "$(outside curl -sS "http://127.0.0.1:$pf/page")"
step "sshd inside, ssh outside; both inside"
inside_bg in unshare -m sh "$T/ssh/start" "$(sshd_on "$pi")"
wait_port tcp "$pi" "$pid"
exercise "$pi" outside
exercise "$pi" inside
