"""httpd.py HOST PORT ROOT: a threading HTTP/1.1 server. GET gives a file of ROOT, /peer the client's address;
PUT and POST give the SHA-256 of what they were sent."""
import hashlib
import http.server
import os
import socket
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True      # the head and the body of an answer are two writes

    def reply(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/peer":
            return self.reply("%s %d" % self.client_address[:2])
        return super().do_GET()

    def do_PUT(self):
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            piece = self.rfile.read(min(left, 65536))
            if not piece:
                return
            digest.update(piece)
            left -= len(piece)
        self.reply(digest.hexdigest())

    do_POST = do_PUT

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    request_queue_size = 128


os.chdir(sys.argv[3])
Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
