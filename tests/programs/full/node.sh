#!/usr/bin/env bash
# Node: net, http with keep-alive, http2 and dgram, each as server and as client.
. "$(dirname "$0")/../lib.sh"
need node
cat >"$T/net.js" <<'JS'
const [, , side, tcp, web, h2, udp] = process.argv, P = Number, host = '127.0.0.1';
const net = require('net'), http = require('http'), http2 = require('http2'), dgram = require('dgram'), crypto = require('crypto');
const assert = require('assert'), os = require('os'), sha = b => crypto.createHash('sha256').update(b).digest('hex');
if (side === 'server') {
  net.createServer({ allowHalfOpen: true }, s => s.pipe(s)).listen(P(tcp), host);
  http.createServer((q, r) => { const h = crypto.createHash('sha256'); q.on('data', d => h.update(d)).on('end', () => r.end(h.digest('hex'))); }).listen(P(web), '::');
  const two = http2.createServer();
  two.on('stream', s => { const h = crypto.createHash('sha256'); s.on('data', d => h.update(d)).on('end', () => { s.respond({ ':status': 200 }); s.end(h.digest('hex')); }); });
  two.listen(P(h2), host);
  const u = dgram.createSocket('udp4');
  u.on('message', (m, p) => u.send(m, p.port, p.address));
  u.bind(P(udp), host);
} else (async () => {
  const body = crypto.randomBytes(500000);
  const echo = () => new Promise((ok, no) => {
    const got = [], s = net.connect(P(tcp), 'localhost', () => { assert.equal(s.remotePort, P(tcp)); s.end(body); });
    s.on('data', d => got.push(d)).on('end', () => { Buffer.concat(got).equals(body) ? ok() : no(new Error('echo')); }).on('error', no);
  });
  await Promise.all(Array.from({ length: 20 }, echo));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 3 }), ports = new Set();
  const put = where => new Promise((ok, no) => {
    const q = http.request({ host: where, port: P(web), method: 'PUT', agent }, r => {
      let t = ''; ports.add(r.socket.localPort); r.on('data', d => t += d).on('end', () => { assert.equal(t, sha(body)); ok(); }); });
    q.on('error', no); q.end(body);
  });
  await Promise.all(Array.from({ length: 30 }, () => put(host)));
  assert(ports.size <= 3, 'kept alive: ' + ports.size);
  await put('::1'); agent.destroy();
  const c = http2.connect('http://' + host + ':' + h2);
  await Promise.all(Array.from({ length: 20 }, () => new Promise((ok, no) => {
    const s = c.request({ ':method': 'POST', ':path': '/' }); let t = '';
    s.on('data', d => t += d).on('end', () => { assert.equal(t, sha(body)); ok(); }).on('error', no); s.end(body); })));
  c.close();
  const u = dgram.createSocket('udp4'); let n = 0;
  await new Promise((ok, no) => {
    u.on('message', (m, p) => { assert.equal(p.port, P(udp)); assert(m.equals(body.subarray(n * 900, n * 900 + 900))); ++n === 100 ? ok() : next(); }).on('error', no);
    const next = () => u.send(body.subarray(n * 900, n * 900 + 900), P(udp), host); next(); });
  u.close();
  await new Promise(ok => net.connect(1, host).on('error', e => { assert.equal(e.code, 'ECONNREFUSED'); ok(); }));
  console.log('done', JSON.stringify(Object.entries(os.networkInterfaces()).map(([k, v]) => [k, v.map(a => a.address)])));
})().catch(e => { console.error(e); process.exit(1); });
JS
read -r -a o < <(free_ports 4); read -r -a i < <(free_ports 4)
outside_bg out node "$T/net.js" server "${o[@]}"; wait_port udp "${o[3]}" "$pid"; wait_port tcp "${o[2]}" "$pid"
inside_bg in node "$T/net.js" server "${i[@]}"; wait_port udp "${i[3]}" "$pid"; wait_port tcp "${i[2]}" "$pid"
want=$(outside node "$T/net.js" client "${o[@]}")
step "the server outside, the client inside"
eq "client" "$want" "$(inside node "$T/net.js" client "${o[@]}")"
step "the server inside, the client outside; both inside"
eq "client" "$want" "$(outside node "$T/net.js" client "${i[@]}")"
eq "client" "$want" "$(inside node "$T/net.js" client "${i[@]}")"
