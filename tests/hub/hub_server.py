"""A small hub on loopback: what huggingface_hub asks of one, in the standard library alone."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Hub:
    """models: a folder for each name. gated: names that want a token. cut: bytes after which a file's transfer is
    broken off, by file name, each time until it is removed.
    forged: hashes that are none, by what carries them: a header, or sha or oid in JSON.
    seen: (method, path, Range) of every request."""

    models: dict[str, Path] = field(default_factory=dict)
    gated: dict[str, str] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    forged: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def commit(self, model: str) -> str:
        """Of the content, as git's: another content, another commit."""
        digest = hashlib.sha1(model.encode())
        for path in self.files(model):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def files(self, model: str) -> list[Path]:
        return sorted(path for path in self.models[model].rglob("*") if path.is_file())

    def fetched(self) -> list[str]:
        """The names of the files that were transferred, in part or whole."""
        return [path.rpartition("/")[2] for method, path, _ in self.seen if method == "GET" and "/resolve/" in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.seen.append((self.command, path, self.headers.get("Range")))
        if path == "/api/models":
            word = parse_qs(urlsplit(self.path).query).get("search", [""])[0]
            self.send_json([{"id": model, "modelId": model} for model in self.hub.models if word in model])
            return
        found = re.fullmatch(
            r"/api/models/(?P<model>.+?)(/revision/(?P<r1>.+)|/tree/(?P<r2>[^/]+))?"
            r"|/(?P<model2>.+?)/resolve/(?P<r3>[^/]+)/(?P<file>.+)",
            path,
        )
        if found is None:
            self.refuse(404, "NotFound")
            return
        model = found["model"] or found["model2"]
        revision = found["r1"] or found["r2"] or found["r3"] or "main"
        if model not in self.hub.models:
            self.refuse(404 if "Authorization" in self.headers else 401, "RepoNotFound")
        elif revision not in ("main", self.hub.commit(model)):
            self.refuse(404, "RevisionNotFound")
        elif found["file"]:
            self.send_file(model, found["file"])
        else:
            self.describe(model, tree=bool(found["r2"]))

    def describe(self, model: str, *, tree: bool) -> None:
        files = {str(path.relative_to(self.hub.models[model])): path for path in self.hub.files(model)}
        if tree:
            self.send_json(
                [
                    {
                        "type": "file",
                        "path": name,
                        "size": path.stat().st_size,
                        "oid": self.hub.forged.get("oid", _etag(path)),
                    }
                    for name, path in files.items()
                ]
            )
        else:
            siblings = [{"rfilename": name} for name in files]
            self.send_json(
                {"id": model, "sha": self.hub.forged.get("sha", self.hub.commit(model)), "siblings": siblings}
            )

    def send_file(self, model: str, name: str) -> None:
        path = self.hub.models[model] / name
        if model in self.hub.gated and self.headers.get("Authorization") != f"Bearer {self.hub.gated[model]}":
            self.refuse(401, "GatedRepo")
            return
        if not path.is_file():
            self.refuse(404, "EntryNotFound")
            return
        whole = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(wanted[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(whole) - begin))
        headers = {"ETag": f'"{_etag(path)}"', "X-Repo-Commit": self.hub.commit(model)}
        for header, value in {
            **headers,
            **{n: v for n, v in self.hub.forged.items() if "-" in n or n == "ETag"},
        }.items():
            self.send_header(header, value.encode().decode("latin-1"))  # UTF-8 on the wire
        self.end_headers()
        cuts = self.hub.cut.get(name, [])
        if self.command == "GET" and cuts:
            self.wfile.write(whole[begin : begin + cuts.pop(0)])
            self.close_connection = True
        elif self.command == "GET":
            self.wfile.write(whole[begin:])

    def send_json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code: int, why: str) -> None:
        self.send_response(code)
        self.send_header("X-Error-Code", why)
        self.send_header("X-Error-Message", f"the server says: {why}")
        self.send_header("Content-Length", "0")
        self.end_headers()


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at ``hub.url`` while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
