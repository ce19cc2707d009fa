// gosockets is the conformance scenarios that a static Go program runs: the same rules as in scenario.h. It prints what it
// observes; ports are P1, P2, … in order of appearance, errors are what Go makes of them.
//
//	gosockets --list | SCENARIO
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"sort"
	"strings"
	"time"
)

const patience = 3 * time.Second

var scenarios = map[string]func(){}

var ports = map[string]string{}
var portPattern = regexp.MustCompile(`((?:\d+\.\d+\.\d+\.\d+|\]|localhost)):(\d{2,5})\b`)

// named replaces port numbers by names.
func named(text string) string {
	return portPattern.ReplaceAllStringFunc(text, func(match string) string {
		parts := portPattern.FindStringSubmatch(match)
		if _, known := ports[parts[2]]; !known {
			ports[parts[2]] = fmt.Sprintf("P%d", len(ports)+1)
		}
		return parts[1] + ":" + ports[parts[2]]
	})
}

func observe(format string, arguments ...interface{}) {
	fmt.Println(named(fmt.Sprintf(format, arguments...)))
}

// outcome of a call: its error, and what kind of error that is.
func outcome(what string, err error) {
	if err == nil {
		observe("%s: good", what)
		return
	}
	var timeout net.Error
	isTimeout := errors.As(err, &timeout) && timeout.Timeout()
	observe("%s: %v (timeout %v, closed %v, EOF %v)", what, err, isTimeout, errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF))
}

func must(err error) {
	if err != nil {
		observe("CANNOT GO ON: %v", err)
		os.Exit(2)
	}
}

func listen(network, address string) net.Listener {
	listener, err := net.Listen(network, address)
	must(err)
	return listener
}

// pair of connected streams.
func pair(network, address string) (client, server *net.TCPConn) {
	listener := listen(network, address)
	defer listener.Close()
	conn, err := net.Dial(network, listener.Addr().String())
	must(err)
	accepted, err := listener.Accept()
	must(err)
	return conn.(*net.TCPConn), accepted.(*net.TCPConn)
}

func packet(network, address string) *net.UDPConn {
	conn, err := net.ListenPacket(network, address)
	must(err)
	must(conn.SetDeadline(time.Now().Add(patience)))
	return conn.(*net.UDPConn)
}

func read(what string, from io.Reader, size int) {
	buffer := make([]byte, size)
	n, err := from.Read(buffer)
	observe("%s: %d %q", what, n, buffer[:n])
	if err != nil {
		outcome(what, err)
	}
}

func write(what string, to io.Writer, text string) {
	n, err := to.Write([]byte(text))
	observe("%s: %d", what, n)
	if err != nil {
		outcome(what, err)
	}
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--list" {
		var names []string
		for name := range scenarios {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Println(strings.Join(names, "\n"))
		return
	}
	if len(os.Args) != 2 || scenarios[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: gosockets --list | SCENARIO")
		os.Exit(64)
	}
	time.AfterFunc(10*time.Second, func() {
		fmt.Println("TIMED OUT")
		os.Exit(3)
	})
	scenarios[os.Args[1]]()
}
