"""The shapes of answers that programs read most. They are the JSON of the service."""
from __future__ import annotations

from typing import Any, Dict, List, Optional, TypedDict


class Enqueued(TypedDict, total=False):
    """`duplicate`: a key stood for this message already, and nothing was stored."""

    id: str
    duplicate: bool
    replaced: bool


class Failure(TypedDict):
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
    lastFailure: Failure
    origin: Dict[str, Any]
    group: str
    topic: str
    routingKey: str


class Outcome(TypedDict, total=False):
    """What became of a receipt, such as `acked`, `leaseLost` or `gone`."""

    outcome: str
    then: List[Enqueued]


class Leased(TypedDict, total=False):
    messages: List[LeasedMessage]
    outcomes: List[Outcome]
