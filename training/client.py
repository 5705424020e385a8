"""A running Gattling server, started for one model, and its chat endpoint."""

import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = 32


class Server:
    def __init__(self, port: int) -> None:
        self.port = port
        self._local = threading.local()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: dict) -> dict:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection = self._local.connection
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}: {answer['error']['message']}")
        return answer

    def chat(self, messages: list[dict], **options: object) -> str:
        body = {"model": "model", "messages": messages, "temperature": 0, "max_tokens": 64, **options}
        return self.post("/v1/chat/completions", body)["choices"][0]["message"]["content"].strip()

    def each(self, call: Callable, items: Iterable) -> list:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(call, items))


@contextmanager
def serve(model: Path) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["node", "dist/src/main.js", "serve", str(model), "--port", str(port), "--served-model-name", "model", "--log-level", "warn"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        while not _is_ready(port):
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
            time.sleep(0.1)
        yield Server(port)
    finally:
        process.terminate()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except ConnectionRefusedError:
        return False
