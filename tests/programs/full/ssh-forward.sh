#!/usr/bin/env bash
# What is carried over ssh: -L, -R, -D and a Unix socket's forwarding, rsync, git and sftp; ssh inside with sshd outside, then the reverse.
. "$(dirname "$0")/../lib.sh"
need ssh sshd sftp rsync git curl unshare
need_setuid "sshd needs root to let anybody in, and separates its privileges by user"
export HOME=$T GIT_CONFIG_NOSYSTEM=1
git config --global user.name t; git config --global user.email t@example.com; git config --global init.defaultBranch main; git config --global safe.directory '*'
mkdir -m 700 "$T/ssh"; mkdir "$T/www" "$T/tree"
ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/host"; ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/user"
echo "* $(cut -d' ' -f1,2 "$T/ssh/host.pub")" >"$T/ssh/known"
cat >"$T/ssh/config" <<CONF
Host *
    User root
    IdentityFile $T/ssh/user
    IdentitiesOnly yes
    UserKnownHostsFile $T/ssh/known
    GlobalKnownHostsFile /dev/null
    BatchMode yes
    ConnectTimeout 10
    ExitOnForwardFailure yes
CONF
# sshd insists on /run/sshd, which exists only where its service was set up.
cat >"$T/ssh/start" <<'SH'
mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "$1"
SH
sshd_on() {
    printf '%s\n' "ListenAddress 127.0.0.1:$1" "HostKey $T/ssh/host" "AuthorizedKeysFile $T/ssh/user.pub" "PidFile none" "PermitRootLogin prohibit-password" \
        "StrictModes no" "UsePAM no" "Subsystem sftp internal-sftp" >"$T/ssh/sshd.$1"
    echo "$T/ssh/sshd.$1"
}
data "$T/www/big" 5000000
for i in {1..30}; do data "$T/tree/f$i" $((i * 1000)); done
git init -q "$T/repo"; cp "$T"/tree/* "$T/repo"; git -C "$T/repo" add .; git -C "$T/repo" commit -qm one; git clone -q --bare "$T/repo" "$T/repo.git"
read -r po pi web < <(free_ports 3)
outside_bg web python3 "$src/httpd.py" 127.0.0.1 "$web" "$T/www"; wait_port tcp "$web" "$pid"
n=0
# exercise SSH-SIDE OTHER-SIDE PORT
exercise() {
    local l r d s="ssh -F $T/ssh/config -p $3" forward
    read -r l r d < <(free_ports 3)
    step "-L, -R and -D, ssh $1"
    "$1_bg" forward $s -N -L "127.0.0.1:$l:127.0.0.1:$web" -R "127.0.0.1:$r:127.0.0.1:$web" -D "127.0.0.1:$d" -L "$T/unix$((++n)):127.0.0.1:$web" 127.0.0.1; forward=$pid
    wait_port tcp "$r" "$forward"; wait_port tcp "$l" "$forward"; wait_port tcp "$d" "$forward"
    for how in "http://127.0.0.1:$l" "http://127.0.0.1:$r" "--socks5-hostname 127.0.0.1:$d http://localhost:$web" "--unix-socket $T/unix$n http://x"; do
        $2 curl -sS -f -o "$T/got" $how/big; same "$how" "$T/www/big" "$T/got"
        rm -f "$T"/part.*
        $2 curl -sS -f -Z -o "$T/part.#1" "${how% *}/big?[1-3]" 2>"$T/parallel.log" || [[ $how == -* ]] || fail "three at once, $how"
    done
    eq "uploaded through -R" "$(sum "$T/www/big")" "$($2 curl -sS -T "$T/www/big" "http://127.0.0.1:$r/x")"
    stop "$forward"
    eq "-R's listener ends with ssh" "" "$(until_true 3 eval '[[ -z $(ss -Hltn "sport = :'"$r"'") ]]' || echo "still there")"
    step "rsync, git and sftp, ssh $1"
    rm -rf "$T/there" "$T/back" "$T/clone"
    $1 rsync -a -e "$s" "$T/tree/" "127.0.0.1:$T/there/"; diff -r "$T/tree" "$T/there" || fail "rsync up"
    $1 rsync -az -e "$s" "127.0.0.1:$T/there/" "$T/back/"; diff -r "$T/tree" "$T/back" || fail "rsync down"
    export GIT_SSH_COMMAND="ssh -F $T/ssh/config"
    $1 git clone -q "ssh://127.0.0.1:$3$T/repo.git" "$T/clone"; diff -r --exclude .git "$T/tree" "$T/clone" | grep -v '^Only in.*added' | head -n 1 | grep . && fail "git clone"
    echo "$n" >"$T/clone/added$n"; git -C "$T/clone" add .; git -C "$T/clone" commit -qm "$n"
    $1 git -C "$T/clone" push -q origin HEAD:main
    eq "pushed" "$(git -C "$T/clone" rev-parse HEAD)" "$(git -C "$T/repo.git" rev-parse main)"
    printf 'put %s %s\nget %s %s\n' "$T/www/big" "$T/sftp.up" "$T/sftp.up" "$T/sftp.down" >"$T/batch"
    $1 sftp -q -F "$T/ssh/config" -P "$3" -b "$T/batch" 127.0.0.1 >"$T/sftp.log" || fail "sftp"
    same "sftp" "$T/www/big" "$T/sftp.down"
}
outside_bg out unshare -m sh "$T/ssh/start" "$(sshd_on "$po")"; wait_port tcp "$po" "$pid"
exercise inside outside "$po"
inside_bg in unshare -m sh "$T/ssh/start" "$(sshd_on "$pi")"; wait_port tcp "$pi" "$pid"
exercise outside inside "$pi"
