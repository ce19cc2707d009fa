#!/usr/bin/env bash
# Java: an NIO selector server, blocking and NIO clients, datagrams, the interfaces and their IPv4 addresses, its HTTP client and server.
. "$(dirname "$0")/../lib.sh"
need java javac
cat >"$T/Net.java" <<'JAVA'
import java.io.*; import java.net.*; import java.net.http.*; import java.nio.*; import java.nio.channels.*; import java.util.*; import java.util.concurrent.*;
public class Net {
    static void server(int port, int web, int udp) throws Exception {
        var http = com.sun.net.httpserver.HttpServer.create(new InetSocketAddress("127.0.0.1", web), 0);
        http.createContext("/", x -> { byte[] b = x.getRequestBody().readAllBytes(); x.sendResponseHeaders(200, b.length); x.getResponseBody().write(b); x.close(); });
        http.setExecutor(Executors.newFixedThreadPool(4)); http.start();
        Selector selector = Selector.open();
        ServerSocketChannel l = ServerSocketChannel.open(); l.bind(new InetSocketAddress("127.0.0.1", port)); l.configureBlocking(false); l.register(selector, SelectionKey.OP_ACCEPT);
        DatagramChannel u = DatagramChannel.open(StandardProtocolFamily.INET); u.bind(new InetSocketAddress("127.0.0.1", udp)); u.configureBlocking(false); u.register(selector, SelectionKey.OP_READ);
        ByteBuffer packet = ByteBuffer.allocate(65536);
        for (;;) {
            selector.select();
            for (var it = selector.selectedKeys().iterator(); it.hasNext();) {
                SelectionKey k = it.next(); it.remove();
                if (k.isAcceptable()) { SocketChannel c = l.accept(); if (c == null) continue; c.configureBlocking(false); c.register(selector, SelectionKey.OP_READ, ByteBuffer.allocate(65536)); continue; }
                if (k.channel() == u) { SocketAddress from; packet.clear(); if ((from = u.receive(packet)) != null) { packet.flip(); u.send(packet, from); } continue; }
                SocketChannel c = (SocketChannel) k.channel(); ByteBuffer b = (ByteBuffer) k.attachment();
                try {
                    if (k.isReadable() && c.read(b) < 0 && b.position() == 0) { c.close(); continue; }
                    b.flip(); c.write(b); b.compact();
                    k.interestOps(b.position() > 0 ? SelectionKey.OP_WRITE | (b.hasRemaining() ? SelectionKey.OP_READ : 0) : SelectionKey.OP_READ);
                } catch (IOException e) { c.close(); }
            }
        }
    }
    static void echo(int port, byte[] data, InetAddress host) throws Exception {
        try (Socket s = new Socket(host, port)) {
            s.setTcpNoDelay(true); s.setSoTimeout(10000);
            Thread t = new Thread(() -> { try { s.getOutputStream().write(data); s.shutdownOutput(); } catch (IOException e) { throw new UncheckedIOException(e); } }); t.start();
            if (!Arrays.equals(s.getInputStream().readAllBytes(), data)) throw new Exception("echo"); t.join();
        }
    }
    public static void main(String[] a) throws Exception {
        int port = Integer.parseInt(a[1]), web = Integer.parseInt(a[2]), udp = Integer.parseInt(a[3]);
        if (a[0].equals("server")) { server(port, web, udp); return; }
        byte[] data = new byte[300000]; new Random(1).nextBytes(data);
        var pool = Executors.newFixedThreadPool(10); var all = new ArrayList<Future<?>>();
        for (int i = 0; i < 30; i++) all.add(pool.submit(() -> { echo(port, data, InetAddress.getByName("localhost")); return 0; }));
        for (var f : all) f.get(15, TimeUnit.SECONDS); pool.shutdown();
        SocketChannel c = SocketChannel.open(); c.configureBlocking(false); Selector s = Selector.open(); c.register(s, SelectionKey.OP_CONNECT); c.connect(new InetSocketAddress("127.0.0.1", port));
        s.select(5000); if (!c.finishConnect() || !c.getRemoteAddress().toString().equals("/127.0.0.1:" + port)) throw new Exception("NIO connect"); c.close();
        HttpClient client = HttpClient.newHttpClient();
        for (int i = 0; i < 5; i++) {
            var r = client.sendAsync(HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + web + "/")).POST(HttpRequest.BodyPublishers.ofByteArray(data)).build(), HttpResponse.BodyHandlers.ofByteArray()).get(10, TimeUnit.SECONDS);
            if (r.statusCode() != 200 || !Arrays.equals(r.body(), data)) throw new Exception("http");
        }
        try (DatagramSocket d = new DatagramSocket()) {
            d.setSoTimeout(5000);
            for (int i = 0; i < 100; i++) {
                byte[] b = Arrays.copyOfRange(data, i * 100, i * 100 + i + 1); d.send(new DatagramPacket(b, b.length, InetAddress.getByName("127.0.0.1"), udp));
                DatagramPacket got = new DatagramPacket(new byte[2000], 2000); d.receive(got);
                if (!Arrays.equals(Arrays.copyOf(got.getData(), got.getLength()), b) || got.getPort() != udp) throw new Exception("datagram " + i);
            }
        }
        try { new Socket("127.0.0.1", 1); throw new Exception("connected"); } catch (ConnectException e) { }
        for (var n : Collections.list(NetworkInterface.getNetworkInterfaces())) System.out.println(n.getName() + " " + n.isUp() + " " + n.getMTU() + " " + n.isLoopback() + " " + Collections.list(n.getInetAddresses()).stream().filter(x -> x instanceof Inet4Address).toList());
        System.out.println("done");
        System.exit(0);
    }
}
JAVA
javac -d "$T" "$T/Net.java" || fail "javac"
java=(java -Xshare:auto -XX:TieredStopAtLevel=1 -Xmx200m -cp "$T" Net)
read -r -a o < <(free_ports 3); read -r -a i < <(free_ports 3)
outside_bg out "${java[@]}" server "${o[@]}"; wait_port udp "${o[2]}" "$pid"
inside_bg in "${java[@]}" server "${i[@]}"; wait_port udp "${i[2]}" "$pid"
want=$(outside "${java[@]}" client "${o[@]}")
step "the server outside, the client inside"
eq "client" "$want" "$(inside "${java[@]}" client "${o[@]}")"
step "the server inside, the client outside; both inside"
eq "client" "$want" "$(outside "${java[@]}" client "${i[@]}")"
eq "client" "$want" "$(inside "${java[@]}" client "${i[@]}")"
