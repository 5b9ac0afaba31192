"""The side of an RQ stack that takes requests, without a web server: it enqueues and waits until all have their links.

usage: rq_drive.py REDIS_URL

Reads orders, a line of JSON each: {"urls": [...], "keys": [...], "scratch": FOLDER}; answers {"bytes": N}.
"""

import json
import sys

import rq
import rq_job
from redis import Redis

# the wait for a result is one blocking read: the client's own limit of a few seconds would end it
queue = rq.Queue(connection=Redis.from_url(sys.argv[1], socket_timeout=None))
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    jobs = [
        queue.enqueue(rq_job.download, url, key, order["scratch"], job_timeout=3600)
        for url, key in zip(order["urls"], order["keys"])
    ]
    size = 0
    for job in jobs:
        # answers as soon as the result is there
        result = job.latest_result(timeout=3600)
        if result is None or result.type != result.Type.SUCCESSFUL:
            sys.exit(f"a job failed: {result and result.exc_string}")
        size += result.return_value[0]
    print(json.dumps({"bytes": size}), flush=True)
