#!/usr/bin/env python3
"""Send and wait: the producer goes on when a consumer has acked its message.

    docs/examples/python/send_and_wait.py "do this, and tell me when it is done"

It needs a worker, such as worker.py. It prints `acked <id>` for each message. When every attempt
at a message failed it prints `dead <id>`, and ends with exit code 1.
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
    # The queue keeps acked messages for ten minutes, so that this program can see the ack.
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
