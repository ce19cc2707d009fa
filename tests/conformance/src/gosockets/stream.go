package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

func init() {
	for name, address := range map[string]string{"v4": "127.0.0.1:0", "v6": "[::1]:0"} {
		address := address
		scenarios["go/echo_"+name] = func() { echo(address) }
		scenarios["go/refused_"+name] = func() { refused(address) }
		scenarios["go/half_close_"+name] = func() { halfClose(address) }
		scenarios["go/reset_"+name] = func() { reset(address) }
	}
	scenarios["go/deadlines"] = deadlines
	scenarios["go/accept_deadline"] = acceptDeadline
	scenarios["go/closed_under_reader"] = closedUnderReader
	scenarios["go/closed_under_accept"] = closedUnderAccept
	scenarios["go/write_deadline"] = writeDeadline
	scenarios["go/dual_stack"] = dualStack
	scenarios["go/dial_timeout"] = dialTimeout
	scenarios["go/dial_cancelled"] = dialCancelled
	scenarios["go/file"] = file
	scenarios["go/stream_options"] = streamOptions
	scenarios["go/bulk"] = bulk
	scenarios["go/send_file"] = sendFile
	scenarios["go/many_at_once"] = manyAtOnce
	scenarios["go/in_use"] = inUse
	scenarios["go/from_address"] = fromAddress
	scenarios["go/fallback"] = fallback
}

func echo(address string) {
	client, server := pair("tcp", address)
	observe("client %v to %v", client.LocalAddr(), client.RemoteAddr())
	observe("server %v to %v", server.LocalAddr(), server.RemoteAddr())
	write("client", client, "hello")
	read("server", server, 10)
	write("server", server, "and back")
	read("client", client, 20)
	outcome("close", client.Close())
	read("end", server, 10)
	outcome("close again", client.Close())
	write("closed", client, "x")
	read("closed", client, 1)
}

func refused(address string) {
	listener := listen("tcp", address)
	at := listener.Addr().String()
	listener.Close()
	_, err := net.Dial("tcp", at)
	outcome("dial", err)
	_, err = net.DialTimeout("tcp", at, time.Second)
	outcome("dial with timeout", err)
	_, err = listener.Accept()
	outcome("accept", err)
}

func halfClose(address string) {
	client, server := pair("tcp", address)
	write("client", client, "request")
	outcome("CloseWrite", client.CloseWrite())
	write("after it", client, "x")
	all, err := io.ReadAll(server)
	observe("server: %q", all)
	outcome("server", err)
	write("server", server, "response")
	outcome("server", server.CloseWrite())
	all, err = io.ReadAll(client)
	observe("client: %q", all)
	outcome("client", err)
	outcome("CloseWrite again", client.CloseWrite())
}

func reset(address string) {
	client, server := pair("tcp", address)
	outcome("SetLinger", server.SetLinger(0))
	outcome("close", server.Close())
	client.SetDeadline(time.Now().Add(patience))
	read("client", client, 10)
	read("client again", client, 10)
}

