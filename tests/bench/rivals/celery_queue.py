"""The queue of Celery alone: a producer, or a worker whose tasks are nothing.

usage: celery_queue.py REDIS_URL produce|drain|follow|hang JOBS prefork|threads PROCESSES

The roles are those of rq_queue.py. A task is acknowledged when it has ended, and goes back when its process dies
(acks_late, reject_on_worker_lost), as with the other queues; results are kept in Redis as theirs are. With `threads`,
PROCESSES is how many tasks run at once.
"""

import os
import sys
import threading

import part
from celery import Celery, signals

url, role, jobs, pool, processes = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
NAME = "bench"

app = Celery(NAME, broker=url, backend=url)
app.conf.update(
    broker_connection_retry_on_startup=True,
    # a task that runs longer is run twice: its default of an hour is that long for a reason
    broker_transport_options={"visibility_timeout": 30},
    result_backend_transport_options={"visibility_timeout": 30},
    result_expires=86400,
    task_acks_late=True,
    task_default_queue=NAME,
    task_reject_on_worker_lost=True,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    worker_disable_rate_limits=True,
    worker_enable_remote_control=False,
    # one task each, when it matters who has which; many, when it matters how fast they go
    worker_prefetch_multiplier=64 if role == "drain" else 1,
    worker_redirect_stdouts=False,
)
noop = app.task(part.noop, name="noop")


def produce():
    with app.producer_pool.acquire(block=True) as producer:
        producer.connection.ensure_connection()
        part.say("ready")
        for _ in part.orders():
            began = part.now_ms()
            for _ in range(jobs):
                noop.apply_async(producer=producer)
            part.say(began)


def work():
    part.mode = {"follow": "say", "hang": "hang"}.get(role)
    ready = threading.Event()
    consumers = []

    @signals.worker_ready.connect(weak=False)
    def is_ready(sender, **_):
        consumers.append(sender)
        ready.set()

    def begin():
        # the loop may take a while to come to it
        part.say("begun")
        consumers[0].add_task_queue(NAME)

    def obey():
        ready.wait()
        part.say("ready")
        for _ in part.orders():
            if role == "drain":
                consumers[0].call_soon(begin)
        os._exit(0)

    threading.Thread(target=obey, daemon=True).start()
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]
    # what waits is not begun before it is told
    to = "nothing" if role == "drain" else NAME
    app.worker_main(["--quiet", "worker", "--pool", pool, "--concurrency", processes, "--queues", to, *quiet])


if __name__ == "__main__":
    produce() if role == "produce" else work()
