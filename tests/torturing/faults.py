"""What goes wrong: connections through toxiproxy, answers of an HTTP proxy, a disk, a name, a clock.

Each fault has `inject()` and `lift()`.
"""

import http.client
import json
import os
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from traffic import hour_of

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


def toxiproxy(method, path, content):
    asked = urllib.request.Request(
        os.environ["VALVE_TEST_TOXIPROXY"] + path, json.dumps(content).encode() if content else None, method=method,
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


class Connections:
    """A proxy in front of `upstream` (host:port); where it listens is its address."""

    def __init__(self, name, upstream, listen="127.0.0.1:0"):
        self.name = name
        made = toxiproxy("POST", "/proxies", {"name": name, "listen": listen, "upstream": upstream, "enabled": True})
        self.address = made["listen"]

    def enable(self, enabled):
        """Ends all connections when disabled, and takes none until it is enabled."""
        toxiproxy("POST", f"/proxies/{self.name}", {"enabled": enabled})

    def remove(self):
        toxiproxy("DELETE", f"/proxies/{self.name}", None)


class Toxic:
    """Does something to all that goes up to the service, or down from it."""

    def __init__(self, connections, kind, stream, **attributes):
        self.path = f"/proxies/{connections.name}/toxics"
        self.toxic = {"name": kind, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes}

    def inject(self):
        toxiproxy("POST", self.path, self.toxic)

    def lift(self):
        toxiproxy("DELETE", f"{self.path}/{self.toxic['name']}", None)


class Refused:
    """Nobody listens."""

    def __init__(self, connections):
        self.connections = connections

    def inject(self):
        self.connections.enable(False)

    def lift(self):
        self.connections.enable(True)


class Answers:
    """Answers requests of these methods itself, with a status and a text, instead of the service."""

    def __init__(self, proxy, methods, status, text):
        self.proxy, self.instead = proxy, (methods, status, text.encode())

    def inject(self):
        self.proxy.instead = self.instead

    def lift(self):
        self.proxy.instead = None


class HttpProxy(ThreadingHTTPServer):
    """Hands requests on to `upstream` (host:port) as they come, signatures and all, unless told otherwise."""

    daemon_threads = True

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), Request)
        self.upstream, self.instead = upstream, None
        self.address = f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        # That connections end early is what the faults are for.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        instead = self.server.instead
        if instead and self.command in instead[0]:
            return self.answer(instead[1], [("Content-Type", "application/xml")], instead[2])
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                upstream.putheader(name, value)
        upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body)
        found = upstream.getresponse()
        content = found.read()
        self.answer(found.status, found.getheaders(), content, found.getheader("Content-Length"))
        upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    def answer(self, status, headers, content, length=None):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        # The answer to a HEAD has the length of what it would have.
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_arguments):
        pass


class FullDisk:
    """A file system of so many bytes, all of them taken until the fault is lifted. Needs a mount namespace of its own."""

    SIZE = 64 << 20

    def __init__(self, path):
        self.path, self.ballast = path, path / "ballast"
        run("mount", "-t", "tmpfs", "-o", f"size={self.SIZE}", "valve-torture", str(path))

    def inject(self):
        with self.ballast.open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:  # no space left on device
                pass

    def lift(self):
        self.ballast.unlink()


class LostName:
    """A host's name that doesn't resolve until the fault is lifted. Needs a mount namespace of its own."""

    HOST = "store.valve-torture.test"

    def __init__(self, folder, connections):
        self.hosts, self.connections = folder / "hosts", connections
        self.known = Path("/etc/hosts").read_text()
        self.hosts.write_text(self.known)
        run("mount", "--bind", str(self.hosts), "/etc/hosts")
        self.lift()

    def inject(self):
        self.hosts.write_text(self.known)
        # Whoever has a connection needs no name.
        self.connections.enable(False)
        self.connections.enable(True)

    def lift(self):
        self.hosts.write_text(f"{self.known}\n127.0.0.1 {self.HOST}\n")


class WrongClock:
    """A process's wall clock (clock.c), moved by so many seconds and back when the fault is lifted."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def inject(self):
        self.clock.be_ahead(self.seconds)

    def lift(self):
        self.clock.be_ahead(0)


class Clock:
    """What lends a process a wall clock of its own: `environ` is what it must be started with."""

    def __init__(self, folder):
        self.ahead, library = folder / "ahead", folder / "clock.so"
        self.ahead.write_bytes(struct.pack("q", 0))
        run("cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(Path(__file__).parent / "clock.c"))
        self.environ = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(self.ahead)}
        self.set = [(0, time.time())]

    def be_ahead(self, seconds):
        self.set.append((seconds, time.time()))
        with self.ahead.open("r+b") as file:  # mapped by who has this clock
            file.write(struct.pack("q", seconds))

    def hours(self):
        """Those that it has shown, as they stand in keys; and of them those that it showed while it was wrong."""
        ends = [begun for _, begun in self.set[1:]] + [time.time()]
        shown = [(ahead, hour_of((at + ahead) * 1000)) for (ahead, *span), end in zip(self.set, ends) for at in (*span, end)]
        return {hour for _, hour in shown}, {hour for ahead, hour in shown if ahead}


def run(*command):
    subprocess.run(command, check=True)
