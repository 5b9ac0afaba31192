"""MeTube's way, in small, and not MeTube: a warm server asks yt_dlp what an address is, then forks a child per download
that asks again, downloads into a folder, and reports over a queue. There is no store, and no web server.

usage: metube_like.py AT_ONCE WARM_URL

Reads orders, a line of JSON each: {"urls": [...], "scratch": FOLDER}; answers {"bytes": N} when all are done.
"""

import asyncio
import json
import multiprocessing
import os
import sys

import yt_dlp

at_once, warm_url = sys.argv[1:]
fork = multiprocessing.get_context("fork")
quiet = {"quiet": True, "no_color": True, "noprogress": True, "no_warnings": True}


def extract(url):
    params = {**quiet, "extract_flat": True, "ignore_no_formats_error": True, "noplaylist": True}
    return yt_dlp.YoutubeDL(params=params).extract_info(url, download=False)


def child(url, folder, reports):
    def progress(status):
        keys = ("status", "filename", "downloaded_bytes", "total_bytes", "total_bytes_estimate", "speed", "eta")
        reports.put({key: status[key] for key in keys if key in status})

    params = {
        **quiet,
        "paths": {"home": folder, "temp": folder},
        "outtmpl": {"default": "media.%(ext)s"},
        "format": "bestvideo*+bestaudio/best",
        "merge_output_format": "mp4",
        "socket_timeout": 30,
        "progress_hooks": [progress],
    }
    reports.put({"done": yt_dlp.YoutubeDL(params=params).download([url])})


async def download(number, url, scratch, turn):
    loop = asyncio.get_running_loop()
    info = await loop.run_in_executor(None, extract, url)
    async with turn:
        folder = os.path.join(scratch, str(number))
        os.mkdir(folder)
        reports = fork.Queue()
        process = fork.Process(target=child, args=(info["webpage_url"], folder, reports))
        process.start()
        while "done" not in (report := await loop.run_in_executor(None, reports.get)):
            pass
        await loop.run_in_executor(None, process.join)
    if report["done"] != 0 or process.exitcode != 0:
        sys.exit("a download failed")
    (name,) = os.listdir(folder)
    return os.path.getsize(os.path.join(folder, name))


async def all_of(order):
    turn = asyncio.Semaphore(int(at_once))
    return sum(await asyncio.gather(*(download(n, url, order["scratch"], turn) for n, url in enumerate(order["urls"]))))


extract(warm_url)
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps({"bytes": asyncio.run(all_of(json.loads(line)))}), flush=True)