func deadlines() {
	client, server := pair("tcp", "127.0.0.1:0")
	outcome("SetReadDeadline", client.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	read("nothing", client, 10)
	read("still past", client, 10)
	write("server", server, "late")
	outcome("none", client.SetReadDeadline(time.Time{}))
	read("there", client, 10)
	outcome("past", client.SetDeadline(time.Now().Add(-time.Second)))
	read("past", client, 10)
	write("past", client, "x")
}

func acceptDeadline() {
	listener := listen("tcp", "127.0.0.1:0").(*net.TCPListener)
	outcome("SetDeadline", listener.SetDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := listener.Accept()
	outcome("accept", err)
	outcome("SetDeadline", listener.SetDeadline(time.Now().Add(patience)))
	conn, err := net.Dial("tcp", listener.Addr().String())
	outcome("dial", err)
	accepted, err := listener.AcceptTCP()
	outcome("accept", err)
	observe("the same %v", accepted.RemoteAddr().String() == conn.LocalAddr().String())
}

func closedUnderReader() {
	client, _ := pair("tcp", "127.0.0.1:0")
	done := make(chan bool)
	go func() {
		read("reader", client, 10)
		close(done)
	}()
	time.Sleep(50 * time.Millisecond)
	err := client.Close()
	<-done
	outcome("close", err)
}

func closedUnderAccept() {
	listener := listen("tcp", "127.0.0.1:0")
	done := make(chan bool)
	go func() {
		_, err := listener.Accept()
		outcome("accept", err)
		close(done)
	}()
	time.Sleep(50 * time.Millisecond)
	listener.Close()
	<-done
}

func writeDeadline() {
	client, server := pair("tcp", "127.0.0.1:0")
	client.SetWriteBuffer(8192)
	server.SetReadBuffer(8192)
	client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	var err error
	for chunk := make([]byte, 65536); err == nil; {
		_, err = client.Write(chunk)
	}
	outcome("write", err)
}

func dualStack() {
	listener := listen("tcp", ":0")
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
		outcome("dial "+host, err)
		must(err)
		accepted, err := listener.Accept()
		must(err)
		observe("the same %v, at %v", accepted.RemoteAddr().String() == conn.LocalAddr().String(), accepted.LocalAddr())
	}
	only4 := listen("tcp4", ":0")
	observe("tcp4 %v", only4.Addr())
	only6 := listen("tcp6", "[::]:0")
	observe("tcp6 %v", only6.Addr())
}

// stalled is an address at which connects hang: its queue is full.
func stalled() string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	must(err)
	must(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	must(err)
	at := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for i := 0; i < 32; i++ {
		if _, err := net.DialTimeout("tcp", at, 200*time.Millisecond); err != nil {
			return at
		}
	}
	return at
}

func dialTimeout() {
	_, err := net.DialTimeout("tcp", stalled(), 50*time.Millisecond)
	outcome("dial", err)
}

func dialCancelled() {
	at := stalled()
	limited, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := (&net.Dialer{}).DialContext(limited, "tcp", at)
	outcome("dial", err)
}

func file() {
	client, server := pair("tcp", "127.0.0.1:0")
	handle, err := client.File()
	outcome("File", err)
	must(err)
	outcome("close", client.Close())
	write("handle", handle, "by the file")
	read("server", server, 20)
	again, err := net.FileConn(handle)
	outcome("FileConn", err)
	must(err)
	outcome("close", handle.Close())
	observe("%v", again.RemoteAddr().String() == server.LocalAddr().String())
	write("again", again, "by its copy")
	read("server", server, 20)
	listener := listen("tcp", "127.0.0.1:0").(*net.TCPListener)
	handle, err = listener.File()
	must(err)
	copied, err := net.FileListener(handle)
	outcome("FileListener", err)
	must(err)
	listener.Close()
	handle.Close()
	_, err = net.Dial("tcp", copied.Addr().String())
	outcome("dial", err)
	_, err = copied.Accept()
	outcome("accept", err)
}

func streamOptions() {
	client, _ := pair("tcp", "127.0.0.1:0")
	outcome("SetNoDelay", client.SetNoDelay(false))
	outcome("SetKeepAlive", client.SetKeepAlive(true))
	outcome("SetKeepAlivePeriod", client.SetKeepAlivePeriod(30*time.Second))
	outcome("SetLinger", client.SetLinger(5))
	outcome("SetReadBuffer", client.SetReadBuffer(65536))
	outcome("SetWriteBuffer", client.SetWriteBuffer(65536))
	raw, err := client.SyscallConn()
	must(err)
	raw.Control(func(fd uintptr) {
		for _, option := range [][2]int{
			{syscall.IPPROTO_TCP, syscall.TCP_NODELAY}, {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE}, {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL},
			{syscall.SOL_SOCKET, syscall.SO_TYPE}, {syscall.SOL_SOCKET, syscall.SO_ERROR},
		} {
			value, err := syscall.GetsockoptInt(int(fd), option[0], option[1])
			observe("%v = %d %v", option, value, err)
		}
	})
	client.Close()
	outcome("closed", client.SetNoDelay(true))
}

func bulk() {
	const size = 4 << 20
	client, server := pair("tcp", "127.0.0.1:0")
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7 + i>>9)
	}
	go func() {
		client.Write(data)
		client.CloseWrite()
	}()
	sum := sha256.New()
	n, err := io.Copy(sum, server)
	outcome("copy", err)
	observe("%d alike %v", n, [32]byte(sha256.Sum256(data)) == *(*[32]byte)(sum.Sum(nil)))
}

func sendFile() {
	client, server := pair("tcp", "127.0.0.1:0")
	self, err := os.Open("/proc/self/exe")
	must(err)
	done := make(chan bool)
	go func() {
		n, err := client.ReadFrom(io.LimitReader(self, 300000))
		observe("ReadFrom: %d", n)
		outcome("ReadFrom", err)
		client.Close()
		close(done)
	}()
	all, err := io.ReadAll(server)
	<-done
	observe("came %d", len(all))
	outcome("server", err)
}

func manyAtOnce() {
	const count = 40
	listener := listen("tcp", "127.0.0.1:0")
	var group sync.WaitGroup
	var lock sync.Mutex
	good := 0
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	for i := 0; i < count; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				return
			}
			defer conn.Close()
			text := fmt.Sprintf("number %d", i)
			conn.Write([]byte(text))
			conn.(*net.TCPConn).CloseWrite()
			back, err := io.ReadAll(conn)
			if err == nil && string(back) == text {
				lock.Lock()
				good++
				lock.Unlock()
			}
		}(i)
	}
	group.Wait()
	observe("good %d", good)
}

func inUse() {
	listener := listen("tcp", "127.0.0.1:0")
	_, err := net.Listen("tcp", listener.Addr().String())
	outcome("listen", err)
	_, err = net.Listen("tcp", "203.0.113.1:0")
	outcome("not ours", err)
	outcome("close", listener.Close())
	_, err = net.Listen("tcp", listener.Addr().String())
	outcome("listen again", err)
}

func fromAddress() {
	listener := listen("tcp", "127.0.0.1:0")
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 7)}}
	conn, err := dialer.Dial("tcp", listener.Addr().String())
	outcome("dial", err)
	must(err)
	observe("from %v", conn.LocalAddr())
	accepted, err := listener.Accept()
	must(err)
	observe("from %v", accepted.RemoteAddr())
}

// fallback dials a name of which only one address answers.
func fallback() {
	listener := listen("tcp4", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	conn, err := net.Dial("tcp", net.JoinHostPort("localhost", port))
	outcome("dial", err)
	must(err)
	observe("to %v", conn.RemoteAddr())
}
