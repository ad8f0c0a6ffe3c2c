"""An HTTP proxy in front of an S3 server that answers a seeded share of the requests wrongly.

The client's Host header is passed on unchanged, since the signature covers it.
"""

import http.client
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

ENTRY = re.compile(rb"<Contents>.*?<Key>(.*?)</Key>.*?</Contents>", re.DOTALL)
ERROR = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>faulty proxy</Message></Error>"
Answer = tuple[int, list[tuple[str, str]], bytes]


def _refuse(status: int, code: str) -> Callable[["_Handler"], None]:
    """An answer in the store's own words, without asking it."""

    def refuse(handler: "_Handler") -> None:
        handler.take_body()
        handler.give((status, [("Content-Type", "application/xml")], ERROR.format(code).encode()))

    return refuse


def _reset(handler: "_Handler") -> None:
    """The connection is torn before the request is read."""
    handler.tear()


def _lose(handler: "_Handler") -> None:
    """The store does what it was asked, and the answer is lost."""
    handler.ask()
    handler.tear()


def _delay(handler: "_Handler") -> None:
    time.sleep(handler.proxy.delay_s)
    handler.give(handler.ask())


def _cut(handler: "_Handler") -> None:
    """The length in the header is right, and the connection ends after half of the body."""
    status, headers, body = handler.ask()
    if not body:
        handler.tear()
        return
    handler.give((status, headers, body), sent=len(body) // 2)
    handler.close_connection = True


def _drip(handler: "_Handler") -> None:
    """Two bytes a second, until the client has had enough."""
    status, headers, body = handler.ask()
    if not body:
        handler.tear()
        return
    handler.give((status, headers, body), sent=0)
    try:
        for byte in range(len(body)):
            handler.wfile.write(body[byte : byte + 1])
            time.sleep(handler.proxy.drip_s)
    except OSError:
        handler.close_connection = True


FAULTS: dict[str, Callable[["_Handler"], None]] = {
    "slow_down": _refuse(503, "SlowDown"),
    "internal": _refuse(500, "InternalError"),
    "reset": _reset,
    "lost": _lose,
    "delay": _delay,
    "cut": _cut,
    "drip": _drip,
}


class FaultyProxy:
    """`with FaultyProxy(endpoint, share=0.05) as proxy:` listens on `proxy.endpoint` until the end.

    Attributes:
        share: of the requests that go wrong, 0 to 1.
        kinds: names of FAULTS, drawn with equal chance.
        expired: access keys whose requests are answered with ExpiredToken.
        refused: ends of keys whose requests are answered with AccessDenied; "/" stands for all of them.
        hidden: ends of keys that no listing shows.
        broken: ends of keys whose requests are answered with InternalError.
        most_at_once: requests beyond this many are answered with SlowDown.
        counts: requests by what befell them, `fine` among them.
    """

    def __init__(
        self, store: str, share: float = 0.0, kinds: tuple[str, ...] = tuple(FAULTS), *, seed: int = 0, port: int = 0
    ) -> None:
        self.store, self.share, self.kinds = urlsplit(store).netloc, share, kinds
        self.delay_s, self.drip_s = 1.0, 0.5
        self.expired: set[str] = set()
        self.hidden: tuple[str, ...] = ()
        self.refused: set[str] = set()
        self.broken: set[str] = set()
        self.most_at_once = 10**6
        self.counts: Counter[str] = Counter()
        self.ended = False
        self._under_way = 0
        self._draw, self._lock = random.Random(seed), threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"proxy": self}))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ended = True  # for connections that are kept open
        self._server.shutdown()
        self._server.server_close()

    @property
    def faults(self) -> int:
        """Requests that went wrong so far."""
        return self.counts.total() - self.counts["fine"]

    def fate(self, path: str, authorization: str) -> str:
        """What befalls the next request."""
        with self._lock:
            if any(f"Credential={key}/" in authorization for key in self.expired):
                kind = "expired"
            elif any(path.endswith(key) or key == "/" for key in self.refused):
                kind = "refused"
            elif any(path.endswith(key) for key in self.broken):
                kind = "internal"
            elif self._under_way > self.most_at_once:
                kind = "slow_down"
            else:
                kind = self._draw.choice(self.kinds) if self._draw.random() < self.share else "fine"
            self.counts[kind] += 1
            return kind

    def passing(self, step: int) -> None:
        """Count a request in (1) or out (-1)."""
        with self._lock:
            self._under_way += step


def _undeleted(handler: "_Handler") -> None:
    """A list of keys to delete is answered with 200, and with an error of one of them."""
    if handler.command != "POST":
        handler.give(handler.ask())
        return
    handler.take_body()
    error = "<DeleteResult><Error><Key>x</Key><Code>InternalError</Code><Message>again</Message></Error></DeleteResult>"
    handler.give((200, [("Content-Type", "application/xml")], error.encode()))


OTHERS: dict[str, Callable[["_Handler"], None]] = {
    "expired": _refuse(400, "ExpiredToken"),
    "refused": _refuse(403, "AccessDenied"),
    "undeleted": _undeleted,
    "fine": lambda handler: handler.give(handler.ask()),
}


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the client has gone, or the store is away
            self.close_connection = True

    def do_GET(self) -> None:
        if self.proxy.ended:
            self.tear()
            return
        self.proxy.passing(1)
        try:
            (FAULTS | OTHERS)[self.proxy.fate(self.path, self.headers.get("Authorization", ""))](self)
        except http.client.HTTPException:
            self.tear()
        finally:
            self.proxy.passing(-1)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def take_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def ask(self) -> Answer:
        """The store's answer to this request."""
        body = self.take_body()
        store = http.client.HTTPConnection(self.proxy.store, timeout=300)
        try:
            store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    store.putheader(name, value)
            store.endheaders(body)
            answer = store.getresponse()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
            return answer.status, headers, self._without_hidden(answer.read())
        finally:
            store.close()

    def _without_hidden(self, body: bytes) -> bytes:
        """A listing that is behind the times."""
        hidden = tuple(end.encode() for end in self.proxy.hidden)
        return ENTRY.sub(lambda entry: b"" if entry[1].endswith(hidden) else entry[0], body)

    def give(self, answer: Answer, sent: int | None = None) -> None:
        """Write an answer, or only the first bytes of its body under a header that promises all of it."""
        status, headers, body = answer
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def tear(self) -> None:
        """End the connection with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


HOP_BY_HOP = ("connection", "transfer-encoding", "keep-alive")
