#!/usr/bin/env python3
"""A worker: one message at a time, the ack after the work. Kill it whenever you like: the message comes back.

    docs/examples/python/worker.py

On SIGTERM or Ctrl-C it gives back what it holds, and the attempt does not count.
"""
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request

URL = os.environ.get("QUEUE_URL", "http://127.0.0.1:8080/queues/work")


class LeaseLost(Exception):
    """Somebody else has the message now: whatever was done must not count."""


def post(verb, body):
    request = urllib.request.Request(f"{URL}/{verb}", json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        if refusal.code == 409:
            raise LeaseLost from refusal
        raise


def work(message):
    """Your own work goes here. Raise to have the message tried again later."""
    time.sleep(float(os.environ.get("WORK_SECONDS", "1")))


def handle(message):
    receipt = message["receipt"]
    print("working", message["id"], "attempt", message["attempt"], json.dumps(message.get("body")), flush=True)
    try:
        work(message)
        post("ack", {"receipt": receipt})
        print("acked", message["id"], flush=True)
    except LeaseLost:
        print("lost the lease of", message["id"], flush=True)
    except KeyboardInterrupt:
        post("release", {"receipt": receipt})
        raise
    except Exception as error:
        post("fail", {"receipt": receipt, "reason": repr(error)})


def stop(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        while True:
            try:
                for message in post("lease", {"waitSeconds": 20, "worker": "worker.py"})["messages"]:
                    handle(message)
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                print("trying again:", error, file=sys.stderr)
                time.sleep(1)
    except KeyboardInterrupt:
        sys.exit(0)
