"""A hub on this machine: as much of its interface as a download asks for, on the loopback."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(name: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder as the repository ``name``.

    Yields:
        The address, and a list that fills with the paths that are asked for.
    """
    asked: list[str] = []
    contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlparse(self.path).path
            asked.append(path)
            if path == f"/api/models/{name}/revision/main":
                siblings = [{"rfilename": file} for file in contents]
                self._json({"id": name, "sha": COMMIT, "siblings": siblings})
            elif path == f"/api/models/{name}/tree/{COMMIT}":
                self._json(
                    [
                        {"type": "file", "path": file, "size": len(body), "oid": _etag(body)}
                        for file, body in contents.items()
                    ]
                )
            elif (file := path.rpartition("/")[2]) in contents and "/resolve/" in path:
                self._answer(contents[file], "application/octet-stream")
            else:
                self.send_error(404)

        do_HEAD = do_GET

        def _json(self, value: object) -> None:
            self._answer(json.dumps(value).encode(), "application/json")

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{_etag(body)}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _etag(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


def seed_cache(home: Path, name: str, files: dict[str, bytes]) -> Path:
    """A cache as an earlier download has left it; returns the snapshot's folder."""
    root = home / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    for file, body in files.items():
        (snapshot / file).write_bytes(body)
    return snapshot
