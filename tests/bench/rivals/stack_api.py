"""The web side of a usual stack, tuned: FastAPI over uvicorn with uvloop and httptools, a process per core, Redis by hiredis.

usage: stack_api.py PROCESSES, with the settings in STACK: {"redis": URL, "store": {...}, "scratch": FOLDER, "limit": N}

POST /downloads {"url"}     the job that has this address, or a new one: 202 and its status
GET  /downloads/ID[?wait=S] its status; with `wait`, when it has ended or after so many seconds
POST /metadata {"url"}      what yt_dlp finds, kept in Redis for an hour
"""

import hashlib
import json
import os
import socket
import sys
import uuid
from contextlib import asynccontextmanager

import part
import redis
import redis.asyncio
import rq
import stack_job
import uvicorn
import yt_dlp
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, HttpUrl
from stack_job import LOCK_SECONDS, RESULT_SECONDS, ended_key, result_key, settings, status, status_key

METADATA_SECONDS = 3600
# RQ reads the description for people; it would hold the address a second time
ABOUT = {"job_timeout": 3600, "result_ttl": RESULT_SECONDS, "description": "", "retry": rq.Retry(max=3)}


@asynccontextmanager
async def lifespan(app):
    # a wait for an end is one blocking read: the client's own limit of a few seconds would end it
    app.redis = redis.asyncio.Redis.from_url(settings["redis"], max_connections=256, socket_timeout=None)
    # enqueueing takes a third of a millisecond: less than a thread of the pool would cost
    app.queue = rq.Queue(connection=redis.Redis.from_url(settings["redis"]))
    yield
    await app.redis.aclose()


app = FastAPI(lifespan=lifespan, openapi_url=None)


class Order(BaseModel):
    url: HttpUrl


async def limited(request: Request):
    """So many requests of a client per minute; nothing is asked when there is no limit."""
    if limit := settings.get("limit"):
        key = f"rate:{request.client.host}"
        pipe = app.redis.pipeline()
        pipe.incr(key).expire(key, 60, nx=True)
        if (await pipe.execute())[0] > limit:
            raise HTTPException(429, headers={"Retry-After": "60"})


def stored(text, code=200):
    """JSON that lies in Redis as a client gets it: nothing reads and writes it again."""
    return Response(text, code, media_type="application/json")


@app.post("/downloads", dependencies=[Depends(limited)])
async def submit(order: Order):
    url, job = str(order.url), uuid.uuid4().hex
    text = status(job, url, "queued")
    # whoever sets the key starts the job; everybody else is told its number, and has its result. The status comes first: whoever
    # finds the key finds that too
    pipe = app.redis.pipeline()
    pipe.set(status_key(job), text, ex=RESULT_SECONDS).set(result_key(url), job, nx=True, ex=LOCK_SECONDS)
    if not (await pipe.execute())[1]:
        known = await app.redis.get(result_key(url))
        if known and (theirs := await app.redis.get(status_key(known.decode()))):
            await app.redis.delete(status_key(job))
            return stored(theirs)
    app.queue.enqueue("stack_job.run", job, url, job_id=job, **ABOUT)
    return stored(text, 202)


@app.get("/downloads/{job}", dependencies=[Depends(limited)])
async def show(job: str, wait: float = 0):
    text = await app.redis.get(status_key(job))
    if text is None:
        raise HTTPException(404)
    if wait and not (b'"completed"' in text or b'"failed"' in text):
        await app.redis.xread({ended_key(job): "0"}, block=int(wait * 1000))
        text = await app.redis.get(status_key(job))
    return stored(text)


@app.post("/metadata", dependencies=[Depends(limited)])
async def metadata(order: Order):
    url = str(order.url)
    key = "metadata:" + hashlib.sha256(url.encode()).hexdigest()
    text = await app.redis.get(key)
    if text is None:
        text = json.dumps(await run_in_threadpool(extract, url))
        await app.redis.set(key, text, ex=METADATA_SECONDS)
    return stored(text)


def extract(url):
    with yt_dlp.YoutubeDL({"quiet": True, "no_warnings": True}) as ydl:
        info = ydl.sanitize_info(ydl.extract_info(url, download=False))
    return {key: info.get(key) for key in ("id", "extractor", "title", "duration", "webpage_url", "formats")}


@app.get("/healthz")
async def healthz():
    return {"redis": await app.redis.ping()}


def main():
    config = uvicorn.Config(
        "stack_api:app",
        port=0,
        workers=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=4096,
        timeout_keep_alive=75,  # by default 5 s: who asks again after as long may find that it was just hung up
    )
    sock = config.bind_socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    servers = uvicorn.supervisors.Multiprocess(config, [sock])
    part.end_with_input(lambda: [server.process for server in servers.processes])
    part.say("ready")
    part.say("127.0.0.1:%d" % sock.getsockname()[1])
    servers.run()


if __name__ == "__main__":
    main()
