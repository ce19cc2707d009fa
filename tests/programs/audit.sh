#!/usr/bin/env bash
# The audit of a real gofer, of what real clients do: every event, checked against the schema and against what happened.
. "$(dirname "$0")/raw.sh"
[[ -n $RUN ]] || exit 0               # the bare kernel says nothing
need curl
schema=$here/../../deploy/splitsock-audit.schema.json
audit=$T/audit.log

# gofer NAME POLICY ARGUMENT…: another one, on $T/NAME.sock, for the user nobody.
gofer() {
    host_bg "$1" "$bin/splitsock-gofer" --listen "ipc://$T/$1.sock" --policy "$2" --socket-mode 0666 "${@:3}"
    wait_line "$T/$1.log" 'policy '
    gofer_pid=$(descendants "$pid" | tail -n 1)
    gofer_pid=${gofer_pid:-$pid}
}
through() { timeout -k 1 "$LIMIT" setpriv --reuid=65534 --regid=65534 --clear-groups "$T/bin/splitsock-run" --gofer "ipc://$T/$1.sock" --isolate -- "${@:2}"; }
# event FILE EXPRESSION…: waits for a line for which each of the Python expressions on `e` is true, and prints it.
cat >"$T/event.py" <<'PY'
import json, sys, time
end = time.monotonic() + 5
while True:
    with open(sys.argv[1]) as f:
        lines = f.read().split("\n")
    for line in lines[:-1]:
        e = json.loads(line)
        get = e.get
        if all(eval(expression) for expression in sys.argv[2:]):
            print(line)
            sys.exit(0)
    if time.monotonic() > end:
        sys.exit("no line with " + " and ".join(sys.argv[2:]) + " in:\n" + "\n".join(lines))
    time.sleep(0.05)
PY
event() { $python "$T/event.py" "$@"; }
field() { $python -c 'import json, sys; e = json.loads(sys.argv[1]); print(eval(sys.argv[2]))' "$@"; }

step "the schema is one, and refuses what is wrong"
cat >"$T/validate.py" <<'PY'
import json, sys, jsonschema
with open(sys.argv[1]) as f:
    schema = json.load(f)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
seen = set()
for name in sys.argv[2:]:
    with open(name, "rb") as f:
        for line in f.read().split(b"\n")[:-1]:
            assert all(0x20 <= b < 0x7f for b in line), line
            e = json.loads(line)
            validator.validate(e)
            seen.add(e["event"])
            # Each member that is there has to be: without what makes it what it is, it is no such event.
            for wrong in ({**e, "event": "other"}, {**e, "more": 1}, {k: v for k, v in e.items() if k != "time"}, {**e, "time": "now"}):
                assert not validator.is_valid(wrong), wrong
            for member in {"session", "identity", "operation", "bytes_in", "lines", "detail"} & e.keys():
                assert not validator.is_valid({k: v for k, v in e.items() if k != member}), (member, e)
missing = set(schema["properties"]["event"]["enum"]) - seen
print("not seen:", *sorted(missing)) if missing else print("all", len(seen))
PY

step "streams"
gofer open open --audit "$audit"
event_gofer=$gofer_pid
mkdir "$T/www"
data "$T/www/file" 300000
peer_bg www $python -m http.server -d "$T/www" --bind $P4 8080
until_true 5 peer curl -sS -o "$T/direct" "http://$P4:8080/file" 2>/dev/null || fail "no server"
through open curl -sS -o "$T/in/got" "http://$P4:8080/file"
same "the file" "$T/www/file" "$T/in/got"
line=$(event "$audit" 'get("event") == "connect"' 'get("port") == 8080' '"errno" not in e')
eq "who" "65534 65534" "$(field "$line" '"%d %d" % (e["identity"]["uid"], e["identity"]["gid"])')"
eq "where" "tcp $P4 8080 $H4 open" "$(field "$line" '" ".join(map(str, (e["protocol"], e["address"], e["port"], e["local"]["address"], e["rule"])))')"
socket=$(field "$line" 'e["socket"]') session=$(field "$line" 'e["session"]')
line=$(event "$audit" 'get("event") == "close"' "get('socket') == '$socket'" "get('session') == '$session'")
[[ $(field "$line" '300000 < e["bytes_in"] < 302000 and 50 < e["bytes_out"] < 1000 and 0 <= e["duration_ms"] < 20000') == True ]] || fail "figures: $line"
event "$audit" 'get("event") == "session-open"' "get('session') == '$session'" 'get("software").startswith("libsplitsock ")' >/dev/null
event "$audit" 'get("event") == "session-close"' "get('session') == '$session'" 'e["bytes_in"] > 300000' >/dev/null
through open curl -sS "http://$P4:8081/" 2>/dev/null && fail "there is no server there"
event "$audit" 'get("event") == "connect"' 'get("port") == 8081' 'get("errno") == "ECONNREFUSED"' >/dev/null

step "listeners"
through open $python -c "
import socket
l = socket.socket()
l.bind(('$H4', 7000))
l.listen()
c, _ = l.accept()
while d := c.recv(100): c.sendall(d)
" & server=$!; started+=("$server")
line=$(event "$audit" 'get("event") == "listen"' 'e["local"]["port"] == 7000')
socket=$(field "$line" 'e["socket"]')
eq "an echo" hello "$(peer bash -c "exec 3<>/dev/tcp/$H4/7000; echo hello >&3; head -n 1 <&3")"
line=$(event "$audit" 'get("event") == "accept"' "get('listener') == '$socket'" "get('address') == '$P4'")
connection=$(field "$line" 'e["socket"]')
event "$audit" 'get("event") == "close"' "get('socket') == '$connection'" 'e["bytes_in"] == 6' 'e["bytes_out"] == 6' >/dev/null
event "$audit" 'get("event") == "close"' "get('socket') == '$socket'" >/dev/null

