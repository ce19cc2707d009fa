#!/usr/bin/env bash
# MariaDB and its client: many rows in and out, big values, eight clients at once; the server outside, then inside.
. "$(dirname "$0")/../lib.sh"
LIMIT=40
need mariadbd mariadb-install-db mariadb mariadb-dump mariadb-slap
read -r po pi < <(free_ports 2)
user=$(id -un)
mariadb-install-db --no-defaults --user="$user" --datadir="$T/out" --auth-root-authentication-method=normal --skip-test-db >"$T/install.log" 2>&1 || fail "mariadb-install-db"
cp -r "$T/out" "$T/in"
server() { echo mariadbd --no-defaults --user="$user" --datadir="$T/$1" --bind-address=127.0.0.1 --port="$2" --socket="$T/$1.sock" \
    --pid-file="$T/$1.pid" --skip-log-bin --innodb-flush-log-at-trx-commit=0 --innodb-log-file-size=8M --skip-name-resolve --max-allowed-packet=32M; }
# exercise SIDE PORT
exercise() {
    local at="--no-defaults -h 127.0.0.1 -P $2 -u root --protocol=tcp" sql
    sql="$1 mariadb $at --max-allowed-packet=32M -N -B"
    $sql -e 'drop database if exists d; create database d; create table d.t (n int primary key, s varchar(40)) engine=InnoDB'
    { echo 'insert into d.t values'; seq 1 5000 | awk '{ printf "%s(%d,\"row %d\")", (NR > 1 ? "," : ""), $1, $1 * 7 }'; echo ';'; } | $sql
    eq "rows and their sum" "5000 12502500" "$($sql -e 'select count(*), sum(n) from d.t' | xargs)"
    eq "8 MB in one value" 8000000 "$($sql -e 'select repeat("x", 8000000)' | tr -d '\n' | wc -c)"
    $1 mariadb-dump $at --compact --skip-extended-insert d t >"$T/dump" || fail "mariadb-dump"
    eq "dumped rows" 5000 "$(grep -c '^INSERT' "$T/dump")"
    $sql -e 'create database if not exists e'; $sql e <"$T/dump"
    eq "restored alike" 0 "$($sql -e 'select count(*) from d.t left join e.t as u on d.t.n = u.n and d.t.s = u.s where u.n is null')"
    $sql -e 'drop database e'
    $1 mariadb-slap $at --create-schema=slap --concurrency=8 --number-of-queries=400 --query='select count(*) from d.t where n < 100' >"$T/slap.log" 2>&1 || fail "mariadb-slap"
    eq "an error comes back" 1 "$(status_of $sql -e 'select * from d.none' 2>/dev/null)"
}
step "the server outside, the client inside"
outside_bg out $(server out "$po"); wait_port tcp "$po" "$pid"
exercise inside "$po"
step "the server inside, the client outside; both inside"
inside_bg in $(server in "$pi"); wait_port tcp "$pi" "$pid"; server=$pid
exercise outside "$pi"
exercise inside "$pi"
inside mariadb-admin --no-defaults -h 127.0.0.1 -P "$pi" -u root --protocol=tcp shutdown
gone "$server" 10 || fail "the server stayed"
