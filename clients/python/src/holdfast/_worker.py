"""A worker: leases messages, has a handler work on them, keeps the leases meanwhile, and settles.

It runs on asyncio. A handler that is a plain function runs in a thread.
"""
from __future__ import annotations

import asyncio
import base64
import inspect
import os
import signal
import socket
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple, cast

from ._calls import Cancel, HoldfastError, options_of, pause_after
from ._client import Client
from ._limits import DELAY_SECONDS_MAX, LEASE_SECONDS_MAX, LIST_MAX, WAIT_SECONDS_MAX
from ._types import Leased, LeasedMessage, Outcome

ACK_DELAY_SECONDS = 0.02
CHECKS_PER_LEASE = 6
RETURN_SECONDS = 1.0
LAST_CALLS_SECONDS = 5.0
REASON_CHARS_MAX = 1000
# Outcomes after which a message no longer stands before the next of its line.
LETS_NEXT_GO = ("acked", "dead", "gone")


@dataclass
class Job:
    """What a handler is given.

    body      JSON as a value, text as a str, anything else as bytes
    fence     rises with every lease of this message: store it beside your effect, refuse a smaller one
    stopped   set when the lease is lost, or when the worker stops and its time is up: stop working then
    """

    body: Any
    message: LeasedMessage
    attempt: int
    fence: int
    stopped: threading.Event = field(default_factory=threading.Event)


class Dead(Exception):
    """Raised by a handler: the message becomes dead, because another try would not help."""


class RetryAfter(Exception):
    """Raised by a handler: try again after so many seconds, instead of after the queue's delay."""

    def __init__(self, delay_seconds: float, reason: str = "") -> None:
        if not 0 <= delay_seconds <= DELAY_SECONDS_MAX:
            raise ValueError(
                f"delay_seconds is {delay_seconds}. Give a number from 0 to {DELAY_SECONDS_MAX}, a year."
            )
        super().__init__(reason or f"to be tried again after {delay_seconds} s")
        self.delay_seconds = delay_seconds


# A result may be None, which is the JSON null.
NO_RESULT: Any = object()


@dataclass
class Done:
    """Returned by a handler: the ack says what came of the work, and enqueues what follows.

    If it is not JSON, or the service refuses it for good, the message fails with that reason.
    """

    result: Any = NO_RESULT
    then: Optional[Sequence[Mapping[str, Any]]] = None


@dataclass
class Settled:
    """What became of a message. `unsettled`: no answer came, so the lease will run out."""

    message: LeasedMessage
    outcome: str
    error: Optional[BaseException] = None


# What a handler returned, and what it raised.
End = Tuple[Any, Optional[BaseException]]


@dataclass
class Held:
    """A message in a handler's hands, or one that waits for its turn."""

    job: Job
    since: float
    work: Optional["asyncio.Future[End]"] = None
    # Why the handler was told to stop: leaseLost, gone, unconfirmed or stopped.
    end: Optional[str] = None


def check_range(name: str, given: Any, least: float, most: float) -> None:
    # A bool is a number for Python, and NaN is in no range.
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not least <= given <= most:
        raise ValueError(f"{name} is {given!r}. Give a number from {least} to {most}.")


def complain(error: BaseException) -> None:
    """Writes an error to standard error."""
    retries = " The worker goes on trying." if isinstance(error, HoldfastError) and error.passes else ""
    print(f"holdfast worker: {error}{retries}", file=sys.stderr)


