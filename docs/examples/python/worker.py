#!/usr/bin/env python3
"""A worker in one file: one message at a time, acked with the lease of the next, its lease kept while the work goes on.
Kill it whenever you like: the message comes back.

    docs/examples/python/worker.py

QUEUE_URL names the queue, HOLDFAST_KEY is an API key where one is asked for, WORK_SECONDS says how
long the work takes here, LEASE_SECONDS how long a lease lasts. On SIGTERM or Ctrl-C it gives back what it holds, and the attempt does not count.
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
    """Raise it in work() when there is no use in trying again."""


class Lost(Exception):
    """The message is somebody else's by now."""


def work(message, lost):
    """Your own work goes here. Raise to have the message tried again later; look at lost.is_set() when it takes long."""
    time.sleep(float(os.environ.get("WORK_SECONDS", "1")))


def post(verb, body, timeout=30):
    request = urllib.request.Request(f"{URL}/{verb}", json.dumps(body).encode(), HEADERS)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def call(verb, body):
    """Asks until there is an answer: the same request, which is safe to repeat. Raises Lost when the lease is."""
    for tries in range(1, sys.maxsize):
        asked = 0
        try:
            return post(verb, body)
        except urllib.error.HTTPError as refusal:
            if refusal.code == 409:
                raise Lost from None
            # No queue yet: the first message makes it.
            if refusal.code != 429 and refusal.code < 500 and not (verb == "lease" and refusal.code == 404):
                raise
            asked = float(refusal.headers.get("retry-after", 0))
            print(f"{verb}: answered with {refusal.code}, trying again", file=sys.stderr)
        except NO_ANSWER as error:
            print(f"{verb}: {error}, trying again", file=sys.stderr)
        time.sleep(asked + random.uniform(0, min(5, 0.1 * 2 ** min(tries, 10))))


def keep(receipt, done, lost):
    """Runs beside the work: a lease that is a third over is made to last, until the work is done or the lease is lost."""
    while not done.wait(LEASE_SECONDS / 3):
        try:
            post("extend", {"receipt": receipt, "leaseSeconds": LEASE_SECONDS}, timeout=LEASE_SECONDS / 6)
        except urllib.error.HTTPError as refusal:
            if refusal.code == 409:
                return lost.set()
        except NO_ANSWER:
            pass  # there is time for another try


def handle(message):
    """True when the work is done, and to be acked."""
    receipt, done, lost = message["receipt"], threading.Event(), threading.Event()
    keeper = threading.Thread(target=keep, args=(receipt, done, lost), daemon=True)
    keeper.start()
    try:
        work(message, lost)
        return True
    except Exception as error:
        try:
            call("fail", {"receipt": receipt, "reason": repr(error)[:500], "dead": isinstance(error, Dead)})
            print("failed", message["id"], flush=True)
        except Lost:
            print("lost the lease of", message["id"], flush=True)
        return False
    finally:
        done.set()


def run():
    held, done = None, None  # what is being worked on; what is done, and not acked yet
    try:
        while True:
            # Done work is acked with the next lease, in one commit; then the call does not wait. With its key a repeated
            # call brings the message of the answer that was lost.
            request = {"leaseSeconds": LEASE_SECONDS, "worker": "worker.py", "idempotencyKey": str(uuid.uuid4())}
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
        try:  # if this is lost too, the lease runs out by itself
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
