"""Stands between a sweep and an S3 service that works, and has it seem gone, slow or broken."""

from __future__ import annotations

import random
import socket
import socketserver
import threading
import time
from contextlib import suppress

METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
SLOW = 0.7  # seconds that a request waits


class Proxy(socketserver.ThreadingTCPServer):
    """`mode` is well, gone (connections are cut), slow, or errors (to a third of requests)."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, endpoint: str, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        host, _, port = endpoint.removeprefix("http://").partition(":")
        self.target, self.mode, self._random = (host, int(port)), "well", random.Random(seed)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self) -> bytes | None:
        """What a request gets instead of the service's answer; None lets it pass, b"" cuts it."""
        if self.mode == "slow":
            time.sleep(SLOW)
        if self.mode == "gone":
            return b""
        if self.mode == "errors" and self._random.random() < 1 / 3:
            status = self._random.choice(["500 Internal Server Error", "503 Slow Down"])
            return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        return None

    def handle_error(self, request, client_address) -> None:
        """Nothing: a connection that is cut is what a fault is for."""


class _Connection(socketserver.BaseRequestHandler):
    """One connection, passed on as it comes; a chunk that begins as requests do is one."""

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as service:
            threading.Thread(target=self._pass_answers, args=(service,), daemon=True).start()
            while data := self.request.recv(65536):
                if data.startswith(METHODS) and (answer := self.server.answer()) is not None:
                    self.request.sendall(answer)
                    return
                service.sendall(data)

    def _pass_answers(self, service: socket.socket) -> None:
        with suppress(OSError):
            while data := service.recv(65536):
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_RDWR)
