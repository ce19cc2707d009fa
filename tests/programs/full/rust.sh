#!/usr/bin/env bash
# Rust's std::net: a threaded echo server and clients over IPv4 and IPv6, datagrams, timeouts, refusal.
. "$(dirname "$0")/../lib.sh"
need rustc
cat >"$T/net.rs" <<'RS'
use std::{env, io::{ErrorKind, Read, Write}, net::*, thread, time::{Duration, Instant}};
fn echo(mut s: TcpStream) { let mut b = vec![0; 65536]; while let Ok(n) = s.read(&mut b) { if n == 0 || s.write_all(&b[..n]).is_err() { break; } } }
fn talk(at: &str) {
    let data: Vec<u8> = (0..300000u32).map(|i| (i * 7 % 251) as u8).collect();
    let mut s = TcpStream::connect(at).unwrap();
    s.set_nodelay(true).unwrap(); assert!(s.nodelay().unwrap());
    s.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(s.peer_addr().unwrap(), at.to_socket_addrs().unwrap().next().unwrap());
    let (mut out, copy) = (s.try_clone().unwrap(), data.clone());
    let t = thread::spawn(move || { out.write_all(&copy).unwrap(); out.shutdown(Shutdown::Write).unwrap(); });
    let mut got = Vec::new(); s.read_to_end(&mut got).unwrap(); t.join().unwrap(); assert!(got == data);
}
fn main() {
    let a: Vec<String> = env::args().collect();
    let (v4, v6) = (format!("127.0.0.1:{}", a[2]), format!("[::1]:{}", a[2]));
    if a[1] == "server" {
        let six = TcpListener::bind(&v6).unwrap();
        thread::spawn(move || for s in six.incoming() { let s = s.unwrap(); thread::spawn(|| echo(s)); });
        let four = TcpListener::bind(&v4).unwrap();
        thread::spawn(move || for s in four.incoming() { let s = s.unwrap(); thread::spawn(|| echo(s)); });
        let u = UdpSocket::bind(&v4).unwrap(); let mut b = [0; 65536];
        loop { let (n, from) = u.recv_from(&mut b).unwrap(); u.send_to(&b[..n], from).unwrap(); }
    }
    let all: Vec<_> = (0..30).map(|i| { let at = if i % 2 == 0 { v4.clone() } else { v6.clone() }; thread::spawn(move || talk(&at)) }).collect();
    for t in all { t.join().unwrap(); }
    let u = UdpSocket::bind("127.0.0.1:0").unwrap(); u.connect(&v4).unwrap(); u.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut b = [0; 2000];
    for n in 0..200 { let d = vec![n as u8; n * 7]; u.send(&d).unwrap(); assert_eq!(u.recv(&mut b).unwrap(), d.len()); assert!(b[..d.len()] == d[..]); }
    u.set_read_timeout(Some(Duration::from_millis(300))).unwrap(); let t = Instant::now(); let e = u.recv(&mut b).unwrap_err();
    assert!(e.kind() == ErrorKind::WouldBlock && t.elapsed() >= Duration::from_millis(280), "{e:?} {:?}", t.elapsed());
    assert_eq!(TcpStream::connect("127.0.0.1:1").unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(TcpStream::connect_timeout(&"127.0.0.1:1".parse().unwrap(), Duration::from_secs(1)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(TcpListener::bind(&v4).unwrap_err().kind(), ErrorKind::AddrInUse);
    println!("done");
}
RS
rustc --edition 2021 -o "$T/net" "$T/net.rs" 2>"$T/rustc.log" || fail "rustc"
read -r po pi < <(free_ports 2)
outside_bg out "$T/net" server "$po"; wait_port udp "$po" "$pid"
inside_bg in "$T/net" server "$pi"; wait_port udp "$pi" "$pid"
eq "client inside" done "$(inside "$T/net" client "$po")"
eq "server inside" done "$(outside "$T/net" client "$pi")"
eq "both inside" done "$(inside "$T/net" client "$pi")"