step "datagrams, raw, packet"
through open $python -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('$H4', 7001))
for _ in range(20): s.sendto(b'x', ('$P4', 9))
s.connect(('$P4', 10))
socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
"
line=$(event "$audit" 'get("event") == "bind"' 'e["local"]["port"] == 7001' 'get("protocol") == "udp"')
socket=$(field "$line" 'e["socket"]')
event "$audit" 'get("event") == "connect"' 'get("protocol") == "udp"' 'get("port") == 10' >/dev/null
event "$audit" 'get("event") == "raw"' 'get("protocol") == "icmp"' >/dev/null
event "$audit" 'get("event") == "packet"' 'get("protocol") == "0x0003"' >/dev/null
event "$audit" 'get("event") == "close"' "get('socket') == '$socket'" 'e["bytes_out"] == 20' >/dev/null
eq "lines of twenty datagrams to one address" 1 "$(grep -c '"event":"datagram"' "$audit")"

step "the file is opened again"
mv "$audit" "$audit.1"
kill -USR1 "$event_gofer"
until_true 5 test -e "$audit" || fail "no new file"
through open curl -sS "http://$P4:8082/" 2>/dev/null && fail "there is no server there"
event "$audit" 'get("event") == "connect"' 'get("port") == 8082' >/dev/null
mv "$audit" "$audit.2"
kill -HUP "$event_gofer"
until_true 5 test -e "$audit" || fail "no new file after SIGHUP"

step "denials, and more of them than there are lines"
cat >"$T/policy.yaml" <<'END'
version: 1
clients:
  - name: reader
    users: [nobody]
    raw:
      protocols: [icmp]
END
gofer strict "$T/policy.yaml" --audit "$T/denied.log"
through strict $python -c '
import socket
for _ in range(400):
    try: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except OSError: pass
    try: socket.create_connection(("127.0.0.1", 80))
    except OSError: pass
'
event "$T/denied.log" 'get("event") == "denied"' 'get("operation") == "raw"' 'get("protocol") == "udp"' \
    'e["reason"] == "client \"reader\" has a raw grant for other protocols"' >/dev/null
event "$T/denied.log" 'get("event") == "denied"' 'get("operation") == "socket"' 'get("protocol") == "tcp"' >/dev/null
event "$T/denied.log" 'get("event") == "suppressed"' >/dev/null
sleep 1.2                           # the last second's, too
eq "denials, written or counted" 800 "$($python -c '
import json, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
print(sum(l["event"] == "denied" for l in lines) + sum(l.get("lines", 0) for l in lines))' "$T/denied.log")"
none=$(grep -c 'denied' "$T/strict.log") || true
eq "lines of the log" 0 "$none"

step "rules"
cat >"$T/rules.yaml" <<END
version: 1
clients:
  - name: fetcher
    users: [nobody]
    rules:
      - name: no-other-port
        deny: [connect]
        to: [$P4]
        ports: [1-8079, 8081-65535]
      - name: server
        allow: [connect, datagram]
        to: [$P4]
END
gofer rules "$T/rules.yaml" --audit "$T/rules.audit"
eq "through a rule" 200 "$(through rules curl -s -o "$T/in/got" -w '%{http_code}' "http://$P4:8080/file")"
through rules curl -s "http://$P4:8081/" && fail "that is denied"
through rules $python -c "
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('$P4', 9))"
event "$T/rules.audit" 'get("event") == "connect"' 'get("rule") == "server"' 'get("port") == 8080' >/dev/null
event "$T/rules.audit" 'get("event") == "datagram"' 'get("rule") == "server"' 'get("port") == 9' >/dev/null
event "$T/rules.audit" 'get("event") == "denied"' 'get("rule") == "no-other-port"' 'get("operation") == "connect"' 'get("protocol") == "tcp"' \
    "get('address') == '$P4'" 'get("port") == 8081' 'e["reason"].startswith("client \"fetcher\", rule \"no-other-port\": ")' >/dev/null
said=$(host "$bin/splitsock-ctl" policy simulate --policy "$T/rules.yaml" "$T/rules.audit")
[[ $said == *"0 of 3 decisions would be otherwise"* ]] || fail "the same policy: $said"
sed -i 's/ports: .*/ports: [8080]/' "$T/rules.yaml"
said=$(host "$bin/splitsock-ctl" policy simulate --policy "$T/rules.yaml" "$T/rules.audit" || true)
[[ $said == *"2 of 3 decisions would be otherwise"* ]] || fail "another policy: $said"

step "a file that cannot be had is an error at the start"
eq "exit status" 73 "$(status_of host "$bin/splitsock-gofer" --listen "ipc://$T/x.sock" --policy open --audit "$T/no/such/file" 2>"$T/x.log")"
wait_line "$T/x.log" "--audit $T/no/such/file: No such file or directory"

stop "$event_gofer"
eq "every event, and no line that the schema does not know" "all 12" "$($python "$T/validate.py" "$schema" "$audit.1" "$audit.2" "$T/denied.log" "$T/rules.audit")"
echo PASSED
