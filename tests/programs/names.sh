#!/usr/bin/env bash
# Rules by domain name: what a client may connect to follows from the answers that it gets, through the gofer, from a resolver which the policy trusts.
. "$(dirname "$0")/raw.sh"
need dnsmasq curl dig

peer_bg resolver dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --user=root --pid-file= --log-facility=- --listen-address=$P4 \
    --bind-interfaces --local-ttl=600 --address=/www.allowed.test/10.77.0.11 --address=/other.test/10.77.0.12 \
    --cname=short.allowed.test,www.allowed.test --host-record=www.allowed.test,10.77.0.11 --address=/local.allowed.test/127.0.0.1 \
    --address=/meta.allowed.test/169.254.169.254 --host-record=big.allowed.test,10.77.0.13
for i in 11 12 13; do ip -n "$PEER" addr add 10.77.0.$i/24 dev p0; done
echo "hello" >"$T/in/index.html"
peer_bg web $python -m http.server --directory "$T/in" 8080
wait_line "$T/web.log" 'Serving'
until_true "$LIMIT" host dig +short +time=1 +tries=1 @$P4 www.allowed.test >/dev/null || fail "no answer from dnsmasq"

# The system's resolver configuration, for what runs in a mount namespace of its own.
printf 'nameserver %s\noptions timeout:2 attempts:2\n' $P4 >"$T/resolv.conf"
chmod 644 "$T/resolv.conf"
with_resolver() { timeout -k 1 "$LIMIT" unshare -m sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' "$T/resolv.conf" $RUN "$@"; }
# get NAME: a shell command that says the status of an answer, "refused" or "unknown" (name)
get() { echo "code=\$(curl -s -o /dev/null --connect-timeout 5 -w '%{http_code}' http://$1:8080/) || case \$? in 7) code=refused;; 6) code=unknown;; *) code=failed;; esac; printf '%s ' \$code"; }
fetch() { local script="" name; for name; do script+="$(get "$name"); "; done; with_resolver sh -c "$script"; }

step "without rules every name leads somewhere"
eq "by names" "200 200 200 " "$(fetch www.allowed.test other.test short.allowed.test)"
[[ $RUN == setpriv* ]] || exit 0   # the bare kernel has no policy

step "a policy with names"
cat >"$T/policy.yaml" <<EOF
version: 1
clients:
  - name: fetcher
    users: [65534]
    resolvers: [$P4]
    rules:
      - name: resolver
        allow: [connect, datagram]
        to: [$P4, 10.77.0.12]
        ports: [53]
      - name: web
        allow: [connect]
        protocols: [tcp]
        to: ["*.allowed.test"]
        ports: [8080]
EOF
chmod 644 "$T/policy.yaml"
host_bg strict "$bin/splitsock-gofer" --listen "ipc://$T/strict.sock" --policy "$T/policy.yaml" --socket-mode 0666 --audit "$T/audit.log"
wait_line "$T/strict.log" 'listening on'
RUN=${RUN/gofer.sock/strict.sock}

eq "an allowed name, and another" "200 refused " "$(fetch www.allowed.test other.test)"
wait_line "$T/audit.log" '"event":"connect"'
grep '"event":"connect".*"address":"10.77.0.11","port":8080,.*"names":\["www.allowed.test"\],"rule":"web"' "$T/audit.log" >/dev/null || fail "no line with the name: $(cat "$T/audit.log")"
grep '"event":"denied".*"address":"10.77.0.12","port":8080,"names":\["other.test"\]' "$T/audit.log" >/dev/null || fail "no denial with the name: $(cat "$T/audit.log")"
eq "its address, once it is known, and not before" "refused 200 200 " "$(fetch 10.77.0.11 www.allowed.test 10.77.0.11)"
eq "an alias is the name that was asked for" "200 " "$(fetch short.allowed.test)"
eq "an address of the other's" "refused 200 refused " "$(fetch 10.77.0.12 www.allowed.test 10.77.0.12)"
eq "each session learns for itself" "refused " "$(fetch 10.77.0.11)"
eq "dig's answers count, too" "200 " "$(with_resolver sh -c "dig +short www.allowed.test >/dev/null; $(get 10.77.0.11)")"
eq "by TCP" "200 " "$(with_resolver sh -c "dig +tcp +short big.allowed.test >/dev/null; $(get 10.77.0.13)")"
eq "a name does not lead to the host" "refused " "$(fetch local.allowed.test)"
eq "nor to the cloud's metadata" "refused " "$(fetch meta.allowed.test)"

step "who is no resolver teaches nothing"
peer_bg liar dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --user=root --pid-file= --listen-address=10.77.0.12 --bind-interfaces \
    --address=/www.allowed.test/10.77.0.12
until_true "$LIMIT" host dig +short +time=1 +tries=1 @10.77.0.12 www.allowed.test >/dev/null || fail "no answer from the second dnsmasq"
eq "he is asked, and answers, and is not believed" "10.77.0.12 refused " \
    "$(with_resolver sh -c "printf '%s ' \$(dig +short @10.77.0.12 www.allowed.test); $(get 10.77.0.12)")"

step "what was denied is in the audit"
wait_line "$T/audit.log" '"event":"denied"'
