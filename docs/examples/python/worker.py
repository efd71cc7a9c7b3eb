#!/usr/bin/env python3
"""A worker: one message at a time, the ack after the work. Kill it whenever you like: the message comes back.

    docs/examples/python/worker.py

QUEUE_URL names the queue, HOLDFAST_KEY is an API key where one is asked for, WORK_SECONDS says how
long the work takes here. On SIGTERM or Ctrl-C it gives back what it holds, and the attempt does not count.
"""
import contextlib
import http.client
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request

URL = os.environ.get("QUEUE_URL", "http://127.0.0.1:8080/queues/work")
HEADERS = {"content-type": "application/json"}
if key := os.environ.get("HOLDFAST_KEY"):
    HEADERS["authorization"] = f"Bearer {key}"
NO_ANSWER = (OSError, http.client.HTTPException)


def work(message):
    """Your own work goes here. Raise to have the message tried again later."""
    time.sleep(float(os.environ.get("WORK_SECONDS", "1")))


def post(verb, body):
    request = urllib.request.Request(f"{URL}/{verb}", json.dumps(body).encode(), HEADERS)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def settle(verb, body):
    """Says how the lease ended, and asks again while there is no answer; it is safe to say twice. False: lease lost."""
    while True:
        try:
            post(verb, body)
            return True
        except urllib.error.HTTPError as refusal:
            if refusal.code == 409:
                return False
            if refusal.code != 429 and refusal.code < 500:
                raise
        except NO_ANSWER:
            pass
        time.sleep(1)


def handle(message):
    message_id, receipt = message["id"], message["receipt"]
    end = ("release", {"receipt": receipt})
    try:
        body = message["body"] if "body" in message else message["bodyBase64"]
        print("working", message_id, "attempt", message["attempt"], json.dumps(body), flush=True)
        try:
            work(message)
            end, told = ("ack", {"receipt": receipt}), "acked"
        except Exception as error:
            end, told = ("fail", {"receipt": receipt, "reason": repr(error)[:500]}), "failed"
        print(told if settle(*end) else "lost the lease of", message_id, flush=True)
    except KeyboardInterrupt:
        with contextlib.suppress(*NO_ANSWER):  # if this is lost too, the lease runs out by itself
            post(*end)
        raise


def stop(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            try:
                messages = post("lease", {"waitSeconds": 20, "worker": "worker.py"})["messages"]
            except NO_ANSWER as error:
                print("trying again:", error, file=sys.stderr)
                time.sleep(1)
                continue
            for message in messages:
                handle(message)
