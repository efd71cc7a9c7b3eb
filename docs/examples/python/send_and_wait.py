#!/usr/bin/env python3
"""Send and wait: the producer goes on when a consumer has acked its message. Needs a worker, e.g. worker.py.

    docs/examples/python/send_and_wait.py "do this, and tell me when it is done"

Prints `acked <id>`, or `dead <id>` and ends with 1 when every attempt at a message failed.
"""
import sys

from producer import call, enqueue


def wait(message_id):
    """Returns "acked" or "dead", however long that takes."""
    while True:
        state = call("GET", f"/messages/{message_id}?waitSeconds=60")["state"]
        if state in ("acked", "dead"):
            return state


if __name__ == "__main__":
    # The queue keeps acked messages for a while, so that there is something to see after the ack.
    call("PUT", "", {"keepAckedSeconds": 600})
    ids = []
    for text in sys.argv[1:]:
        ids.append(enqueue({"text": text}))
        print("enqueued", ids[-1], flush=True)
    dead = False
    for message_id in ids:
        state = wait(message_id)
        print(state, message_id, flush=True)
        dead = dead or state == "dead"
    sys.exit(1 if dead else 0)
