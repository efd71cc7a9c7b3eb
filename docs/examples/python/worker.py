#!/usr/bin/env python3
"""A worker in one file. It works on one message at a time, extends the lease while it works, and
acks the message with the next lease. You can kill it at any time: the message comes back.

    docs/examples/python/worker.py

QUEUE_URL      the queue (default http://127.0.0.1:8080/queues/work)
HOLDFAST_KEY   an API key, where the service asks for one
WORK_SECONDS   how long the work takes in this example (default 1)
LEASE_SECONDS  how long a lease lasts (default 30)

On SIGTERM or Ctrl-C it gives back the message it works on, and the attempt does not count.
"""
import http.client
import json
import os
import random
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("QUEUE_URL", "http://127.0.0.1:8080/queues/work")
HEADERS = {"content-type": "application/json"}
if key := os.environ.get("HOLDFAST_KEY"):
    HEADERS["authorization"] = f"Bearer {key}"
LEASE_SECONDS = float(os.environ.get("LEASE_SECONDS", "30"))
NO_ANSWER = (OSError, http.client.HTTPException, json.JSONDecodeError)


class Dead(Exception):
    """Raise it in work() when another attempt would be of no use."""


class Lost(Exception):
    """The lease is lost: another worker may have the message."""


def work(message, lost):
    """Put your own work here. Raise to have the message tried again later. Long work should stop
    when lost.is_set()."""
    time.sleep(float(os.environ.get("WORK_SECONDS", "1")))


def post(verb, body, timeout=30):
    request = urllib.request.Request(f"{URL}/{verb}", json.dumps(body).encode(), HEADERS)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def call(verb, body):
    """Repeats the same request, which is safe, until it has an answer. Raises Lost."""
    for tries in range(1, sys.maxsize):
        asked = 0
        try:
            return post(verb, body)
        except urllib.error.HTTPError as refusal:
            if refusal.code == 409:
                raise Lost from None
            no_queue_yet = verb == "lease" and refusal.code == 404  # the first message makes it
            if refusal.code != 429 and refusal.code < 500 and not no_queue_yet:
                raise
            asked = float(refusal.headers.get("retry-after", 0))
            print(f"{verb}: answered with {refusal.code}, trying again", file=sys.stderr)
        except NO_ANSWER as error:
            print(f"{verb}: {error}, trying again", file=sys.stderr)
        time.sleep(asked + random.uniform(0, min(5, 0.1 * 2 ** min(tries, 10))))


def keep(receipt, done, lost):
    """Extends the lease whenever a third of it is over, until the work is done or the lease lost."""
    extension = {"receipt": receipt, "leaseSeconds": LEASE_SECONDS}
    while not done.wait(LEASE_SECONDS / 3):
        try:
            post("extend", extension, timeout=LEASE_SECONDS / 6)
        except urllib.error.HTTPError as refusal:
            if refusal.code == 409:
                return lost.set()
        except NO_ANSWER:
            pass  # there is time for another try


def handle(message):
    """Returns True when the work is done, and is to be acked."""
    receipt, done, lost = message["receipt"], threading.Event(), threading.Event()
    keeper = threading.Thread(target=keep, args=(receipt, done, lost), daemon=True)
    keeper.start()
    try:
        work(message, lost)
        return True
    except Exception as error:
        failure = {"receipt": receipt, "reason": repr(error)[:500], "dead": isinstance(error, Dead)}
        try:
            call("fail", failure)
            print("failed", message["id"], flush=True)
        except Lost:
            print("lost the lease of", message["id"], flush=True)
        return False
    finally:
        done.set()


def run():
    held, done = None, None  # the message that is worked on; the one that is done and not yet acked
    try:
        while True:
            # A message that is done is acked with the next lease, in one commit. Such a call does
            # not wait. The key makes the call safe to repeat: it brings the same message again.
            request = {
                "leaseSeconds": LEASE_SECONDS,
                "worker": "worker.py",
                "idempotencyKey": str(uuid.uuid4()),
            }
            request |= {"waitSeconds": 20} if done is None else {"ack": [done["receipt"]]}
            answer = call("lease", request)
            if done is not None:
                lost = answer["outcomes"][0]["outcome"] == "leaseLost"
                print("lost the lease of" if lost else "acked", done["id"], flush=True)
                done = None
            for held in answer["messages"]:
                body = held["body"] if "body" in held else held["bodyBase64"]
                print("working", held["id"], "attempt", held["attempt"], json.dumps(body), flush=True)
                if handle(held):
                    done = held
            held = None
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:  # if this fails too, the lease ends by itself
            if done is not None:
                post("ack", {"receipt": done["receipt"]}, timeout=5)
            elif held is not None:
                post("release", {"receipt": held["receipt"]}, timeout=5)
        except NO_ANSWER:
            pass


def stop(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    run()
