#!/usr/bin/env bash
# What a command inside inherits and what it leaves: exit status, signals, streams, arguments, limits.
. "$(dirname "$0")/lib.sh"
need python3
step "exit status"
eq "success" 0 "$(status_of inside true)"
eq "exit 7" 7 "$(status_of inside sh -c 'exit 7')"
eq "exit 255" 255 "$(status_of inside sh -c 'exit 255')"
for s in TERM:143 KILL:137 SEGV:139 HUP:129; do
    # the subshell keeps bash's own remark on the signal out of the output
    eq "killed by ${s%:*}" "${s#*:}" "$( (status_of inside sh -c "ulimit -c 0; kill -${s%:*} \$\$") 2>/dev/null)"
done
eq "not found" 127 "$(PATH=/usr/bin:/bin status_of inside no-such-command-anywhere 2>/dev/null)"
eq "not found, with a path" 127 "$(status_of inside "$T/absent" 2>/dev/null)"
echo 'echo x' >"$T/plain"
eq "not executable" 126 "$(status_of inside "$T/plain" 2>/dev/null)"
eq "a directory" 126 "$(status_of inside "$T" 2>/dev/null)"

step "streams"
data "$T/file" 3000000
inside cat <"$T/file" >"$T/got"; same "through stdin and stdout" "$T/file" "$T/got"
inside sh -c 'echo out; echo err >&2' >"$T/o" 2>"$T/e"
eq "stdout apart" out "$(cat "$T/o")"
eq "stderr apart, and nothing else on it" err "$(cat "$T/e")"
eq "another descriptor" here "$(inside sh -c 'cat <&5' 5< <(echo here))"
# A shell that is not the last of a pipeline reports SIGPIPE as 141.
( (inside yes || echo $? >"$T/pipe") | head -n 1 >/dev/null) 2>/dev/null
eq "SIGPIPE" 141 "$(cat "$T/pipe")"

step "arguments, environment, directory"
eq "arguments" $'a b||*|--gofer|-x' "$(inside sh -c 'IFS="|"; echo "$*"' sh 'a b' '' '*' --gofer -x)"
eq "environment" yes "$(MARK=yes inside sh -c 'echo $MARK')"
eq "directory" "$T" "$(cd "$T" && inside pwd)"
eq "umask" 0027 "$(umask 0027; inside sh -c umask)"
eq "user" "$(id -u):$(id -g)" "$(inside sh -c 'echo $(id -u):$(id -g)')"

step "nothing of the runner's shows"
mine() { $1 python3 -c '
import os, resource
print("descriptors", sorted(int(f) for f in os.listdir("/proc/self/fd"))[:-1])
print([l.strip() for l in open("/proc/self/status") if l.startswith(("SigBlk", "SigIgn"))])
print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE), os.getpriority(os.PRIO_PROCESS, 0))'; }
eq "descriptors, signals and limits" "$(mine outside)" "$(mine inside)"

step "signals sent to the runner reach the command"
cat >"$T/sig.py" <<'PY'
import signal, sys, time
def got(n, _):
    print(signal.Signals(n).name, flush=True)
    if n == signal.SIGTERM:
        sys.exit(9)
for s in (signal.SIGUSR1, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(s, got)
print("ready", flush=True)
for _ in range(200):
    time.sleep(0.05)
PY
$RUN python3 "$T/sig.py" >"$T/sig" 2>&1 & pid=$!; started+=("$pid")
wait_line() { local i; for ((i = 0; i < 100; i++)); do grep -q "$1" "$T/sig" && return; sleep 0.05; done; fail "no $1: $(cat "$T/sig")"; }
wait_line ready
for s in USR1 HUP INT TERM; do kill -"$s" "$pid"; wait_line "SIG$s"; done
gone "$pid" 5 || fail "the runner stayed"
wait "$pid" && s=0 || s=$?
eq "status after a handled SIGTERM" 9 "$s"
$RUN sleep 20 & pid=$!; started+=("$pid")
sleep 0.3
kill -TERM "$pid"
gone "$pid" 5 || fail "SIGTERM did not end the runner"
wait "$pid" 2>/dev/null && s=0 || s=$?
eq "status after an unhandled SIGTERM" 143 "$s"
