"""Servers on this machine that sound is fetched from: one that speaks S3, and two that speak HTTP."""

import contextlib
import functools
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextlib.contextmanager
def s3(folder: Path):
    """moto's S3 in a process of its own; yields a client of it, and the environment that leads to it."""
    pytest.importorskip("moto")
    pytest.importorskip("flask")
    pytest.importorskip("s3fs")
    import botocore.session

    address = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "moto.server", "-p", address.rpartition(":")[2]]
    with open(folder / "moto.log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(address, server)
        client = botocore.session.Session().create_client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        yield (
            client,
            {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"},
        )
    finally:
        server.kill()
        server.wait()


def _wait(address: str, server: subprocess.Popen) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(address):
            return
        time.sleep(0.1)
    pytest.fail("the server does not answer")


class Plain(http.server.SimpleHTTPRequestHandler):
    """Whole files; `asked` holds (method, path, range) of every request."""

    asked: list[tuple[str, str, str | None]]

    def log_message(self, *_):
        pass

    def send_head(self):
        self.asked.append((self.command, self.path, self.headers.get("Range")))
        return super().send_head()


class Ranged(Plain):
    """Parts of files too."""

    def do_GET(self):
        asked = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if not asked or not path.is_file():
            super().do_GET()
            return
        self.asked.append((self.command, self.path, asked))
        size = os.path.getsize(path)
        first, last = asked.removeprefix("bytes=").split("-")
        first, last = int(first), min(int(last or size), size - 1)
        content = path.read_bytes()[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def web(folder: Path, kind=Plain):
    """A server of a folder's files; yields its address and what it was asked."""
    handler = type("Handler", (kind,), {"asked": []})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
