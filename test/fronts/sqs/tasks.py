"""What the tests' Celery worker runs. Each run of a task is a line of the file RUNS: its name and time.

As a program it sends: 30 tasks, one that fails once, and one that is due in two seconds.
"""
import os
import time
from celery import Celery

app = Celery('tasks', broker=os.environ['BROKER'])
app.conf.broker_transport_options = {
    'region': 'us-east-1',
    'is_secure': False,
    'wait_time_seconds': 20,
    'visibility_timeout': 3,
}
app.conf.task_acks_late = True
app.conf.worker_enable_remote_control = False
app.conf.worker_prefetch_multiplier = 1


def note(name):
    with open(os.environ['RUNS'], 'a') as runs:
        runs.write(f'{name} {time.time()}\n')


@app.task
def work(number):
    time.sleep(0.1)
    note(f'work-{number}')


@app.task(bind=True)
def again(self):
    note(f'again-{self.request.retries}')
    if self.request.retries == 0:
        raise self.retry(countdown=1)


@app.task
def later():
    note('later')


if __name__ == '__main__':
    for number in range(30):
        work.delay(number)
    again.delay()
    later.apply_async(countdown=2)
    note('sent')
