"""The queue of RQ alone: a producer, or workers whose jobs are nothing.

usage: rq_queue.py REDIS_URL produce|drain|follow|hang JOBS fork|simple PROCESSES

`produce` queues so many and says at what ms it began; `drain` says "begun" and works, and whoever started it looks when all
is done; `follow` does all that come and says at what ms each begins; `hang` does not end what it has begun. `fork` is RQ's own Worker, a child
per job, `simple` its SimpleWorker. A worker does one job at a time: there are as many as PROCESSES says. What becomes of
the job of a dead one is looked at as often as RQ lets it be.
"""

import multiprocessing
import sys

import part
import rq
from redis import Redis

url, role, jobs, kind, processes = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
NAME = "bench"
# 60 s beside this are RQ's own; so it is 65 s until a job counts as abandoned, and an idle worker looks every 5 s
EAGER = {"job_monitoring_interval": 5, "worker_ttl": 20, "maintenance_interval": 5}


def queue():
    return rq.Queue(NAME, connection=Redis.from_url(url))


def produce():
    to = queue()
    # kept as long as the others keep theirs; done again when its worker dies
    about = {"timeout": 3600, "result_ttl": 86400, "retry": rq.Retry(max=3)}
    # told to be ready with its connection open
    to.connection.ping()
    part.say("ready")
    for _ in part.orders():
        began = part.now_ms()
        for done in range(0, jobs, 1000):
            some = [rq.Queue.prepare_data("part.noop", **about) for _ in range(min(1000, jobs - done))]
            to.enqueue_many(some)
        part.say(began)


def work(mode, begin):
    part.die_with_parent()
    part.mode = mode
    worker = {"fork": rq.Worker, "simple": rq.SimpleWorker}[kind]([queue()], log_job_description=False, **EAGER)
    begin.wait()
    worker.work(logging_level="ERROR")


def start(mode):
    fork = multiprocessing.get_context("fork")
    begin = fork.Event()
    workers = [fork.Process(target=work, args=(mode, begin)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    return workers, begin


def drain():
    workers, begin = start(None)
    part.say("ready")
    for _ in part.orders():
        part.say("begun")
        begin.set()
    for worker in workers:
        worker.kill()


def follow(mode):
    workers, begin = start(mode)
    begin.set()
    part.say("ready")
    for _ in part.orders():
        pass
    for worker in workers:
        worker.kill()


if __name__ == "__main__":
    {"produce": produce, "drain": drain, "follow": lambda: follow("say"), "hang": lambda: follow("hang")}[role]()
