#!/usr/bin/env bash
# Daemons, programs that execute themselves anew, children by posix_spawn, vfork and fork, sockets passed on.
. "$(dirname "$0")/lib.sh"
need socat python3
need_helper tests-lives
read -r pd pr pe < <(free_ports 3)
talk() { echo "$2" | outside socat -t 5 - "TCP4:127.0.0.1:$1"; }

step "a daemon goes on being served after its parents have ended"
inside_bg daemon "$bin/tests-lives" daemon "$pd" "$T/pid" 3; runner=$pid
wait_port tcp "$pd"; wait_file "$T/pid"
daemon=$(cat "$T/pid")
eq "first" one "$(talk "$pd" one)"
sleep 0.3
eq "later" two "$(talk "$pd" two)"
kill -0 "$daemon" || fail "the daemon is gone"
eq "last" three "$(talk "$pd" three)"
gone "$daemon" 5 || { kill "$daemon"; fail "the daemon stayed"; }
gone "$runner" 5 || fail "the runner stayed although its programs have ended"
wait "$runner" && s=0 || s=$?
eq "status of the command that became a daemon" 0 "$s"
for ((i = 0; i < 100; i++)); do [[ -z $(ss -Hltn "sport = :$pd") ]] && break; sleep 0.05; done
[[ -z $(ss -Hltn "sport = :$pd") ]] || fail "port $pd is still held"

step "a listener kept over exec"
inside_bg reexec "$bin/tests-lives" reexec "$pr" 2; runner=$pid
wait_port tcp "$pr" "$runner"
eq "after exec" one "$(talk "$pr" one)"
eq "again" two "$(talk "$pr" two)"
gone "$runner" 5 || fail "it did not end"
wait "$runner" && s=0 || s=$?
eq "its status" 5 "$s"

step "children and threads"
outside_bg echo socat "TCP4-LISTEN:$pe,bind=127.0.0.1,fork,reuseaddr,backlog=64" EXEC:cat; wait_port tcp "$pe" "$pid"
eq "children" "posix_spawn ok vfork ok fork ok threads ok" "$(inside "$bin/tests-lives" spawn 127.0.0.1 "$pe" | xargs)"
eq "a socket passed to a child" "SCM_RIGHTS ok" "$(inside "$bin/tests-lives" pass 127.0.0.1 "$pe")"
step "a shell pipeline of network programs"
eq "pipeline" "A B" "$(inside sh -c "(echo a; echo b) | socat -t 5 - TCP4:127.0.0.1:$pe | socat -t 5 - TCP4:127.0.0.1:$pe | tr a-z A-Z" | xargs)"
step "a socket passed to a process outside"
cat >"$T/pass.py" <<'PY'
import socket, sys
path = sys.argv[2]
if sys.argv[1] == "take":
    u = socket.socket(socket.AF_UNIX); u.bind(path); u.listen(1); c, _ = u.accept()
    s = socket.socket(fileno=socket.recv_fds(c, 10, 1)[1][0])
    s.sendall(b"from outside"); s.shutdown(socket.SHUT_WR)
    print(b"".join(iter(lambda: s.recv(100), b"")).decode(), flush=True)
    c.close()                                                    # now the giver ends; with splitsock-run its sockets do
else:
    s = socket.create_connection(("127.0.0.1", int(sys.argv[3]))); u = socket.socket(socket.AF_UNIX); u.connect(path)
    socket.send_fds(u, [b"x"], [s.fileno()]); s.close(); u.recv(1)
PY
outside_bg take python3 "$T/pass.py" take "$T/pass"; take=$pid
until_true 10 test -S "$T/pass" || fail "no AF_UNIX listener"
$RUN python3 "$T/pass.py" give "$T/pass" "$pe" & giver=$!; started+=("$giver")
gone "$take" 10 || fail "who took it stayed"
eq "echoed" "from outside" "$(cat "$T/take.log")"
