"""Calls of the REST contract. A call without an answer is repeated, where that is safe."""
from __future__ import annotations

import http.client
import json
import random
import socket
import ssl
import threading
import time
from typing import Any, Dict, List, Mapping, Optional
from urllib.parse import quote, urlencode, urlsplit

ANSWER_BYTES_MAX = 1 << 30


class HoldfastError(Exception):
    """A refusal, or no answer in time.

    status       of the answer; 0 without one
    code         from the service's closed list (docs/errors.md); `noAnswer` without an answer
    outcome      `none`: nothing happened; `unknown`: it may have
    retry_after  seconds that the service asks to wait; None where it says nothing
    errors       what is wrong in the request, and where
    """

    def __init__(
        self,
        message: str,
        status: int,
        code: str,
        outcome: str = "none",
        retry_after: Optional[float] = None,
        request_id: Optional[str] = None,
        errors: Optional[List[Dict[str, str]]] = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.outcome = outcome
        self.retry_after = retry_after
        self.request_id = request_id
        self.errors = errors or []

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed later."""
        return self.code == "noAnswer" or self.status == 429 or self.status >= 500


def pause_after(tries: int, error: Exception) -> float:
    """Seconds to wait after this many tries: random, at most 0.2, 0.4, … 5 s, after what is asked."""
    asked = error.retry_after if isinstance(error, HoldfastError) else None
    return (asked or 0) + random.random() * min(5.0, 0.1 * 2**tries)


class Cancel:
    """Ends a call that waits, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Optional[http.client.HTTPConnection] = None
        self.cancelled = threading.Event()

    def cancel(self) -> None:
        """Ends the call, or keeps it from beginning. It then raises HoldfastError with `noAnswer`."""
        self.cancelled.set()
        with self._lock:
            if self._connection is not None and self._connection.sock is not None:
                try:
                    self._connection.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it has ended meanwhile

    def _watch(self, connection: Optional[http.client.HTTPConnection]) -> None:
        with self._lock:
            self._connection = connection


class Calls:
    """Sends requests over connections that are kept. Threads may share it."""

    def __init__(self, url: str, key: Optional[str], timeout_seconds: float, retry_seconds: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise ValueError(f"{url} is no address of a service, such as http://127.0.0.1:8080.")
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._headers = {"accept": "application/json"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"
        self._timeout_seconds = timeout_seconds
        self._retry_seconds = retry_seconds
        self._free: List[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
        query: Optional[Mapping[str, Any]] = None,
        wait_seconds: float = 0,
        retry_seconds: Optional[float] = None,
        cancel: Optional[Cancel] = None,
    ) -> Any:
        """Repeats the request until it has an answer, or the time is up. Raises HoldfastError."""
        timeout = self._timeout_seconds + wait_seconds
        retry = self._retry_seconds if retry_seconds is None else retry_seconds
        until = time.monotonic() + retry
        pairs = {
            name: json.dumps(value) if isinstance(value, bool) else value
            for name, value in (query or {}).items()
            if value is not None
        }
        address = self._path + path + ("?" + urlencode(pairs) if pairs else "")
        sent = dict(self._headers)
        if data is None and body is not None:
            data = json.dumps(body).encode()
            sent["content-type"] = "application/json"
        sent.update(headers or {})
        tries = 1
        while True:
            try:
                return self._attempt(method, address, data, sent, timeout, cancel)
            except HoldfastError as error:
                pause = pause_after(tries, error)
                stopped = cancel is not None and cancel.cancelled.is_set()
                if not error.passes or stopped or time.monotonic() + pause >= until:
                    raise
            time.sleep(pause)
            tries += 1

    def _attempt(
        self,
        method: str,
        address: str,
        data: Optional[bytes],
        headers: Dict[str, str],
        timeout: float,
        cancel: Optional[Cancel],
    ) -> Any:
        connection = self._take(timeout)
        try:
            if cancel is not None:
                cancel._watch(connection)
                if cancel.cancelled.is_set():
                    raise ConnectionError("the call was given up")
            connection.request(method, address, data, headers)
            answer = connection.getresponse()
            text = answer.read(ANSWER_BYTES_MAX)
            fields = answer.headers
            status = answer.status
            kept = not answer.will_close
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise HoldfastError(
                f"No answer to {method} {address}: {error}", 0, "noAnswer", "unknown"
            ) from error
        finally:
            if cancel is not None:
                cancel._watch(None)
        if kept:
            with self._lock:
                self._free.append(connection)
        else:
            connection.close()
        if status < 300:
            try:
                return json.loads(text) if text else None
            except ValueError as error:
                raise HoldfastError(
                    f"The answer to {method} {address} is no JSON.", 0, "noAnswer", "unknown"
                ) from error
        raise refusal(status, fields.get("retry-after"), text)

    def _take(self, timeout: float) -> http.client.HTTPConnection:
        with self._lock:
            connection = self._free.pop() if self._free else None
        # A connection that the service has closed meanwhile can be read: it has ended.
        if connection is not None and connection.sock is not None and is_quiet(connection.sock):
            connection.sock.settimeout(timeout)
            return connection
        if connection is not None:
            connection.close()
        if self._scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def close(self) -> None:
        """Closes the connections that rest."""
        with self._lock:
            for connection in self._free:
                connection.close()
            self._free.clear()


def is_quiet(sock: socket.socket) -> bool:
    """Whether nothing has come on a connection that rests, not even its end."""
    sock.setblocking(False)
    try:
        sock.recv(1)  # whatever it reads, the connection is of no more use
        return False
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False


def refusal(status: int, retry_after: Optional[str], text: bytes) -> HoldfastError:
    """What an answer that is no success says. A proxy may answer without a problem document."""
    try:
        problem = json.loads(text)
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    return HoldfastError(
        problem.get("detail", f"The answer was {status}."),
        status,
        problem.get("code", f"http{status}"),
        problem.get("outcome", "unknown" if status >= 500 else "none"),
        float(retry_after) if retry_after is not None and retry_after.isdigit() else None,
        problem.get("requestId"),
        problem.get("errors"),
    )


def path(*parts: str) -> str:
    """An address from its parts, each encoded."""
    return "".join("/" + quote(part, safe="") for part in parts)


def camel(name: str) -> str:
    """A name as the contract writes it: `delay_seconds` is `delaySeconds`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


# What may be the JSON null. None means that other options are not given.
JSON_VALUES = ("body", "result")


def options_of(options: Mapping[str, Any]) -> Dict[str, Any]:
    """Options as the contract names them: `delay_seconds` is `delaySeconds`.

    None is left out, except where it is the JSON null: in `body` and `result`.
    """
    return {
        camel(name): value for name, value in options.items() if value is not None or name in JSON_VALUES
    }


