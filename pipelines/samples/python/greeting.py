"""Greets whoever asks: GET /NAME answers with a line of text."""
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


def greeting(path: str) -> str:
    """The answer to a path, as in /world."""
    name = unquote(path).strip("/")
    return f"Hello, {name or 'world'}!\n"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answer = greeting(self.path).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
