// gonet is a Go program with the network habits of Go programs. It is built twice: static, with Go's own
// resolver, and with cgo, which asks getaddrinfo. Servers run until they are killed.
//
//	gonet serve ADDR             an HTTP server: /bytes?n=N gives N bytes, /sum the SHA-256 of what was posted
//	gonet get URL COUNT WORKERS  COUNT fetches of URL by WORKERS goroutines; prints bytes and their SHA-256
//	gonet post URL SIZE          posts SIZE bytes and checks the sum that comes back
//	gonet echo ADDR              a UDP echo server
//	gonet ping ADDR COUNT        COUNT datagrams, each of which must come back
//	gonet resolve NAME           the addresses of NAME, sorted
//	gonet interfaces             interface names, as net.Interfaces gives them
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func check(err error) {
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "gonet:", err)
	if errors.Is(err, syscall.ECONNREFUSED) {
		os.Exit(7)
	}
	os.Exit(1)
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func serve(addr string) {
	http.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		w.Write(pattern(number(r.URL.Query().Get("n"))))
	})
	http.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		io.Copy(h, r.Body)
		fmt.Fprintf(w, "%x", h.Sum(nil))
	})
	check(http.ListenAndServe(addr, nil))
}

func get(url string, count, workers int) {
	client := &http.Client{Timeout: 10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: workers, Proxy: nil}}
	work := make(chan int, count)
	for i := 0; i < count; i++ {
		work <- i
	}
	close(work)
	var mu sync.Mutex
	sums, total := map[string]int{}, 0
	var wg sync.WaitGroup
	for w := 0; w < workers; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range work {
				resp, err := client.Get(url)
				check(err)
				h := sha256.New()
				n, err := io.Copy(h, resp.Body)
				check(err)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					check(fmt.Errorf("status %d", resp.StatusCode))
				}
				mu.Lock()
				sums[fmt.Sprintf("%x", h.Sum(nil))]++
				total += int(n)
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if len(sums) != 1 {
		check(fmt.Errorf("%d different bodies", len(sums)))
	}
	for s := range sums {
		fmt.Println(total, s)
	}
}

func post(url string, size int) {
	body := pattern(size)
	resp, err := http.Post(url, "application/octet-stream", bytes.NewReader(body))
	check(err)
	text, err := io.ReadAll(resp.Body)
	check(err)
	if want := fmt.Sprintf("%x", sha256.Sum256(body)); string(text) != want {
		check(fmt.Errorf("the sum is %s, not %s", text, want))
	}
	fmt.Println("posted", size)
}

func echo(addr string) {
	c, err := net.ListenPacket("udp", addr)
	check(err)
	b := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(b)
		check(err)
		_, err = c.WriteTo(b[:n], from)
		check(err)
	}
}

func ping(addr string, count int) {
	c, err := net.Dial("udp", addr)
	check(err)
	b := make([]byte, 65536)
	for i := 1; i <= count; i++ {
		want := pattern(i * 13 % 8000)
		_, err := c.Write(want)
		check(err)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(b)
		check(err)
		if !bytes.Equal(b[:n], want) {
			check(fmt.Errorf("datagram %d came back changed", i))
		}
	}
	// A deadline that passes must not disturb what follows.
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		check(fmt.Errorf("a read with nothing to read: %v", err))
	}
	fmt.Println("echoed", count)
}

func main() {
	a := os.Args[1:]
	switch {
	case len(a) == 2 && a[0] == "serve":
		serve(a[1])
	case len(a) == 4 && a[0] == "get":
		get(a[1], number(a[2]), number(a[3]))
	case len(a) == 3 && a[0] == "post":
		post(a[1], number(a[2]))
	case len(a) == 2 && a[0] == "echo":
		echo(a[1])
	case len(a) == 3 && a[0] == "ping":
		ping(a[1], number(a[2]))
	case len(a) == 2 && a[0] == "resolve":
		addrs, err := net.LookupHost(a[1])
		check(err)
		sort.Strings(addrs)
		fmt.Println(strings.Join(addrs, " "))
	case len(a) == 1 && a[0] == "interfaces":
		list, err := net.Interfaces()
		check(err)
		for _, i := range list {
			fmt.Println(i.Name)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: gonet serve|get|post|echo|ping|resolve|interfaces ARG…")
		os.Exit(2)
	}
}
