package main

import (
	"context"
	"net"
	"sort"
	"strings"
	"syscall"
	"time"
)

func init() {
	for name, address := range map[string]string{"v4": "127.0.0.1:0", "v6": "[::1]:0"} {
		address := address
		scenarios["go/packets_"+name] = func() { packets(address) }
		scenarios["go/packets_connected_"+name] = func() { packetsConnected(address) }
		scenarios["go/message_control_"+name] = func() { messageControl(address) }
		scenarios["go/packet_refused_"+name] = func() { packetRefused(address) }
	}
	scenarios["go/packet_deadline"] = packetDeadline
	scenarios["go/packet_errors"] = packetErrors
	scenarios["go/packet_truncated"] = packetTruncated
	scenarios["go/multicast"] = multicast
	scenarios["go/interfaces"] = interfaces
	scenarios["go/lookup"] = lookup
	scenarios["go/no_server"] = noServer
}

func readFrom(what string, conn *net.UDPConn, size int) net.Addr {
	buffer := make([]byte, size)
	n, from, err := conn.ReadFrom(buffer)
	observe("%s: %d %q from %v", what, n, buffer[:n], from)
	if err != nil {
		outcome(what, err)
	}
	return from
}

func packets(address string) {
	one, other := packet("udp", address), packet("udp", address)
	n, err := one.WriteTo([]byte("question"), other.LocalAddr())
	observe("WriteTo: %d", n)
	outcome("WriteTo", err)
	from := readFrom("other", other, 20)
	_, err = other.WriteTo([]byte("answer"), from)
	outcome("WriteTo", err)
	readFrom("one", one, 20)
	_, err = one.WriteTo(nil, other.LocalAddr())
	outcome("empty", err)
	readFrom("other", other, 20)
	write("no peer", one, "x")
	outcome("close", one.Close())
	_, err = one.WriteTo([]byte("x"), other.LocalAddr())
	outcome("closed", err)
}

func packetsConnected(address string) {
	server := packet("udp", address)
	dialed, err := net.Dial("udp", server.LocalAddr().String())
	must(err)
	client := dialed.(*net.UDPConn)
	client.SetDeadline(time.Now().Add(patience))
	write("client", client, "question")
	from := readFrom("server", server, 20)
	observe("the same %v", from.String() == client.LocalAddr().String())
	_, err = server.WriteTo([]byte("answer"), from)
	outcome("answer", err)
	read("client", client, 20)
	_, err = client.WriteTo([]byte("x"), server.LocalAddr())
	outcome("WriteTo on a connected one", err)
}

func messageControl(address string) {
	server, client := packet("udp", address), packet("udp", address)
	raw, err := server.SyscallConn()
	must(err)
	raw.Control(func(fd uintptr) {
		if strings.HasPrefix(address, "127") {
			outcome("IP_PKTINFO", syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1))
		} else {
			outcome("IPV6_RECVPKTINFO", syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO, 1))
		}
	})
	n, control, err := client.WriteMsgUDP([]byte("message"), nil, server.LocalAddr().(*net.UDPAddr))
	observe("WriteMsgUDP: %d %d", n, control)
	outcome("WriteMsgUDP", err)
	data, room := make([]byte, 20), make([]byte, 100)
	n, control, flags, from, err := server.ReadMsgUDP(data, room)
	observe("ReadMsgUDP: %q control %d flags %#x from %v", data[:n], control, flags, from)
	outcome("ReadMsgUDP", err)
	messages, err := syscall.ParseSocketControlMessage(room[:control])
	outcome("parse", err)
	for _, message := range messages {
		observe("level %d type %d %v", message.Header.Level, message.Header.Type, message.Data)
	}
	// Sent back with what came.
	_, _, err = server.WriteMsgUDP([]byte("back"), room[:control], from)
	outcome("back", err)
	readFrom("client", client, 20)
}

