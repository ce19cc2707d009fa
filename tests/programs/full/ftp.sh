#!/usr/bin/env bash
# FTP, whose data connections go either way: vsftpd, lftp and curl, passive and active, with either end inside.
. "$(dirname "$0")/../lib.sh"
need vsftpd lftp curl
need_setuid "vsftpd needs root, and becomes other users"
data "$T/big" 5000000
mkdir -p "$T/srv/up" "$T/empty"; cp "$T/big" "$T/srv/"; for i in 1 2 3 4 5 6; do data "$T/srv/f$i" 4000; done
chown -R www-data: "$T/srv/up"; chmod 755 "$T/srv"
# conf PORT
conf() {
    cat >"$T/$1.conf" <<CONF
listen=YES
listen_address=127.0.0.1
listen_port=$1
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=$T/srv
anon_upload_enable=YES
anon_other_write_enable=YES
write_enable=YES
anon_umask=022
anon_world_readable_only=NO
ftp_username=www-data
nopriv_user=nobody
secure_chroot_dir=$T/empty
port_enable=YES
pasv_enable=YES
connect_from_port_20=NO
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
xferlog_enable=NO
CONF
}
# exercise SIDE PORT
exercise() {
    local how u=ftp://127.0.0.1:$2
    for how in "" "--disable-epsv" "--ftp-port 127.0.0.1" "--ftp-port 127.0.0.1 --disable-eprt"; do
        $1 curl -sS $how -o "$T/got" "$u/big"; same "curl ${how:-passive}" "$T/big" "$T/got"
        $1 curl -sS $how -T "$T/big" "$u/up/x"; same "curl ${how:-passive}, upload" "$T/big" "$T/srv/up/x"
        rm "$T/srv/up/x"
    done
    rm -rf "$T/mirror"
    $1 lftp -c "set net:timeout 5; set net:max-retries 2; set ftp:ssl-allow no; open ftp://anonymous@127.0.0.1:$2; mirror --parallel=3 --exclude up/ . $T/mirror" >"$T/lftp.log" 2>&1 || fail "lftp mirror"
    diff -r --exclude up "$T/srv" "$T/mirror" >"$T/diff.log" || fail "lftp's mirror differs"
    $1 lftp -c "set net:timeout 5; set ftp:ssl-allow no; set ftp:passive-mode no; open ftp://anonymous@127.0.0.1:$2; pget -n 3 big -o $T/got.active" >"$T/lftp.log" 2>&1 || fail "lftp active"
    same "lftp, active, in three parts" "$T/big" "$T/got.active"; rm "$T/got.active"
}
read -r po pi < <(free_ports 2)
conf "$po"; conf "$pi"
step "vsftpd outside, clients inside"
outside_bg out vsftpd "$T/$po.conf"; wait_port tcp "$po" "$pid"
exercise inside "$po"
step "vsftpd inside, clients outside; both inside"
inside_bg in vsftpd "$T/$pi.conf"; wait_port tcp "$pi" "$pid"
exercise outside "$pi"
exercise inside "$pi"
