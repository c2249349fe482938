"""A local HTTP server that takes what any recorder exports and counts the markers in it: ``python sink.py``.

Prints its address. ``GET /markers`` answers with the number of different markers so far.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

try:
    import zstandard
except ImportError:  # only one recorder needs it, and brings it
    zstandard = None

_MARKER = re.compile(rb"item-(\d{8})-end")
_seen: set[bytes] = set()


def unpacked(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


class Handler(BaseHTTPRequestHandler):
    """Says yes to everything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"markers": len(_seen)} if self.path == "/markers" else {"batch_ingest_config": None})

    def do_POST(self) -> None:
        body = unpacked(self._body(), self.headers.get("Content-Encoding", ""))
        _seen.update(_MARKER.findall(body))
        is_protobuf = "protobuf" in self.headers.get("Content-Type", "")
        self._answer(None if is_protobuf else {"accepted": True, "rate_by_service": {}})

    do_PUT = do_PATCH = do_POST  # noqa: N815 - the names are those of the standard library

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, document: object) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf" if document is None else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
