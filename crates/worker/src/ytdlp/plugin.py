"""What yt-dlp lacks: it keeps to `Retry-After` (RFC 9110, 10.2.3), to the extractors that it may use, and a cookie to its
host, and tells whose a site is. A plugin of the plain command line, and loaded by `server.py`.

A host that answered an error with it is not asked again before its time. A short wait is slept; a long one is not
worth the slot: until then the same error is given again without asking, so that the run ends. Either way one line on
standard error, `@R STATUS SECONDS`, tells the worker what was asked (read by `failure.rs`); the server tells it by an
event.

An extractor that asks for another one by name would have it join those that may be used, and addresses lead to it from
then on, to the generic one any address. It is lent to who asks for it, and to nobody else; one that is left out extracts
nothing for him either. The generic one stands last, wherever a list names it: it takes any address.

A cookie without a domain of its own goes to the host that it is of (RFC 6265, 5.3); Python would also send it below.

A download in more fragments than may be asked for is too large before the first one is: yt-dlp would begin with it.

What was found says, as `own_extractor`, which file of yt-dlp's has the extractor that took the address for the sake of its
host. There is none where it would take the same of any host: anybody may be behind that, whatever it leads to.
"""

import errno
import math
import os
import sys
import time
from http.cookiejar import DefaultCookiePolicy, http2time
from urllib.parse import urlsplit

from yt_dlp import YoutubeDL
from yt_dlp.downloader.fragment import FragmentFD
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.networking.common import RequestDirector
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import UnsupportedError

LONGEST_SLEEP = 10  # seconds; of the silence that a run may keep, only a part
LONGEST_WAIT = 3600  # seconds; what is asked beyond is not believed
MOST_FRAGMENTS = 50000  # of one download; as many questions as the guard lets one job ask (`Caps`)

send = RequestDirector.send
get_info_extractor = YoutubeDL.get_info_extractor
make_policy = DefaultCookiePolicy.__init__
add_default_info_extractors = YoutubeDL.add_default_info_extractors
prepare = FragmentFD._prepare_frag_download
extract = InfoExtractor.extract
sanitize_info = YoutubeDL.sanitize_info
errors = {}  # host and port -> when it may be asked again, and its error
taken = None  # the extractor that was the first to take an address, and that address


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


def lend(self, ie_key):
    is_allowed = ie_key in self._ies
    extractor = get_info_extractor(self, ie_key)
    if not is_allowed:
        self._ies.pop(ie_key, None)
        if self.params.get('allowed_extractors') not in (None, ['default']):
            extractor.extract = refuse
    return extractor


def refuse(url):
    raise UnsupportedError(url)


def add_in_order(self):
    add_default_info_extractors(self)
    if 'Generic' in self._ies:
        self._ies['Generic'] = self._ies.pop('Generic')


def make_strict(self, *args, **kwargs):
    """Of every jar: a library that follows redirects fills one of its own."""
    make_policy(self, *args, **kwargs)
    self.strict_ns_domain |= self.DomainStrictNonDomain


def prepare_in_bounds(self, ctx):
    if (ctx.get('total_frags') or 0) > MOST_FRAGMENTS:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))  # as where the launcher's limit is met
    prepare(self, ctx)


def extract_what_is_taken(self, url):
    global taken
    taken = taken or (self, url)
    return extract(self, url)


def own_extractor():
    extractor, url = taken or (None, '')
    if extractor is None or extractor.suitable(urlsplit(url)._replace(netloc='host.invalid').geturl()):
        return None
    return type(extractor).__module__.rpartition('.extractor.')[2].partition('.')[0]


def tell_owner(info, *args, **kwargs):
    told = sanitize_info(info, *args, **kwargs)
    return {**told, 'own_extractor': own_extractor()} if isinstance(told, dict) else told


RequestDirector.send = send_in_time
FragmentFD._prepare_frag_download = prepare_in_bounds
DefaultCookiePolicy.__init__ = make_strict
YoutubeDL.get_info_extractor = lend
YoutubeDL.add_default_info_extractors = add_in_order
InfoExtractor.extract = extract_what_is_taken
YoutubeDL.sanitize_info = staticmethod(tell_owner)
