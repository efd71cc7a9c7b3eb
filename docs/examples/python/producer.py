#!/usr/bin/env python3
"""A producer: enqueues each argument, and believes it only when the service says that it is committed.

    docs/examples/python/producer.py "first message" "second message"
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("QUEUE_URL", "http://127.0.0.1:8080/queues/work")


def enqueue(body):
    """Returns the id of the committed message, however often it has to ask."""
    # One key for every try: an answer that was lost costs nothing, for the second try is the same message.
    message = json.dumps({"body": body, "idempotencyKey": str(uuid.uuid4())}).encode()
    while True:
        request = urllib.request.Request(f"{URL}/messages", message, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)["id"]
        except urllib.error.HTTPError as refusal:
            if refusal.code not in (429, 503):
                raise
            time.sleep(float(refusal.headers.get("retry-after", 1)))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1)


if __name__ == "__main__":
    for text in sys.argv[1:]:
        print("enqueued", enqueue({"text": text}), flush=True)
