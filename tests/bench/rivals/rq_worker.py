"""A warmed RQ worker: yt_dlp is imported, its extractors have matched an address once, the S3 client is there.

usage: rq_worker.py fork|simple REDIS_URL STORE WARM_URL

`fork` is RQ's own Worker, a child per job; `simple` its SimpleWorker, which runs jobs in its own process.
"""

import json
import sys

import part
import rq
import rq_job
import yt_dlp
from redis import Redis

mode, redis_url, store, warm_url = sys.argv[1:]
rq_job.open_store(json.loads(store))
with yt_dlp.YoutubeDL(rq_job.options("/nonexistent")) as ydl:
    ydl.extract_info(warm_url, download=False)

part.end_with_input()
connection = Redis.from_url(redis_url)
kind = {"fork": rq.Worker, "simple": rq.SimpleWorker}[mode]
worker = kind([rq.Queue(connection=connection)], connection=connection, log_job_description=False)
part.say("ready")
worker.work(logging_level="ERROR")