func packetRefused(address string) {
	gone := packet("udp", address)
	conn, err := net.Dial("udp", gone.LocalAddr().String())
	must(err)
	gone.Close()
	conn.SetDeadline(time.Now().Add(patience))
	write("client", conn, "anybody?")
	read("client", conn, 20)
}

func packetDeadline() {
	conn := packet("udp", "127.0.0.1:0")
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	readFrom("nothing", conn, 10)
	conn.SetReadDeadline(time.Now().Add(patience))
	conn.WriteTo([]byte("to myself"), conn.LocalAddr())
	readFrom("there", conn, 20)
}

func packetErrors() {
	conn := packet("udp", "127.0.0.1:0")
	at := conn.LocalAddr().(*net.UDPAddr)
	_, err := conn.WriteTo(make([]byte, 65508), at)
	outcome("too long", err)
	_, err = conn.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(255, 255, 255, 255), Port: 99})
	outcome("broadcast", err)
	_, err = conn.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv6loopback, Port: 99})
	outcome("other family", err)
	_, err = conn.WriteTo([]byte("x"), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 99})
	outcome("a stream's address", err)
	_, err = net.ListenPacket("udp", at.String())
	outcome("in use", err)
}

func packetTruncated() {
	one, other := packet("udp", "127.0.0.1:0"), packet("udp", "127.0.0.1:0")
	one.WriteTo([]byte("longer than asked for"), other.LocalAddr())
	one.WriteTo([]byte("next"), other.LocalAddr())
	data := make([]byte, 6)
	n, _, flags, _, err := other.ReadMsgUDP(data, nil)
	observe("%q flags %#x", data[:n], flags)
	outcome("read", err)
	readFrom("next", other, 10)
}

func multicast() {
	lo, err := net.InterfaceByName("lo")
	must(err)
	group := &net.UDPAddr{IP: net.IPv4(239, 255, 77, 80)}
	conn, err := net.ListenMulticastUDP("udp4", lo, group)
	outcome("listen", err)
	must(err)
	conn.SetDeadline(time.Now().Add(patience))
	observe("at %v", conn.LocalAddr())
	outcome("close", conn.Close())
}

func interfaces() {
	all, err := net.Interfaces()
	outcome("Interfaces", err)
	for _, one := range all {
		addresses, err := one.Addrs()
		if one.Name == "lo" {
			observe("%d %s mtu %d flags %v hardware %q addresses %v %v", one.Index, one.Name, one.MTU, one.Flags, one.HardwareAddr,
				addresses, err)
		}
	}
	observe("some %v", len(all) > 0)
	_, err = net.InterfaceByName("nonsense0")
	outcome("nonsense", err)
	addresses, err := net.InterfaceAddrs()
	outcome("InterfaceAddrs", err)
	observe("some %v", len(addresses) > 0)
}

func lookup() {
	addresses, err := net.LookupHost("localhost")
	sort.Strings(addresses)
	observe("%v", addresses)
	outcome("LookupHost", err)
	_, err = net.LookupHost("")
	outcome("empty", err)
	at, err := net.ResolveTCPAddr("tcp", "localhost:http")
	observe("%v", at)
	outcome("ResolveTCPAddr", err)
	_, err = net.ResolveTCPAddr("tcp", "localhost:nonsense")
	outcome("nonsense", err)
	port, err := net.LookupPort("udp", "domain")
	observe("%d", port)
	outcome("LookupPort", err)
}

// noServer asks a name server that is not there: the refusal of its port ends the wait.
func noServer() {
	gone := packet("udp", "127.0.0.1:0")
	at := gone.LocalAddr().String()
	gone.Close()
	resolver := net.Resolver{PreferGo: true, Dial: func(limited context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(limited, "udp", at)
	}}
	limited, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	_, err := resolver.LookupHost(limited, "name.invalid.")
	observe("failed %v, soon %v", err != nil, time.Since(began) < patience/2)
}
