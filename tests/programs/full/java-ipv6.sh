#!/usr/bin/env bash
# Java and IPv6, which it believes in only where /proc/net/if_inet6 has an address: an echo over ::1, a server on it, all interfaces' addresses.
. "$(dirname "$0")/../lib.sh"
need java javac socat
cat >"$T/Six.java" <<'JAVA'
import java.net.*;
public class Six {
    public static void main(String[] a) throws Exception {
        NetworkInterface.networkInterfaces().flatMap(NetworkInterface::inetAddresses).map(InetAddress::toString).sorted().forEach(System.out::println);
        try (ServerSocket l = new ServerSocket(0, 5, InetAddress.getByName("::1")); Socket s = new Socket("::1", l.getLocalPort()); Socket c = l.accept()) {
            System.out.println(c.getInetAddress() + " " + (c.getPort() == s.getLocalPort()));
        }
        try (Socket s = new Socket("::1", Integer.parseInt(a[0]))) {
            s.getOutputStream().write("hello".getBytes()); s.shutdownOutput();
            System.out.println(new String(s.getInputStream().readAllBytes()));
        }
    }
}
JAVA
javac -d "$T" "$T/Six.java" || fail "javac"
read -r p < <(free_ports 1)
outside_bg echo socat "TCP6-LISTEN:$p,bind=[::1],fork,reuseaddr" EXEC:cat; wait_port tcp "$p" "$pid"
eq "as outside" "$(outside java -cp "$T" Six "$p")" "$(inside java -cp "$T" Six "$p" 2>&1)"