class Worker:
    """Works on the messages of a queue until it is stopped. Raises ValueError for what cannot work.

    handler        takes a Job. It returns: the message is acked. It raises: the message fails.
    concurrency    messages in hand at once, 1 to 1000; of an ordered queue, the worker works on the
                   messages of a group one after another, in their order
    lease_seconds  how long a lease lasts, whatever the queue says; it is extended while the handler
                   works
    wait_seconds   how long a call waits for a message; another call follows
    grace_seconds  how long handlers may still take when the worker is stopped
    worker         its name in the history of messages
    signals        whether SIGTERM and SIGINT stop it
    on_settled     hears what became of each message
    on_error       hears of errors, such as no answer; the worker goes on by itself
    """

    def __init__(
        self,
        url: str,
        queue: str,
        handler: Callable[[Job], Any],
        *,
        key: Optional[str] = None,
        concurrency: int = 1,
        lease_seconds: float = 30,
        wait_seconds: float = 20,
        grace_seconds: float = 10,
        timeout_seconds: float = 30,
        worker: Optional[str] = None,
        signals: bool = True,
        on_settled: Callable[[Settled], None] = lambda settled: None,
        on_error: Callable[[BaseException], None] = complain,
    ) -> None:
        if not isinstance(queue, str) or queue == "":
            raise ValueError(f"queue is {queue!r}. Give the name of a queue.")
        for name, function in (("handler", handler), ("on_settled", on_settled), ("on_error", on_error)):
            if not callable(function):
                raise ValueError(f"{name} is {function!r}. Give a function.")
        if not isinstance(concurrency, int):
            raise ValueError(f"concurrency is {concurrency!r}. Give a whole number.")
        check_range("concurrency", concurrency, 1, LIST_MAX)
        check_range("lease_seconds", lease_seconds, 0.1, LEASE_SECONDS_MAX)
        check_range("wait_seconds", wait_seconds, 1, WAIT_SECONDS_MAX)
        check_range("grace_seconds", grace_seconds, 0, LEASE_SECONDS_MAX)
        check_range("timeout_seconds", timeout_seconds, 0.1, LEASE_SECONDS_MAX)
        self._client = Client(url, key, timeout_seconds=timeout_seconds, retry_seconds=0)
        self._queue = queue
        self._handler = handler
        self._is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)
        )
        self._lease_seconds = lease_seconds
        self._wait_seconds = wait_seconds
        self._grace_seconds = grace_seconds
        self._name = worker or f"{socket.gethostname()}:{os.getpid()}"
        self._signals = signals
        self._on_settled = on_settled
        self._on_error = on_error
        self._free = concurrency
        self._threads = ThreadPoolExecutor(concurrency + 4, "holdfast")
        self._held: Dict[str, Held] = {}
        self._acks: List[Tuple[str, "asyncio.Future[str]"]] = []
        self._tasks: Set["asyncio.Task[Any]"] = set()
        self._stop_asked = threading.Event()
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    def run(self) -> None:
        """Works until it is stopped by stop(), SIGTERM or Ctrl-C."""
        asyncio.run(self.serve())

    def stop(self) -> None:
        """Leases no more, and lets handlers end. Any thread may call it."""
        self._stop_asked.set()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def serve(self) -> None:
        """The same as run, inside a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._giving_up = asyncio.Event()
        self._freed = asyncio.Event()
        if self._stop_asked.is_set():
            self._stopping.set()
        caught = self._catch_signals()
        keeper = asyncio.ensure_future(self._keep())
        try:
            while not self._stopping.is_set():
                await asyncio.sleep(0)  # handlers that end together share the next lease
                if self._free > 0:
                    await self._lease()
                else:
                    self._freed.clear()
                    await first_of(self._freed.wait(), self._stopping.wait())
            await self._finish()
        finally:
            keeper.cancel()
            for number in caught:
                self._loop.remove_signal_handler(number)
            self._threads.shutdown(wait=False)
            self._client.close()

    def _catch_signals(self) -> List[int]:
        if not self._signals or threading.current_thread() is not threading.main_thread():
            return []
        numbers = [signal.SIGTERM, signal.SIGINT]
        for number in numbers:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        return [int(number) for number in numbers]

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            os._exit(1)  # the second signal ends the process at once
        self._stopping.set()

    async def _call(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: work(*args, **options)
        )

    # Leasing

    async def _lease(self) -> None:
        acks, self._acks = self._acks[:LIST_MAX], self._acks[LIST_MAX:]
        # With the same key, a repeated call brings the messages of the answer that was lost. A call
        # with acks does not wait, so that their outcomes are known at once.
        request: Dict[str, Any] = {
            "max": self._free,
            "lease_seconds": self._lease_seconds,
            "wait_seconds": 0 if acks else self._wait_seconds,
            "worker": self._name,
            "idempotency_key": str(uuid.uuid4()),
            "ack": [receipt for receipt, _ in acks],
        }
        tries = 1
        while True:
            cancel = Cancel()
            call = self._call(self._client.lease, self._queue, cancel=cancel, **request)
            calling = asyncio.ensure_future(call)
            await first_of(asyncio.shield(calling), self._stopping.wait())
            if not calling.done():
                cancel.cancel()
            try:
                leased = await calling
            except HoldfastError as error:
                if self._stopping.is_set():
                    self._acks = acks + self._acks
                    self._later(self._flush_acks())
                    return await self._release_unseen(request)
                self._report(error)
                if acks and not error.passes:
                    # The lease may be refused for long, so the acks go in a call of their own.
                    self._acks = acks + self._acks
                    self._later(self._flush_acks())
                    return None
                await first_of(asyncio.sleep(pause_after(tries, error)), self._stopping.wait())
                tries += 1
                continue
            for (_, settled), outcome in zip(acks, leased.get("outcomes", [])):
                settled.set_result(outcome["outcome"])
            # After a repeated call the leases may be half over.
            since = time.monotonic() - (0 if tries == 1 else self._lease_seconds / 2)
            for line in lines_of(leased):
                self._start(line, since)
            return None

    async def _release_unseen(self, request: Dict[str, Any]) -> None:
        # The answer to a call that was given up may have been on its way, with messages. The same key
        # brings them again.
        repeated = {**request, "max": 1, "wait_seconds": 0, "ack": []}
        try:
            leased = await self._call(self._client.lease, self._queue, **repeated)
            receipts = [message["receipt"] for message in leased["messages"]]
            if receipts:
                await self._call(self._client.release_many, self._queue, receipts)
        except HoldfastError as error:
            if error.code != "queueNotFound":
                self._report(error)

    # Working

    def _start(self, line: List[LeasedMessage], since: float) -> None:
        self._free -= len(line)
        self._later(self._work_through([self._hold(message, since) for message in line]))

    def _hold(self, message: LeasedMessage, since: float) -> Held:
        encoded = message.get("bodyBase64")
        body = message.get("body") if encoded is None else base64.b64decode(encoded)
        held = Held(Job(body, message, message["attempt"], message["fence"]), since)
        self._held[message["receipt"]] = held
        return held

    async def _work_through(self, line: List[Held]) -> None:
        """Works on messages one after another. If one stays in the queue, none of those after it may go."""
        for index, held in enumerate(line):
            if held.end is not None:
                return await self._give_back(line[index:])
            following = line[index + 1 :]
            outcome = await self._work(held, bool(following))
            stopping = self._stop_asked.is_set() or self._stopping.is_set()
            if outcome not in LETS_NEXT_GO or stopping:
                return await self._give_back(following)

    async def _give_back(self, line: List[Held]) -> None:
        """Releases messages that no handler has seen."""
        if not line:
            return
        receipts = [held.job.message["receipt"] for held in line]
        for receipt in receipts:
            self._held.pop(receipt, None)
        outcomes = await self._repeat_list(self._client.release_many, self._queue, receipts)
        for held, outcome in zip(line, outcomes):
            self._add_free()
            self._tell(Settled(held.job.message, outcome))

    async def _work(self, held: Held, hurry: bool) -> str:
        held.work = asyncio.ensure_future(self._handle(held.job))
        try:
            value, error = await held.work
        except asyncio.CancelledError as thrown:
            value, error = None, thrown
        receipt = held.job.message["receipt"]
        # An ack that enqueues may have to be repeated for long, while the lease must last.
        if not (error is None and isinstance(value, Done)):
            self._held.pop(receipt, None)
        try:
            outcome = await self._settle(held, value, error, hurry)
        except Exception as thrown:
            self._report(thrown)
            outcome = "unsettled"
        self._held.pop(receipt, None)
        self._tell(Settled(held.job.message, outcome, error))
        return outcome

    async def _handle(self, job: Job) -> End:
        try:
            if self._is_async:
                return await self._handler(job), None
            value, error = await self._call(end_of, self._handler, job)
            # A plain function may return a coroutine, such as a lambda that calls an async def.
            return (await value if inspect.isawaitable(value) else value), error
        except KeyboardInterrupt:
            raise
        except BaseException as thrown:
            return None, thrown

    async def _settle(self, held: Held, value: Any, error: Optional[BaseException], hurry: bool) -> str:
        receipt = held.job.message["receipt"]
        if error is None and held.end not in ("leaseLost", "gone"):
            if isinstance(value, Done):
                return await self._complete(receipt, value)
            acked: "asyncio.Future[str]" = asyncio.get_running_loop().create_future()
            self._acks.append((receipt, acked))
            self._add_free()  # before the answer, because the next lease acks before it takes
            # Another message may wait for the outcome of this one.
            self._later(self._flush_acks_after(0 if hurry else ACK_DELAY_SECONDS, receipt))
            return await acked
        try:
            if held.end == "stopped":
                return await self._repeat(self._client.release, self._queue, receipt)
            if held.end is not None:
                return "gone" if held.end == "gone" else "leaseLost"
            return await self._repeat(self._client.fail, self._queue, receipt, **failure_of(error))
        finally:
            self._add_free()

    async def _complete(self, receipt: str, done: Done) -> str:
        try:
            said = options_of({"then": done.then})
            if done.result is not NO_RESULT:
                said["result"] = done.result
            return await self._repeat(self._client.ack, self._queue, receipt, **said)
        except Exception as error:  # also what json cannot encode
            self._report(error)
            return await self._repeat(self._client.fail, self._queue, receipt, **failure_of(error))
        finally:
            self._add_free()

    def _add_free(self) -> None:
        self._free += 1
        self._freed.set()

    # Settling

    async def _flush_acks_after(self, seconds: float, receipt: str) -> None:
        await asyncio.sleep(seconds)
        if any(waiting == receipt for waiting, _ in self._acks):
            await self._flush_acks()

    async def _flush_acks(self) -> None:
        acks, self._acks = self._acks[:LIST_MAX], self._acks[LIST_MAX:]
        if not acks:
            return
        receipts = [receipt for receipt, _ in acks]
        outcomes = await self._repeat_list(self._client.ack_many, self._queue, receipts)
        for (_, settled), outcome in zip(acks, outcomes):
            settled.set_result(outcome)

    async def _repeat(self, work: Callable[..., Outcome], *args: Any, **options: Any) -> str:
        try:
            answer = await self._until_answered(work, *args, **options)
        except HoldfastError as error:
            # With one receipt, the service refuses what it cannot settle.
            if error.code in ("leaseLost", "gone"):
                return error.code
            if is_queue_gone(error):
                return "gone"
            raise
        return "unsettled" if answer is None else cast(str, answer["outcome"])

    async def _repeat_list(
        self, work: Callable[..., List[Outcome]], queue: str, items: List[str]
    ) -> List[str]:
        try:
            answer = await self._until_answered(work, queue, items)
        except Exception as error:
            if is_queue_gone(error):
                return ["gone"] * len(items)
            self._report(error)
            answer = None
        return ["unsettled"] * len(items) if answer is None else [each["outcome"] for each in answer]

    async def _until_answered(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """None once the worker gives up. Raises what refuses the call for good."""
        tries = 1
        while True:
            try:
                return await self._call(work, *args, **options)
            except HoldfastError as error:
                if not error.passes:
                    raise
                self._report(error)
                if self._giving_up.is_set():
                    return None
                await first_of(asyncio.sleep(pause_after(tries, error)), self._giving_up.wait())
                tries += 1

    # Keeping leases

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / CHECKS_PER_LEASE)
            now = time.monotonic()
            due = [
                held
                for held in self._held.values()
                if held.end is None and now - held.since >= self._lease_seconds / 3
            ]
            if due:
                await self._extend(due, now)

    async def _extend(self, due: List[Held], now: float) -> None:
        extensions = [
            {"receipt": held.job.message["receipt"], "leaseSeconds": self._lease_seconds} for held in due
        ]
        try:
            outcomes = await self._call(self._client.extend_many, self._queue, extensions)
        except Exception as error:
            self._report(error)
            late = self._lease_seconds * (1 - 1 / CHECKS_PER_LEASE)
            for held in due:
                if time.monotonic() - held.since >= late:
                    self._interrupt(held, "unconfirmed")
            return
        for held, outcome in zip(due, outcomes):
            if outcome["outcome"] == "extended":
                held.since = now
            else:
                self._interrupt(held, "gone" if outcome["outcome"] == "gone" else "leaseLost")

    def _interrupt(self, held: Held, end: str) -> None:
        if held.end is not None:
            return
        held.end = end
        held.job.stopped.set()
        if self._is_async and held.work is not None:
            held.work.cancel()

    # Stopping

    async def _finish(self) -> None:
        """Waits for the work under way, interrupts it, and at last goes on without it."""
        await self._until_settled(self._grace_seconds)
        for held in list(self._held.values()):
            self._interrupt(held, "stopped")
        await self._until_settled(RETURN_SECONDS)
        for held in list(self._held.values()):
            if held.work is not None:
                held.work.cancel()
        await self._until_settled(LAST_CALLS_SECONDS)
        self._giving_up.set()
        await self._until_settled(RETURN_SECONDS)

    async def _until_settled(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    def _later(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return cast("asyncio.Task[Any]", task)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._report(cast(BaseException, task.exception()))

    def _tell(self, settled: Settled) -> None:
        try:
            self._on_settled(settled)
        except Exception as thrown:
            self._report(thrown)

    def _report(self, error: BaseException) -> None:
        try:
            self._on_error(error)
        except Exception:
            complain(error)


def end_of(handler: Callable[[Job], Any], job: Job) -> End:
    """Calls a handler in a thread. A future refuses a StopIteration, and a SystemExit ends the loop."""
    try:
        return handler(job), None
    except BaseException as thrown:
        return None, thrown


def lines_of(leased: Leased) -> List[List[LeasedMessage]]:
    """The messages of a lease in lines, each to be worked on one after another. Most stand alone."""
    ordering = leased.get("ordering")
    lines: Dict[Any, List[LeasedMessage]] = {}
    for number, message in enumerate(leased["messages"]):
        if ordering == "queue":
            line: Any = "all"
        elif ordering == "group" and "group" in message:
            line = message["group"]
        else:
            line = number
        lines.setdefault(line, []).append(message)
    return list(lines.values())


def is_queue_gone(error: Exception) -> bool:
    """A refusal that points into the request is about the queue of a next message."""
    return isinstance(error, HoldfastError) and error.code == "queueNotFound" and not error.errors


def reason_of(error: Optional[BaseException]) -> str:
    """The text of an error, as a reason that the service accepts."""
    try:
        text = str(error) or type(error).__name__
    except Exception:
        text = type(error).__name__
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:REASON_CHARS_MAX]


def failure_of(error: Optional[BaseException]) -> Dict[str, Any]:
    """What a fail says of an error."""
    said: Dict[str, Any] = {"reason": reason_of(error)}
    if isinstance(error, Dead):
        said["dead"] = True
    if isinstance(error, RetryAfter):
        said["delay_seconds"] = error.delay_seconds
    return said


async def first_of(*waits: Any) -> None:
    """Waits for the first to end, and cancels the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
