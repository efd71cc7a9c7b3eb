#!/usr/bin/env python3
"""A producer: enqueues each argument, and believes it only when the service says that it is committed.

    docs/examples/python/producer.py "first message" "second message"

QUEUE_URL names the queue (default http://127.0.0.1:8080/queues/work); the first message makes it. HOLDFAST_KEY is an
API key where one is asked for.
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
    """One call that is safe to repeat: asks until there is an answer, and raises when that is a refusal."""
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
        except (OSError, http.client.HTTPException):  # no connection, or lost before the answer was here
            pass
        print("not confirmed, trying again", file=sys.stderr)
        time.sleep(pause)


def enqueue(body):
    """Returns the id of the committed message, however often it has to ask."""
    # One key for every try: an answer that was lost costs nothing, for the second try is the same message.
    return call("POST", "/messages", {"body": body, "idempotencyKey": str(uuid.uuid4())})["id"]


if __name__ == "__main__":
    for text in sys.argv[1:]:
        print("enqueued", enqueue({"text": text}), flush=True)
