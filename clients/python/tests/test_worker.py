"""The worker against a running service: HOLDFAST_URL=http://127.0.0.1:8080 python -m unittest."""
import asyncio
import datetime
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
import urllib.request
import uuid

from holdfast import Client, Dead, Done, HoldfastError, RetryAfter, Worker

URL = os.environ["HOLDFAST_URL"]


def work(queue, handler, count, counts=lambda told: True, **options):
    """Runs a worker until so many of what it has settled count. Returns what it was told."""
    settled = []

    def on_settled(told):
        settled.append(told)
        if sum(map(counts, settled)) == count:
            worker.stop()

    worker = Worker(URL, queue, handler, signals=False, on_settled=on_settled, **options)
    runner = threading.Thread(target=worker.run)
    runner.start()
    runner.join(60)
    assert not runner.is_alive(), "the worker did not end"
    return settled


class WorkerTest(unittest.TestCase):
    def setUp(self):
        self.client = Client(URL)
        self.queue = f"python-{uuid.uuid4()}"
        self.addCleanup(self.client.close)

    def test_what_a_handler_does_decides(self):
        for body in ["ok", "fails", "dies", "later", "done"]:
            self.client.enqueue(self.queue, body)

        def handler(job):
            if job.body == "fails":
                raise ValueError("for a reason")
            if job.body == "dies":
                raise Dead("no use")
            if job.body == "later":
                raise RetryAfter(3600, "busy")
            if job.body == "done":
                return Done(result={"n": 1}, then=[{"queue": self.queue + "-next", "body": 2}])
            return None

        self.client.put_queue(self.queue, keep_acked_seconds=60)
        settled = work(self.queue, handler, 5, concurrency=5)
        outcomes = {told.message["body"]: told.outcome for told in settled}
        self.assertEqual(outcomes["ok"], "acked")
        self.assertEqual(outcomes["done"], "acked")
        by_body = {each["body"]: each for each in self.client.browse(self.queue)["messages"]}
        self.assertEqual(by_body["dies"]["state"], "dead")
        self.assertEqual(by_body["fails"]["lastFailure"]["reason"], "for a reason")
        self.assertEqual(by_body["later"]["state"], "delayed")
        self.assertEqual(self.client.queue(self.queue + "-next")["counts"]["ready"], 1)

    def test_what_cannot_be_settled_as_the_handler_said_fails_with_that_reason(self):
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no text")

        now = datetime.datetime.now()
        circle = []
        circle.append(circle)
        ends = {
            "then": lambda: Done(then=[{"queue": "q", "body": now}]),
            "result": lambda: Done(result=now),
            "circle": lambda: Done(result=circle),
            "refused": lambda: Done(then=[{"queue": "no/name", "body": 1}]),
            "exit": lambda: sys.exit(3),
            "stop": lambda: next(iter([])),
            "mute": lambda: (_ for _ in ()).throw(Mute()),
            "torn": lambda: (_ for _ in ()).throw(ValueError("\ud83d\0")),
            "delay": lambda: (_ for _ in ()).throw(RetryAfter(-1)),
            "ok": lambda: object(),
        }

        async def awaited(job):
            return ends[job.body]()

        def throws(_):
            raise ValueError("not for the worker to die of")

        handlers = {
            "thread": lambda job: ends[job.body](),
            "async": awaited,
            "lambda": lambda job: awaited(job),
        }
        for kind, handler in handlers.items():
            with self.subTest(kind):
                queue = f"{self.queue}-{kind}"
                self.client.put_queue(queue, keep_acked_seconds=60, max_attempts=1)
                self.client.enqueue_many(queue, [{"body": name} for name in ends])
                settled = work(queue, handler, len(ends), concurrency=4, on_error=throws)
                outcomes = {told.message["body"]: told.outcome for told in settled}
                self.assertEqual(outcomes, {**dict.fromkeys(ends, "dead"), "ok": "acked"})
                dead = self.client.browse(queue)["messages"]
                reasons = {each["body"]: each["lastFailure"]["reason"] for each in dead}
                for name in ("then", "result"):
                    self.assertEqual(reasons[name], "Object of type datetime is not JSON serializable")
                self.assertIn("Circular", reasons["circle"])
                self.assertIn("then/0/queue", reasons["refused"])
                self.assertEqual(reasons["exit"], "3")
                self.assertEqual(reasons["mute"], "Mute")
                self.assertEqual(reasons["torn"], "?")
                self.assertIn("delay_seconds is -1", reasons["delay"])

    def test_an_ack_that_goes_with_a_refused_lease_is_sent_by_itself(self):
        self.client.enqueue(self.queue, 1)

        def handler(job):
            self.client.delete_queue(self.queue)

        told = work(self.queue, handler, 1, on_error=lambda error: None)
        self.assertEqual([each.outcome for each in told], ["gone"])

    def test_a_group_of_an_ordered_queue_is_worked_on_in_its_order(self):
        self.client.put_queue(
            self.queue, ordering="group", retry={"strategy": "fixed", "delaySeconds": 0, "jitter": False}
        )
        messages = [{"group": group, "body": n} for n in (1, 2, 3, 4) for group in ("ada", "bob")]
        self.client.enqueue_many(self.queue, messages)
        worked = {"ada": [], "bob": []}
        both = threading.Barrier(2)

        def handler(job):
            group = job.message["group"]
            if not worked[group]:
                both.wait(30)  # groups go side by side
            worked[group].append((job.body, job.attempt))
            if group == "ada" and job.body == 2 and job.attempt < 3:
                raise ValueError("not yet")

        settled = work(self.queue, handler, 8, lambda told: told.outcome == "acked", concurrency=10)
        self.assertEqual(worked["bob"], [(1, 1), (2, 1), (3, 1), (4, 1)])
        self.assertEqual(worked["ada"], [(1, 1), (2, 1), (2, 2), (2, 3), (3, 1), (4, 1)])
        released = [told for told in settled if told.outcome == "released"]
        self.assertEqual({told.message["group"] for told in released}, {"ada"})
        self.assertEqual({told.message["body"] for told in released}, {3, 4})

    def test_a_stopped_worker_gives_back_what_waits_in_a_queue_with_one_order(self):
        self.client.put_queue(self.queue, ordering="queue")
        self.client.enqueue_many(self.queue, [{"body": n} for n in (1, 2, 3, 4)])
        worked = []

        async def handler(job):
            worked.append(job.body)
            if job.body == 1:
                raise Dead("no use")
            await asyncio.sleep(0.1)

        settled = work(self.queue, handler, 1, concurrency=4)
        self.assertEqual(worked, [1])
        self.assertEqual([told.outcome for told in settled], ["dead", "released", "released", "released"])
        self.assertEqual(self.client.queue(self.queue)["counts"]["ready"], 3)

    def test_none_is_the_json_null_in_bodies_and_results(self):
        self.client.put_queue(self.queue, keep_acked_seconds=60)
        ids = [self.client.enqueue(self.queue, n)["id"] for n in (1, 2, 3)]
        work(self.queue, lambda job: Done(result=None) if job.body == 1 else Done(), 2)
        receipt = self.client.lease(self.queue)["messages"][0]["receipt"]
        self.client.ack(self.queue, receipt, result=None)
        results = [self.client.message(self.queue, each).get("result", "none") for each in ids]
        self.assertEqual(results, [None, "none", None])

    def test_bytes_and_text_come_as_they_were(self):
        bodies = []
        self.client.enqueue_raw(self.queue, b"\x00\xff", "application/octet-stream")
        self.client.enqueue_raw(self.queue, "ä".encode(), "text/plain")
        work(self.queue, lambda job: bodies.append(job.body), 2)
        self.assertEqual(bodies, [b"\x00\xff", "ä"])

    def test_an_async_handler_and_many_hands(self):
        self.client.enqueue_many(self.queue, [{"body": n} for n in range(200)])
        together = {"now": 0, "most": 0}

        async def handler(job):
            together["now"] += 1
            together["most"] = max(together["most"], together["now"])
            await asyncio.sleep(0.01)
            together["now"] -= 1

        settled = work(self.queue, handler, 200, concurrency=20)
        self.assertEqual({told.outcome for told in settled}, {"acked"})
        self.assertTrue(2 <= together["most"] <= 20, together)

    def test_a_lease_lasts_while_the_handler_works(self):
        self.client.enqueue(self.queue, 1)
        settled = work(self.queue, lambda job: time.sleep(2), 1, lease_seconds=0.6)
        self.assertEqual([told.outcome for told in settled], ["acked"])
        self.assertEqual(settled[0].message["attempt"], 1)

    def test_a_handler_hears_that_its_lease_is_lost(self):
        self.client.enqueue(self.queue, 1)

        def handler(job):
            self.client.release(self.queue, job.message["receipt"])
            self.assertTrue(job.stopped.wait(30))

        told = work(self.queue, handler, 1, lease_seconds=0.6)[0]
        self.assertIn(told.outcome, ("leaseLost", "gone"))

    def test_sigterm_gives_back_what_is_in_hand(self):
        self.client.enqueue(self.queue, 1)
        program = (
            "import sys, time; from holdfast import Worker\n"
            "def handler(job): print('began', flush=True); job.stopped.wait(60); raise TimeoutError\n"
            "Worker(sys.argv[1], sys.argv[2], handler, grace_seconds=0).run()"
        )
        child = subprocess.Popen([sys.executable, "-c", program, URL, self.queue], stdout=subprocess.PIPE)
        self.addCleanup(child.stdout.close)
        child.stdout.readline()
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(30), 0)
        leased = self.client.lease(self.queue, wait_seconds=5)["messages"]
        self.assertEqual([each["attempt"] for each in leased], [1], "the attempt does not count")

    def test_sigterm_ends_a_worker_that_waits(self):
        self.client.put_queue(self.queue)
        program = (
            "import sys; from holdfast import Worker\n"
            "Worker(sys.argv[1], sys.argv[2], print, wait_seconds=60).run()"
        )
        child = subprocess.Popen([sys.executable, "-c", program, URL, self.queue])
        consumers = []
        while not consumers:  # it has asked for a message
            consumers = [each for each in self.waiting() if each]
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(30), 0)
        self.assertLess(time.monotonic() - began, 20)

    def waiting(self):
        with urllib.request.urlopen(URL + "/metrics") as answer:
            text = answer.read().decode()
        return [line for line in text.splitlines() if line == "holdfast_waiting_calls 1"]

    def test_a_refusal_says_why(self):
        with self.assertRaises(HoldfastError) as caught:
            self.client.enqueue(self.queue, 1, priority=99)
        error = caught.exception
        self.assertEqual((error.status, error.code, error.outcome), (400, "invalidRequest", "none"))
        self.assertEqual(error.errors[0]["pointer"], "/priority")
        self.assertFalse(error.passes)

    def test_arguments_that_cannot_work_are_refused_at_once(self):
        never = "http://127.0.0.1:9"
        for bad, sentence in [
            ({"concurrency": 0}, "concurrency is 0. Give a number from 1 to 1000."),
            ({"concurrency": 1001}, "concurrency is 1001."),
            ({"concurrency": 1.5}, "concurrency is 1.5. Give a whole number."),
            ({"concurrency": True}, "concurrency is True."),
            ({"lease_seconds": 0}, "lease_seconds is 0. Give a number from 0.1 to 43200."),
            ({"lease_seconds": "30"}, "lease_seconds is '30'."),
            ({"wait_seconds": 0}, "wait_seconds is 0. Give a number from 1 to 60."),
            ({"wait_seconds": 61}, "wait_seconds is 61."),
            ({"grace_seconds": -1}, "grace_seconds is -1."),
            ({"grace_seconds": float("nan")}, "grace_seconds is nan."),
            ({"timeout_seconds": 0}, "timeout_seconds is 0."),
            ({"queue": ""}, "queue is ''. Give the name of a queue."),
            ({"handler": None}, "handler is None. Give a function."),
            ({"on_settled": 1}, "on_settled is 1."),
            ({"on_error": "log"}, "on_error is 'log'."),
            ({"url": "nowhere"}, "nowhere is no address"),
        ]:
            with self.subTest(bad):
                with self.assertRaises(ValueError) as caught:
                    Worker(**{"url": never, "queue": "q", "handler": print, **bad})
                self.assertTrue(str(caught.exception).startswith(sentence), caught.exception)

    def test_no_service_is_no_answer(self):
        with self.assertRaises(HoldfastError) as caught:
            Client("http://127.0.0.1:9", retry_seconds=0).queues()
        self.assertEqual(caught.exception.code, "noAnswer")


if __name__ == "__main__":
    unittest.main()
