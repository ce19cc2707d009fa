#!/usr/bin/env bash
# Java and IPv6: an echo over ::1, the interfaces' IPv6 addresses. Not run yet: Java looks into /proc/net/if_inet6, which is empty inside.
. "$(dirname "$0")/../lib.sh"
need java javac socat
cat >"$T/Six.java" <<'JAVA'
import java.net.*; import java.util.*;
public class Six {
    public static void main(String[] a) throws Exception {
        for (var n : Collections.list(NetworkInterface.getNetworkInterfaces())) System.out.println(n.getName() + " " + n.getInterfaceAddresses());
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
