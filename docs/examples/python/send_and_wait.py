#!/usr/bin/env python3
"""Send and wait: the producer goes on when a consumer has acked its message. Needs a worker, e.g. worker.py.

    docs/examples/python/send_and_wait.py "do this, and tell me when it is done"
"""
import json
import sys
import urllib.request

from producer import URL, enqueue


def call(method, path, body=None):
    request = urllib.request.Request(URL + path, body and json.dumps(body).encode(), {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)


if __name__ == "__main__":
    # The queue keeps acked messages for a while, so that there is something to see after the ack.
    call("PUT", "", {"keepAckedSeconds": 600})
    for text in sys.argv[1:]:
        message_id = enqueue({"text": text})
        print("enqueued", message_id, flush=True)
        state = None
        while state not in ("acked", "dead"):
            state = call("GET", f"/messages/{message_id}?waitSeconds=60")["state"]
        print(state, message_id, flush=True)
