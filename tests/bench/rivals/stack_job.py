"""The job of the whole service: a download whose status everybody can ask for while it runs.

Its status is kept as the JSON that a client gets. A stream beside it tells when it has ended, to whoever waits.
"""

import hashlib
import json
import os
import time

import rq
import rq_job

# settings of a process, as the benchmark gives them; a worker reads them before it forks
settings = json.loads(os.environ["STACK"])
RESULT_SECONDS = 86400
# an address is asked for once while a job of it may run
LOCK_SECONDS = 3600
# a progress hook is called for every block
EVERY_SECONDS = 0.5


def status_key(job):
    return f"job:{job}"


def ended_key(job):
    return f"ended:{job}"


def result_key(url):
    return "result:" + hashlib.sha256(url.encode()).hexdigest()


def status(job, url, state, **more):
    return json.dumps({"id": job, "url": url, "status": state, "progress": None, "result": None, "error": None} | more)


def run(job, url):
    current, said = rq.get_current_job(), 0.0
    redis = current.connection

    def progress(about):
        nonlocal said
        now = time.monotonic()
        if now - said >= EVERY_SECONDS:
            said = now
            keys = ("downloaded_bytes", "total_bytes", "speed", "eta")
            how_far = {key: about.get(key) for key in keys}
            redis.set(status_key(job), status(job, url, "running", progress=how_far), ex=RESULT_SECONDS)

    def end(text, lives):
        pipe = redis.pipeline()
        pipe.set(status_key(job), text, ex=RESULT_SECONDS)
        pipe.xadd(ended_key(job), {"ended": 1}).expire(ended_key(job), RESULT_SECONDS)
        pipe.expire(result_key(url), lives)
        pipe.execute()

    redis.set(status_key(job), status(job, url, "running"), ex=RESULT_SECONDS)
    try:
        size, link = fetch(job, url, progress)
    except Exception as why:
        # with retries left, RQ runs it again; after the last, the next who asks has it tried anew
        if not current.retries_left:
            end(status(job, url, "failed", error=str(why)), 0)
        raise
    end(status(job, url, "completed", result={"url": link, "size_bytes": size}), RESULT_SECONDS)


def fetch(job, url, progress):
    if settings.get("pretend"):
        # what is measured is what a finished job leaves in Redis
        return 104857600, f"{settings['store']['endpoint_url']}/media/{job}?X-Amz-Signature={'0' * 64}"
    return rq_job.download(url, f"stack/{job}", settings["scratch"], [progress])
