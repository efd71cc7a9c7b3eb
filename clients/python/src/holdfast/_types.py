"""The shapes of answers that programs read most. They are the JSON of the service."""
from __future__ import annotations

from typing import Any, Dict, List, Optional, TypedDict


class Enqueued(TypedDict, total=False):
    """`duplicate`: a key stood for this message already, and nothing was stored."""

    id: str
    duplicate: bool
    replaced: bool


class LastFailure(TypedDict):
    attempt: int
    reason: Optional[str]
    at: str


class LeasedMessage(TypedDict, total=False):
    """A message in a worker's hands. `receipt` settles it. `fence` rises with every lease."""

    id: str
    receipt: str
    fence: int
    attempt: int
    maxAttempts: Optional[int]
    body: Any
    bodyBase64: str
    contentType: str
    headers: Dict[str, str]
    priority: int
    enqueuedAt: str
    leaseExpiresAt: str
    lastFailure: LastFailure
    origin: Dict[str, Any]
    group: str
    topic: str
    routingKey: str


class Followed(Enqueued, total=False):
    """A message that an ack enqueued, in the queue named."""

    queue: str


class Outcome(TypedDict, total=False):
    """What became of a receipt, such as `acked`, `leaseLost` or `gone`.

    `then` is of an ack, `leaseExpiresAt` of `extended`, and `visibleAt` of `retrying`. `movedTo` is
    the dead-letter queue of what is `dead`. `receipt` says in a list whose outcome it is.
    """

    outcome: str
    receipt: str
    then: List[Followed]
    leaseExpiresAt: str
    visibleAt: str
    movedTo: str


class Leased(TypedDict, total=False):
    messages: List[LeasedMessage]
    outcomes: List[Outcome]
    ordering: str


class FailureExample(TypedDict):
    """The message of a group whose attempt ended last."""

    id: str
    attempt: int
    at: str
    reason: Optional[str]


class FailureGroup(TypedDict):
    """Failed messages of one reason. `ids` are for a redrive or a retry of the group."""

    state: str
    reason: Optional[str]
    count: int
    firstAt: str
    lastAt: str
    example: FailureExample
    piece: Optional[str]
    ids: List[str]


class Failures(TypedDict):
    """The largest groups. `more`: not all messages were examined, so each count is at least that."""

    groups: List[FailureGroup]
    groupsLeftOut: int
    more: bool


class Consumer(TypedDict):
    """A worker seen lately, and how many messages it holds."""

    worker: str
    leases: int
    oldestLeaseAt: Optional[str]
    nextEndAt: Optional[str]
    lastLeasedAt: Optional[str]
    lastAckedAt: Optional[str]
    lastFailedAt: Optional[str]


class Consumers(TypedDict):
    """`more`: not everything was examined. Without `keepsAcked` no `lastAckedAt` is known."""

    consumers: List[Consumer]
    more: bool
    keepsAcked: bool
    lastAskedAt: Optional[str]


class PushSettings(TypedDict):
    queue: str
    url: str
    maxConcurrent: int
    timeoutSeconds: float
    headers: Dict[str, str]
    oldSecretUntil: Optional[str]
    createdAt: str
    updatedAt: str


class Push(PushSettings, total=False):
    """The delivery of a queue to an endpoint. `secret` is there when the push was made."""

    secret: str


class PushRotated(PushSettings):
    """Both secrets sign until `oldSecretUntil`."""

    secret: str


class PushSlowed(TypedDict):
    """How often the endpoint failed in a row, and when the next delivery is tried."""

    failures: int
    reason: str
    until: str


class Delivery(TypedDict):
    """`outcome` is `delivered`, `gone`, `failed`, `timeout` or `unreachable`."""

    id: str
    attempt: int
    at: str
    outcome: str
    status: Optional[int]
    seconds: float
    reason: Optional[str]


class PushReport(PushSettings):
    """The push, and what the replica that answers knows of it: its last deliveries, the newest first."""

    slowed: Optional[PushSlowed]
    deliveries: List[Delivery]


class PushTest(TypedDict):
    """What came of a test. `status` is None where there was no answer."""

    delivered: bool
    status: Optional[int]
    seconds: float
    reason: Optional[str]


class KeyInfo(TypedDict):
    """An API key without its secret."""

    id: str
    name: str
    rights: List[str]
    requestsPerSecond: Optional[float]
    messagesPerSecond: Optional[float]
    createdAt: str


class KeyMade(KeyInfo):
    """A new API key. `secret` is shown this once."""

    secret: str


class KeptSchedule(TypedDict):
    """A schedule of a key that was revoked."""

    name: str
    queue: str
    paused: bool
