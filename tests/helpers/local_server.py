"""A server on this machine, in threads of the test's process."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LocalServer:
    """Serves on a free port until the block ends.

    A subclass names the handler, which finds it as ``server.owner``.
    """

    handler: type[BaseHTTPRequestHandler]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def release(self) -> None:
        """Ends what requests wait for."""
        raise NotImplementedError

    def __enter__(self):
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self._http.daemon_threads, self._http.block_on_close = True, False
        self._http.owner = self
        self._http.handle_error = lambda *_: None
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.release()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
