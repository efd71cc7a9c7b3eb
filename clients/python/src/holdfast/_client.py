"""The REST contract as methods."""
from __future__ import annotations

import uuid
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union, cast

from ._calls import Calls, Cancel, camel, options_of, path
from ._limits import WAIT_SECONDS_MAX
from ._types import (
    Consumers,
    Enqueued,
    Failures,
    KeptSchedule,
    KeyInfo,
    KeyMade,
    Leased,
    Outcome,
    Push,
    PushReport,
    PushRotated,
    PushTest,
)

Message = Mapping[str, Any]
Json = Dict[str, Any]


def keyed(message: Message) -> Json:
    """The message with an idempotency key, so that a try after a lost answer stores nothing twice."""
    return {"idempotencyKey": str(uuid.uuid4()), **message}


class Client:
    """Calls a Holdfast service. Threads may share one client.

    Options are keywords, in Python's spelling of the contract's names: `delay_seconds=5` is
    `delaySeconds`. Messages in lists are dicts in the contract's own spelling, as are all answers.

    url              where the service is: http://127.0.0.1:8080
    key              an API key, where the service asks for one
    timeout_seconds  how long one try may take, beside the time that the call waits for a message
    retry_seconds    no try begins later than this after the first; 0: there is one try
    """

    def __init__(
        self,
        url: str,
        key: Optional[str] = None,
        *,
        timeout_seconds: float = 30,
        retry_seconds: float = 30,
    ) -> None:
        self._calls = Calls(url, key, timeout_seconds, retry_seconds)

    def close(self) -> None:
        """Closes the connections that rest."""
        self._calls.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Messages

    def enqueue(self, queue: str, body: Any, **options: Any) -> Enqueued:
        """Stores a message, and returns after the commit.

        Options: priority, delay_seconds, visible_at, ttl_seconds, max_attempts, group, unique,
        headers, idempotency_key.
        """
        message = keyed({"body": body, **options_of(options)})
        return cast(Enqueued, self._calls.call("POST", path("queues", queue, "messages"), message))

    def enqueue_many(self, queue: str, messages: Iterable[Message]) -> List[Enqueued]:
        """Stores 1 to 1000 messages, all or none. Each is a dict with `body` and options."""
        body = {"messages": [keyed(message) for message in messages]}
        answer = self._calls.call("POST", path("queues", queue, "messages"), body)
        return cast(List[Enqueued], answer["messages"])

    def enqueue_raw(self, queue: str, body: bytes, content_type: str, **options: Any) -> Enqueued:
        """Stores bytes. A lease gives them back unchanged, with their content type."""
        return cast(Enqueued, self._raw(path("queues", queue, "messages"), body, content_type, options))

    def lease(self, queue: str, *, cancel: Optional[Cancel] = None, **options: Any) -> Leased:
        """Takes messages for a time.

        Options: max, lease_seconds, wait_seconds, worker, ack, idempotency_key. Without a key the
        client makes one, so that a try after a lost answer brings the same messages.
        """
        request = keyed(options_of(options))
        return cast(
            Leased,
            self._calls.call(
                "POST",
                path("queues", queue, "lease"),
                request,
                # Without wait_seconds the queue says how long.
                wait_seconds=request.get("waitSeconds", WAIT_SECONDS_MAX),
                retry_seconds=None if cancel is None else 0,
                cancel=cancel,
            ),
        )

    def ack(self, queue: str, receipt: str, **options: Any) -> Outcome:
        """The work is done. Options: result, and then, which enqueues messages in the same commit."""
        return self._settle(queue, "ack", {"receipt": receipt, **options_of(options)})

    def ack_many(self, queue: str, acks: Iterable[Union[str, Message]]) -> List[Outcome]:
        """Acks 1 to 1000 receipts, and answers what became of each."""
        given = list(acks)
        if all(isinstance(ack, str) for ack in given):
            return self._settle_many(queue, "ack", {"receipts": given})
        items = [{"receipt": ack} if isinstance(ack, str) else ack for ack in given]
        return self._settle_many(queue, "ack", {"acks": items})

    def fail(self, queue: str, receipt: str, **options: Any) -> Outcome:
        """The work failed: the message is tried again. Options: reason, delay_seconds, dead."""
        return self._settle(queue, "fail", {"receipt": receipt, **options_of(options)})

    def fail_many(self, queue: str, failures: Iterable[Message]) -> List[Outcome]:
        """Fails 1 to 1000 messages, and answers what became of each."""
        return self._settle_many(queue, "fail", {"failures": list(failures)})

    def extend(self, queue: str, receipt: str, lease_seconds: Optional[float] = None) -> Outcome:
        """Lets the lease end so many seconds from now."""
        options = options_of({"lease_seconds": lease_seconds})
        return self._settle(queue, "extend", {"receipt": receipt, **options})

    def extend_many(self, queue: str, extensions: Iterable[Message]) -> List[Outcome]:
        """Extends 1 to 1000 leases, and answers what became of each."""
        return self._settle_many(queue, "extend", {"extensions": list(extensions)})

    def release(self, queue: str, receipt: str) -> Outcome:
        """Gives a message back. The attempt does not count."""
        return self._settle(queue, "release", {"receipt": receipt})

    def release_many(self, queue: str, receipts: Iterable[str]) -> List[Outcome]:
        """Gives 1 to 1000 messages back, and answers what became of each."""
        return self._settle_many(queue, "release", {"receipts": list(receipts)})

    def browse(self, queue: str, **query: Any) -> Json:
        """A page of messages by id, without leasing them."""
        return cast(
            Json, self._calls.call("GET", path("queues", queue, "messages"), query=options_of(query))
        )

    def message(self, queue: str, message_id: str, *, wait_seconds: float = 0) -> Json:
        """One message with its history. With wait_seconds, once it is acked, dead or gone."""
        query = {"waitSeconds": wait_seconds or None}
        where = path("queues", queue, "messages", message_id)
        return cast(Json, self._calls.call("GET", where, query=query, wait_seconds=wait_seconds))

    def explain(self, queue: str, message_id: str) -> Json:
        """Why a message is where it is."""
        return self._get("queues", queue, "messages", message_id, "explain")

    def cancel(self, queue: str, message_id: str) -> None:
        """Removes a message that is not leased."""
        self._delete("queues", queue, "messages", message_id)

    # Queues

    def queues(self, **query: Any) -> Json:
        """A page of queues, by name. Options: limit, cursor, dead_letter_queue."""
        return cast(Json, self._calls.call("GET", "/queues", query=options_of(query)))

    def queue(self, queue: str) -> Json:
        """A queue's settings, and the number of messages in each state."""
        return self._get("queues", queue)

    def series(self, queue: str) -> Json:
        """The last hour of a queue."""
        return self._get("queues", queue, "series")

    def groups(self, queue: str, **query: Any) -> Json:
        """The groups of a queue, and what goes first in each. Options: limit, cursor."""
        return cast(Json, self._calls.call("GET", path("queues", queue, "groups"), query=options_of(query)))

    def failures(self, queue: str, state: Optional[str] = None) -> Failures:
        """Failed messages of a queue, grouped by the reason of their last failure.

        `state` is `dead`, `delayed` or `ready`. The `ids` of a group are for `retry` if it is `delayed`,
        or else for `redrive`.
        """
        where = path("queues", queue, "failures")
        return cast(Failures, self._calls.call("GET", where, query={"state": state}))

    def consumers(self, queue: str) -> Consumers:
        """The workers seen lately on a queue."""
        return cast(Consumers, self._get("queues", queue, "consumers"))

    def put_queue(self, queue: str, **settings: Any) -> Json:
        """Makes a queue, or changes the settings given, such as keep_acked_seconds."""
        return cast(Json, self._calls.call("PUT", path("queues", queue), settings_of(settings)))

    def delete_queue(self, queue: str, *, if_empty: bool = False) -> None:
        """Removes a queue and its messages. With if_empty it raises `queueNotEmpty` where there are any."""
        self._calls.call("DELETE", path("queues", queue), query={"ifEmpty": if_empty})

    def purge(self, queue: str, **request: Any) -> Json:
        """Removes messages."""
        return self._post(request, "queues", queue, "purge")

    def redrive(self, queue: str, **request: Any) -> Json:
        """Messages that died are ready again: each at home, in the queue `to`, or where it is.

        Options: ids, where, limit, dry_run, to. With a rate, use start_redrive.
        """
        if "rate_per_second" in request:
            raise TypeError("A redrive with rate_per_second is a task. Use start_redrive.")
        return self._post(request, "queues", queue, "redrive")

    def start_redrive(self, queue: str, rate_per_second: float, **request: Any) -> str:
        """Starts a redrive that keeps to a rate, and answers its task. Options: ids, where, limit, to."""
        request["rate_per_second"] = rate_per_second
        return cast(str, self._post(request, "queues", queue, "redrive")["task"])

    def redrives(self, queue: str) -> List[Json]:
        """The redrives of a queue that keep to a rate, the newest first."""
        return cast(List[Json], self._get("queues", queue, "redrives")["redrives"])

    def stop_redrive(self, queue: str, task: str) -> None:
        """Stops a redrive with a rate. What it has done stays done."""
        self._delete("queues", queue, "redrives", task)

    def retry(self, queue: str, **request: Any) -> Json:
        """Makes delayed and backing-off messages ready now."""
        return self._post(request, "queues", queue, "retry")

    # Topics

    def publish(self, topic: str, body: Any, **options: Any) -> List[Json]:
        """Stores a copy in every queue whose subscription matches. Answers the copies."""
        return self._publish(topic, keyed({"body": body, **options_of(options)}))

    def publish_many(self, topic: str, messages: Iterable[Message]) -> List[Json]:
        """Publishes 1 to 1000 messages. All their copies are stored, or none."""
        return self._publish(topic, {"messages": [keyed(message) for message in messages]})

    def publish_raw(self, topic: str, body: bytes, content_type: str, **options: Any) -> List[Json]:
        """Publishes bytes, as enqueue_raw stores them."""
        answer = self._raw(path("topics", topic, "messages"), body, content_type, options)
        return cast(List[Json], answer["messages"])

    def subscribe(self, topic: str, queue: str, pattern: Optional[str] = None) -> Json:
        """Subscribes a queue to a topic, or changes its pattern."""
        where = path("topics", topic, "subscriptions", queue)
        return cast(Json, self._calls.call("PUT", where, options_of({"pattern": pattern})))

    def unsubscribe(self, topic: str, queue: str) -> None:
        """Ends a subscription. Copies that the queue holds stay."""
        self._delete("topics", topic, "subscriptions", queue)

    def topics(self, **query: Any) -> Json:
        """A page of topics, by name."""
        return cast(Json, self._calls.call("GET", "/topics", query=options_of(query)))

    def topic(self, topic: str) -> Json:
        """The subscriptions of a topic."""
        return self._get("topics", topic)

    def delete_topic(self, topic: str) -> None:
        """Ends all subscriptions of a topic."""
        self._delete("topics", topic)

    # Push

    def push(self, queue: str) -> PushReport:
        """The push of a queue, and its last deliveries. Raises `pushNotFound` where there is none."""
        return cast(PushReport, self._get("queues", queue, "push"))

    def put_push(self, queue: str, **change: Any) -> Push:
        """Has a queue delivered to an endpoint, or changes what is given. A new push answers its secret.

        Options: url, max_concurrent, timeout_seconds, headers.
        """
        return cast(Push, self._calls.call("PUT", path("queues", queue, "push"), options_of(change)))

    def delete_push(self, queue: str) -> None:
        """Delivers the queue no more. Its messages stay."""
        self._delete("queues", queue, "push")

    def test_push(self, queue: str) -> PushTest:
        """Sends a test to the endpoint, and answers what came of it. Raises `pushNotFound` without one."""
        return cast(PushTest, self._calls.call("POST", path("queues", queue, "push", "test")))

    def rotate_push(self, queue: str) -> PushRotated:
        """Makes a new secret. There is one try, because a second rotation would end the old secret."""
        where = path("queues", queue, "push", "rotate")
        return cast(PushRotated, self._calls.call("POST", where, retry_seconds=0))

    # Schedules

    def schedules(self, **query: Any) -> Json:
        """A page of schedules, by name, without their messages."""
        return cast(Json, self._calls.call("GET", "/schedules", query=options_of(query)))

    def schedule(self, name: str) -> Json:
        """A schedule with its message and its next times."""
        return self._get("schedules", name)

    def put_schedule(self, name: str, **change: Any) -> Json:
        """Makes a schedule, or changes what is given: queue, cron, timezone, body, paused, …"""
        return cast(Json, self._calls.call("PUT", path("schedules", name), options_of(change)))

    def run_schedule(self, name: str, **request: Any) -> Enqueued:
        """Enqueues a schedule's message once more."""
        where = path("schedules", name, "run")
        return cast(Enqueued, self._calls.call("POST", where, keyed(options_of(request))))

    def delete_schedule(self, name: str) -> None:
        """Removes a schedule. Its messages in the queue stay there."""
        self._delete("schedules", name)

    # Keys

    def keys(self) -> List[KeyInfo]:
        """All API keys, without their secrets."""
        return cast(List[KeyInfo], self._get("keys")["keys"])

    def create_key(self, name: str, rights: Iterable[str], **options: Any) -> KeyMade:
        """Makes an API key. There is one try, because a lost answer may have made a key."""
        body = {"name": name, "rights": list(rights), **options_of(options)}
        return cast(KeyMade, self._calls.call("POST", "/keys", body, retry_seconds=0))

    def change_key(self, key_id: str, **change: Any) -> KeyInfo:
        """Changes what an API key may do. The key itself stays as it is.

        Options: rights, requests_per_second, messages_per_second. None lifts a bound.
        """
        return cast(KeyInfo, self._calls.call("PUT", path("keys", key_id), settings_of(change)))

    def revoke_key(self, key_id: str, *, pause_schedules: bool = False) -> List[KeptSchedule]:
        """Revokes an API key. Answers the schedules that it owns, which stay."""
        kept = self._calls.call("DELETE", path("keys", key_id), query={"pauseSchedules": pause_schedules})
        return cast(List[KeptSchedule], kept["schedules"] if kept else [])

    def _publish(self, topic: str, body: Json) -> List[Json]:
        answer = self._calls.call("POST", path("topics", topic, "messages"), body)
        return cast(List[Json], answer["messages"])

    def _get(self, *parts: str) -> Json:
        return cast(Json, self._calls.call("GET", path(*parts)))

    def _delete(self, *parts: str) -> None:
        self._calls.call("DELETE", path(*parts))

    def _post(self, request: Mapping[str, Any], *parts: str) -> Json:
        return cast(Json, self._calls.call("POST", path(*parts), options_of(request)))

    def _raw(self, where: str, body: bytes, content_type: str, options: Mapping[str, Any]) -> Any:
        query = keyed(options_of(options))
        return self._calls.call("POST", where, data=body, headers={"content-type": content_type}, query=query)

    def _settle(self, queue: str, verb: str, item: Json) -> Outcome:
        return cast(Outcome, self._calls.call("POST", path("queues", queue, verb), item))

    def _settle_many(self, queue: str, verb: str, items: Json) -> List[Outcome]:
        answer = self._calls.call("POST", path("queues", queue, verb), items)
        return cast(List[Outcome], answer["outcomes"])


def settings_of(settings: Mapping[str, Any]) -> Json:
    """Settings of a queue or a key. None is a value here: `max_attempts=None` is no bound."""
    return {camel(name): value for name, value in settings.items()}
