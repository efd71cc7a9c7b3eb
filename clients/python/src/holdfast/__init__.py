"""Client and worker for Holdfast, an HTTP message queue on PostgreSQL.

    from holdfast import Client, Worker

    Client("http://127.0.0.1:8080").enqueue("mail", {"to": "ada@example.org"})
    Worker("http://127.0.0.1:8080", "mail", lambda job: print(job.body)).run()
"""
from ._calls import HoldfastError
from ._client import Client
from ._types import (
    Consumer,
    Consumers,
    Delivery,
    Enqueued,
    FailureGroup,
    Failures,
    KeptSchedule,
    KeyInfo,
    KeyMade,
    LeasedMessage,
    Outcome,
    Push,
    PushReport,
    PushRotated,
    PushTest,
)
from ._worker import Dead, Done, Job, RetryAfter, Settled, Worker

__all__ = [
    "Client",
    "Consumer",
    "Consumers",
    "Dead",
    "Delivery",
    "Done",
    "Enqueued",
    "FailureGroup",
    "Failures",
    "HoldfastError",
    "Job",
    "KeptSchedule",
    "KeyInfo",
    "KeyMade",
    "LeasedMessage",
    "Outcome",
    "Push",
    "PushReport",
    "PushRotated",
    "PushTest",
    "RetryAfter",
    "Settled",
    "Worker",
]
