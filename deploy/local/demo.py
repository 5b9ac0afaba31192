"""The demo of deploy/local/up: one small HLS stream through the whole service, from POST to a link that works.

usage: demo.py http://127.0.0.1:PORT

Makes the stream with ffmpeg, serves it on loopback at a walking pace, so that there is progress to see, and checks the
downloaded bytes against the SHA-256 that the service promised. Ends with 0 only if they match.
"""

import functools
import hashlib
import http.server
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

STREAM_SECONDS = 30
SEGMENT_SECONDS = 2
ORIGIN_BYTES_PER_SECOND = 400_000
DEADLINE_SECONDS = 180


class Origin(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, each answer at a limited speed, and logs nothing."""

    def copyfile(self, source, outputfile):
        while chunk := source.read(ORIGIN_BYTES_PER_SECOND // 20):
            outputfile.write(chunk)
            time.sleep(0.05)

    def log_message(self, format, *args):
        pass


def make_stream(folder):
    """A test picture with a tone, as HLS; the address of its playlist below the folder."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    command += ["-f", "lavfi", "-i", f"testsrc2=size=854x480:rate=25:duration={STREAM_SECONDS}"]
    command += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={STREAM_SECONDS}"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", str(25 * SEGMENT_SECONDS)]
    command += ["-c:a", "aac", "-b:a", "96k", "-f", "hls", "-hls_time", str(SEGMENT_SECONDS), "-hls_list_size", "0"]
    subprocess.run([*command, "demo.m3u8"], cwd=folder, check=True, timeout=120)
    return "demo.m3u8"


def call(method, url, body=None, timeout=40):
    """The JSON answer of the service; a problem is told in its own words."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {url}: {error.code} {error.read().decode(errors='replace')}")


def show(job):
    """One line about the job, drawn over the last one on a terminal."""
    progress = job["progress"] or {}
    percent = 100.0 if job["status"] == "completed" else progress.get("percent") or 0.0
    speed = progress.get("speed_bytes_per_second")
    bar = "#" * int(percent / 4)
    line = f"{job['stage'] or job['status']:<10} [{bar:<25}] {percent:5.1f} %"
    line += f"  {speed / 1e6:6.2f} MB/s" if speed else ""
    print(f"\r\033[K{line}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)


def watch(url):
    """Follows the job to its end and gives it back."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        job = call("GET", f"{url}?wait=5")
        show(job)
        if job["status"] not in ("queued", "running"):
            print(flush=True)
            return job
    sys.exit(f"the job has not ended after {DEADLINE_SECONDS} s")


def fetch_digest(url):
    """Downloads the link: its size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=60) as answer:
        while chunk := answer.read(1 << 16):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def main(api):
    # TERM unwinds, so that the folder goes and ffmpeg ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="haul-demo-") as folder:
        print(f"making a stream of {STREAM_SECONDS} s", flush=True)
        playlist = make_stream(folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Origin, directory=folder)) as origin:
            threading.Thread(target=origin.serve_forever, daemon=True).start()
            source = f"http://127.0.0.1:{origin.server_address[1]}/{playlist}"
            print(f"POST {api}/api/v1/downloads  {source}", flush=True)
            job = call("POST", f"{api}/api/v1/downloads", {"url": source, "format": "mp4", "filename": "demo"})
            address = f"{api}/api/v1/downloads/{job['id']}"
            job = watch(address)
            origin.shutdown()
    if job["status"] != "completed":
        sys.exit(f"the job ended as {job['status']}: {json.dumps(job['error'])}")
    link = call("GET", f"{address}/link")
    size, digest = fetch_digest(link["url"])
    if (size, digest) != (link["size_bytes"], link["sha256"]):
        sys.exit(f"the link gave {size} bytes with SHA-256 {digest}, promised were {link['size_bytes']} and {link['sha256']}")
    result = job["result"]
    print(f"{result['container']}, {result['width']}x{result['height']}, {result['vcodec']} and {result['acodec']}, "
          f"{result['duration_seconds']} s, {size} bytes; the bytes match the SHA-256 {digest}")
    print(f"link, until {link['expires_at']}:\n{link['url']}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
