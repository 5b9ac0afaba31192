"""Keeps to `Retry-After` (RFC 9110, 10.2.3), which yt-dlp does not read; a plugin of the plain command line, and loaded
by `server.py`.

A host that answered an error with it is not asked again before its time. A short wait is slept; a long one is not
worth the slot: until then the same error is given again without asking, so that the run ends. Either way one line on
standard error, `@R STATUS SECONDS`, tells the worker what was asked (read by `failure.rs`); the server tells it by an
event.
"""

import math
import sys
import time
from http.cookiejar import http2time
from urllib.parse import urlsplit

from yt_dlp.networking.common import RequestDirector
from yt_dlp.networking.exceptions import HTTPError

LONGEST_SLEEP = 10  # seconds; of the silence that a run may keep, only a part
LONGEST_WAIT = 3600  # seconds; what is asked beyond is not believed

send = RequestDirector.send
errors = {}  # host and port -> when it may be asked again, and its error


def seconds_asked(headers):
    """Both forms: seconds, and a date in one of the three formats of HTTP, by the clock of the host."""
    text = (headers.get('Retry-After') or '').strip()[:64]
    if text.isascii() and text.isdigit():
        asked = int(text)
    else:
        until = http2time(text)
        asked = until - (http2time(headers.get('Date') or '') or time.time()) if until else 0
    return min(max(asked, 0), LONGEST_WAIT)


def tell(status, seconds):
    sys.stderr.write(f'@R {status} {seconds}\n')


def send_in_time(self, request):
    host = urlsplit(request.url).netloc
    until, error = errors.get(host, (0, None))
    wait = until - time.monotonic()
    if wait > LONGEST_SLEEP:
        raise error
    time.sleep(max(wait, 0))
    try:
        return send(self, request)
    except HTTPError as error:
        asked = seconds_asked(error.response.headers)
        if asked:
            tell(error.status, math.ceil(asked))
            for asking in (host, urlsplit(error.response.url).netloc):
                errors[asking] = time.monotonic() + asked, error
        raise


RequestDirector.send = send_in_time
