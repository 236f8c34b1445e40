"""A server on the loopback address that answers, or misbehaves, as a test says."""

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves what `answers` says: a function of (handler, how often the path was asked before)."""

    def __init__(self):
        self.answers = {}
        self.asked = Counter()
        self.headers = {}
        self.starts = []
        self.whole = Counter()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                before = server.asked[self.path]
                server.asked[self.path] += 1
                server.starts.append(time.monotonic())
                server.headers[self.path] = dict(self.headers)
                server.answers.get(self.path, not_found)(self, before)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def serve(self, name, answer, split="validation"):
        self.answers[f"/images/{split}/{name}.jpg"] = answer

    def count(self, name):
        return self.asked[f"/images/validation/{name}.jpg"]

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def reply(handler, body, code=200, **headers):
    handler.send_response(code)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def not_found(handler, before):
    reply(handler, b"", 404)


def good(content):
    return lambda handler, before: reply(handler, content)


def status(code, **headers):
    return lambda handler, before: reply(handler, b"", code, **headers)


def redirect(place):
    return lambda handler, before: reply(handler, b"", 302, Location=place)


def first(trouble, content, times=1):
    """Trouble the first times, then the image."""

    def answer(handler, before):
        trouble(handler, before) if before < times else reply(handler, content)

    return answer


def drop_half_way(content):
    def answer(handler, before):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.close_connection = True
        handler.connection.close()

    return answer


def reset(handler, before):
    handler.connection.close()


def hang(handler, before):
    time.sleep(1.5)
    handler.close_connection = True


def raw(content):
    """The bytes of a whole answer, headers included, and the end of the connection."""

    def answer(handler, before):
        handler.wfile.write(content)
        handler.close_connection = True

    return answer


def drip(handler, before):
    """A byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.02)
    except OSError:
        pass


class File:
    """A file with ranges, ETag and length, as a well-behaved server has it.

    `stops` are the bytes after which the connection breaks, one for each of the first requests.
    """

    def __init__(self, content, stops=(), tag='"1"'):
        self.content = content
        self.stops = list(stops)
        self.tag = tag
        self.asked = []

    def __call__(self, handler, before):
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if handler.headers.get("If-Range") not in (None, self.tag):
            start = 0
        if start >= len(self.content):
            reply(handler, b"", 416)
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body)))
        if self.tag:
            handler.send_header("ETag", self.tag)
        if start:
            last = len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        handler.end_headers()
        if self.stops:
            handler.wfile.write(body[: self.stops.pop(0)])
            handler.close_connection = True
            handler.connection.close()
        else:
            handler.wfile.write(body)
