"""The demo of deploy/local/up: one small HLS stream through the whole service, from the order to a link that works.

usage: demo.py http://127.0.0.1:PORT HAUL

Makes the stream with ffmpeg, serves it on loopback at a walking pace, so that there is progress to see, and has it ordered,
followed and saved by the command line HAUL, which checks the bytes against the SHA-256 that the service promised. Ends with 0
only if they match.
"""

import functools
import http.server
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time

STREAM_SECONDS = 30
SEGMENT_SECONDS = 2
ORIGIN_BYTES_PER_SECOND = 400_000
DEADLINE_SECONDS = 240


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


def haul(program, *words):
    """What the command line prints; its bar, and what goes wrong, go where ours go."""
    done = subprocess.run([program, *words], stdout=subprocess.PIPE, text=True, timeout=DEADLINE_SECONDS)
    if done.returncode != 0:
        sys.exit(f"haul {words[0]} ended with {done.returncode}")
    return done.stdout.strip()


def main(api, program):
    # TERM unwinds, so that the folder goes and ffmpeg ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    at = ["--server", api]
    with tempfile.TemporaryDirectory(prefix="haul-demo-") as folder:
        print(f"making a stream of {STREAM_SECONDS} s", flush=True)
        playlist = make_stream(folder)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Origin, directory=folder)) as origin:
            threading.Thread(target=origin.serve_forever, daemon=True).start()
            source = f"http://127.0.0.1:{origin.server_address[1]}/{playlist}"
            print(f"haul get --server {api} --filename demo {source}", flush=True)
            job = haul(program, "get", *at, "--filename", "demo", "--no-wait", source)
            haul(program, "save", *at, "--output", folder, job)
            origin.shutdown()
    result = json.loads(haul(program, "status", *at, "--json", job))["result"]
    print(f"{result['container']}, {result['width']}x{result['height']}, {result['vcodec']} and {result['acodec']}, "
          f"{result['duration_seconds']} s, {result['size_bytes']} bytes; the bytes match the SHA-256 {result['sha256']}")
    link = json.loads(haul(program, "link", *at, "--json", job))
    print(f"link, until {link['expires_at']}:\n{link['url']}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
