#!/usr/bin/env bash
# PostgreSQL: psql, COPY, a large object of rows, LISTEN and NOTIFY, TLS, pgbench with eight clients; the server outside, then inside.
. "$(dirname "$0")/../lib.sh"
need psql pgbench openssl setpriv
pg=$(echo /usr/lib/postgresql/*/bin | tr ' ' '\n' | tail -n 1)
[[ -x $pg/postgres && -x $pg/initdb ]] || fail "no PostgreSQL server: run deploy/install-packages.sh deploy/packages-full.txt"
as=()                                # the server refuses to be root
if [[ $(id -u) == 0 ]]; then
    need_setuid "PostgreSQL refuses to be root"
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
certificate pg
read -r po pi < <(free_ports 2)
mkdir "$T/out" "$T/in"; cp "$T/pg.crt" "$T/pg.key" "$T/out"; cp "$T/pg.crt" "$T/pg.key" "$T/in"; chmod 600 "$T"/*/pg.key; chmod 700 "$T/out" "$T/in"
[[ $(id -u) != 0 ]] || chown -R 65534:65534 "$T/out" "$T/in"
(cd "$T"; "${as[@]}" "$pg/initdb" -D "$T/out/db" -U tester -A trust --no-sync --no-instructions --no-locale -E UTF8 >"$T/initdb.log" 2>&1) || fail "initdb"
"${as[@]}" cp -r "$T/out/db" "$T/in/db"
server() { echo "${as[@]}" "$pg/postgres" -D "$T/$1/db" -p "$2" -c listen_addresses=127.0.0.1,::1 -c unix_socket_directories= -c fsync=off \
    -c ssl=on -c "ssl_cert_file=$T/$1/pg.crt" -c "ssl_key_file=$T/$1/pg.key"; }
seq 1 50000 | awk '{ print $1 "\t" "row " $1 * 7 }' >"$T/rows"
# exercise SIDE PORT
exercise() {
    local sql="$1 psql -X -q -A -t -v ON_ERROR_STOP=1 -U tester -p $2 -d postgres"
    until_true 10 "$pg/pg_isready" -q -U tester -d postgres -h 127.0.0.1 -p "$2" || fail "not ready"
    $sql -h 127.0.0.1 -c 'drop table if exists t; create table t (n int primary key, s text)'
    $sql -h 127.0.0.1 -c '\copy t from stdin' <"$T/rows"
    eq "rows and their sum" "50000|1250025000" "$($sql -h ::1 -c 'select count(*), sum(n) from t')"
    $sql -h localhost -c '\copy (select * from t order by n) to stdout' >"$T/back"; same "COPY there and back" "$T/rows" "$T/back"
    eq "8 MB in one value" 8000000 "$($sql -h 127.0.0.1 -c "select repeat('x', 8000000)" | tr -d '\n' | wc -c)"
    eq "addresses" "127.0.0.1/32 $2" "$($sql -h 127.0.0.1 -F ' ' -c 'select inet_client_addr()::inet::cidr, inet_server_port()')"
    eq "TLS" "TLSv1.3" "$(PGSSLMODE=verify-full PGSSLROOTCERT=$T/pg.crt $sql -h localhost -c 'select version from pg_stat_ssl where pid = pg_backend_pid()')"
    eq "NOTIFY" 1 "$($sql -h 127.0.0.1 -c 'listen news' -c "notify news, 'hello'" -c 'select 1' | grep -c 'notification "news" with payload "hello"')"
    eq "cancelled" 1 "$($sql -h 127.0.0.1 -c 'set statement_timeout = 200' -c 'select pg_sleep(10)' 2>&1 | grep -c 'statement timeout')"
    $1 pgbench -q -i -s 1 -U tester -h 127.0.0.1 -p "$2" postgres >"$T/bench.log" 2>&1 || fail "pgbench -i"
    $1 pgbench -n -c 8 -j 2 -t 50 -U tester -h 127.0.0.1 -p "$2" postgres >"$T/bench.log" 2>&1 || fail "pgbench"
    grep -q 'actually processed: 400/400' "$T/bench.log" || fail "pgbench: $(cat "$T/bench.log")"
    eq "pgbench's transactions" 400 "$($sql -h 127.0.0.1 -c 'select count(*) from pgbench_history')"
    $1 pgbench -n -C -S -c 4 -t 20 -U tester -h 127.0.0.1 -p "$2" postgres >"$T/bench.log" 2>&1 || fail "pgbench -C"
    grep -q 'actually processed: 80/80' "$T/bench.log" || fail "pgbench -C: $(cat "$T/bench.log")"
}
cd "$T"
step "the server outside, psql inside"
outside_bg out $(server out "$po"); wait_port tcp "$po" "$pid"
exercise inside "$po"
step "the server inside, psql outside; both inside"
inside_bg in $(server in "$pi"); wait_port tcp "$pi" "$pid"; server=$pid
exercise outside "$pi"
exercise inside "$pi"
stop "$server" INT
eq "status after a fast shutdown" 0 "$status"
