#!/usr/bin/env python3
"""A producer. It enqueues each argument, and reports it once the service has confirmed the commit.

    docs/examples/python/producer.py "first message" "second message"

QUEUE_URL     the queue (default http://127.0.0.1:8080/queues/work); the first message makes it
HOLDFAST_KEY  an API key, where the service asks for one
"""
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("QUEUE_URL", "http://127.0.0.1:8080/queues/work")
HEADERS = {"content-type": "application/json"}
if key := os.environ.get("HOLDFAST_KEY"):
    HEADERS["authorization"] = f"Bearer {key}"


def call(method, path, body=None):
    """Makes a call that is safe to repeat until it has an answer. Raises when that is a refusal."""
    data = None if body is None else json.dumps(body).encode()
    while True:
        request = urllib.request.Request(URL + path, data, HEADERS, method=method)
        pause = 1
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            if refusal.code != 429 and refusal.code < 500:
                raise
            pause = float(refusal.headers.get("retry-after", 1))
        except (OSError, http.client.HTTPException):  # no connection, or no whole answer
            pass
        print("not confirmed, trying again", file=sys.stderr)
        time.sleep(pause)


def enqueue(body):
    """Returns the id of the committed message, after as many tries as it takes."""
    # Every try has the same key. When an answer is lost, the next try is the same message.
    return call("POST", "/messages", {"body": body, "idempotencyKey": str(uuid.uuid4())})["id"]


if __name__ == "__main__":
    for text in sys.argv[1:]:
        print("enqueued", enqueue({"text": text}), flush=True)
