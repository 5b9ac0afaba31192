"""A warmed RQ worker: yt_dlp is imported, its extractors have matched an address once, the S3 client is there.

usage: rq_worker.py fork|simple REDIS_URL STORE WARM_URL

`fork` is RQ's own Worker, a child per job; `simple` its SimpleWorker, which runs jobs in its own process. It ends when
its standard input does, so that it does not outlive a benchmark that was killed.
"""

import json
import os
import sys
import threading

import rq
import rq_job
import yt_dlp
from redis import Redis

mode, redis_url, store, warm_url = sys.argv[1:]
rq_job.open_store(json.loads(store))
with yt_dlp.YoutubeDL(rq_job.options("/nonexistent")) as ydl:
    ydl.extract_info(warm_url, download=False)


def end_with_input():
    # not sys.stdin: a child that is forked meanwhile would inherit its lock
    while os.read(0, 4096):
        pass
    os._exit(1)


threading.Thread(target=end_with_input, daemon=True).start()
connection = Redis.from_url(redis_url)
kind = {"fork": rq.Worker, "simple": rq.SimpleWorker}[mode]
worker = kind([rq.Queue(connection=connection)], connection=connection, log_job_description=False)
print("ready", flush=True)
worker.work(logging_level="ERROR")
