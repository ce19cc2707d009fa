#!/bin/sh
# install-packages.sh [LIST]: installs those Debian packages of LIST (packages.txt) that are missing. Silent and
# instant when none is. Services that come with them (nginx, redis, ssh) are neither started nor enabled.
set -eu
list=${1:-$(dirname "$0")/packages.txt}

if ! command -v dpkg-query >/dev/null; then
    echo "install-packages: this is not a Debian system; install what $list names by hand" >&2
    exit 1
fi
wanted=$(sed 's/#.*//' "$list" | xargs)
# shellcheck disable=SC2086 # a list of words
present=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $wanted 2>/dev/null | sed -n 's/ installed$//p') || true
missing=
for p in $wanted; do
    case "
$present
" in *"
$p
"*) ;; *) missing="$missing $p" ;; esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    # Without a terminal nobody can type a password.
    if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        exec sudo sh "$0" "$list"
    fi
    echo "install-packages: neither root nor sudo here; as root, run: apt-get install$missing" >&2
    exit 1
fi

echo "installing$missing"
policy=/usr/sbin/policy-rc.d
ours=
finish() {
    [ -z "$ours" ] || rm -f "$policy"
    rm -f "$log"
}
log=$(mktemp)
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Maintainer scripts ask policy-rc.d before they start anything. Where there is one already, it is the owner's word.
if ! [ -e "$policy" ] && ! [ -L "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\n# from splitsock, while it installs packages\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
quietly() {
    "$@" >"$log" 2>&1 </dev/null && return
    cat "$log" >&2
    echo "install-packages: failed: $*" >&2
    exit 1
}
quietly apt-get update -q
# shellcheck disable=SC2086
quietly apt-get install -q -y --no-install-recommends $missing

# Nor at the next boot: what this very run brought in was not wanted as a service.
if command -v systemctl >/dev/null; then
    for pair in nginx-light:nginx redis-server:redis-server openssh-server:ssh haproxy:haproxy memcached:memcached \
        mosquitto:mosquitto rsync:rsync postgresql:postgresql unbound:unbound \
        fcgiwrap:fcgiwrap.socket nats-server:nats-server vsftpd:vsftpd stunnel4:stunnel4 \
        podman:podman.socket podman:podman-restart.service podman:podman-auto-update.timer; do
        case "$missing " in *" ${pair%%:*} "*) systemctl disable -q "${pair#*:}" 2>/dev/null || true ;; esac
    done
fi
