"""Records what yt-dlp says of each kind of trouble, by both ways: `recorded.json`, which the tests of `failure.rs` read.

usage: python3 record.py > recorded.json

Run by hand, with the interpreter of the pinned yt-dlp, when another version is pinned. Every error is really raised by
yt-dlp: by a site on loopback, by the helpers that its extractors call, or by an extractor that says the words of the
source file that is named beside them. `stderr` is what the command line prints, `causes` what `server.py` tells.
"""

import contextlib
import errno
import http.server
import importlib.util
import io
import json
import os
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import traceback

import yt_dlp
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError, UserNotLive

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location('server', os.path.join(HERE, '..', 'server.py'))
server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(server)


class Site(http.server.BaseHTTPRequestHandler):
    """`/status/404` answers 404, `/cut.mp4` breaks off, `/gone.mp4` is there only for a first look, `/x.mp4` is whole."""

    seen = set()

    def do_GET(self):
        kind, _, rest = self.path[1:].partition('/')
        if kind == 'loop':
            return self.answer(302, [('Location', '/loop')])
        if kind == 'status':
            return self.answer(int(rest.split('?')[0]))
        if kind.startswith('gone'):
            if self.path in self.seen:
                return self.answer(int(kind[4:7]))
            self.seen.add(self.path)
        if kind == 'list.m3u8':
            return self.answer(200, body=b'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n/status/404\n#EXT-X-ENDLIST\n',
                               kind='application/x-mpegurl')
        if kind == 'drm.m3u8':
            key = b'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"\n'
            return self.answer(200, body=b'#EXTM3U\n' + key + b'#EXTINF:2,\n0.ts\n#EXT-X-ENDLIST\n',
                               kind='application/x-mpegurl')
        if kind == 'page':
            return self.answer(200, body=b'<!doctype html><title>x</title>', kind='text/html')
        if kind == 'empty.mp4':
            return self.answer(200)
        self.answer(200, body=b'\0\0\0\x18ftypmp42' + bytes(9000), length=90000 if kind == 'cut.mp4' else None)

    do_HEAD = do_GET

    def answer(self, status, headers=(), body=b'', kind='video/mp4', length=None):
        self.send_response(status)
        for name, value in [('Content-Type', kind), ('Content-Length', str(length or len(body))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        if self.command == 'GET':
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_):
        pass


class SayIE(InfoExtractor):
    """Raises what the scenario says."""

    IE_NAME = 'site'
    _VALID_URL = r'https?://say\.example/(?P<id>\w+)'
    raises = None

    def _real_extract(self, url):
        return type(self).raises(self)


def saying(text, expected=True):
    def say(ie):
        raise ExtractorError(text, expected=expected)
    return say


def raising(error):
    def say(ie):
        raise error
    return say


def no_formats(reason):
    return lambda ie: ie.raise_no_formats(reason, expected=True)


def met(status, text):
    """An extractor that reads the body of an error, and says what it means."""
    def say(ie):
        try:
            ie._download_webpage(f'{site}/status/{status}', 'x')
        except ExtractorError as error:
            raise ExtractorError(text, cause=error.cause, expected=True)
    return say


def run(url, raises=None, argv=(), sabotage=None, download=False):
    """What it prints, and what it tells."""
    line = ['--ignore-config', '--no-cache-dir', '--abort-on-error', '--abort-on-unavailable-fragments', '--retries', '1',
            '--fragment-retries', '1', '--extractor-retries', '0', '--socket-timeout', '2', '--color', 'never',
            '--fixup', 'never', '--ffmpeg-location', os.getcwd(), '--output', 'media.%(ext)s', '--quiet', '--no-progress',
            '--format', 'b*', *argv]
    printed = io.StringIO()
    SayIE.raises = raises
    # the API's way leaves the rest of a failed download in the folder
    for name in os.listdir('.'):
        os.unlink(name)
    if sabotage:
        sabotage()
    with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(io.StringIO()):
        params = yt_dlp.parse_options(line).ydl_opts
        with yt_dlp.YoutubeDL({**params, 'ignoreerrors': False}) as ydl:
            ydl._out_files.__dict__['error'] = printed
            ydl.add_info_extractor(SayIE())
            ydl._ies = {'Say': ydl._ies.pop('Say'), **ydl._ies}
            try:
                ydl.extract_info(url, download=download)
                raise SystemExit(f'{url} went well')
            except yt_dlp.utils.DownloadError as error:
                told = server.describe(error)
            except Exception as error:
                traceback.print_exc(file=printed)
                told = server.describe(error)
    return printed.getvalue(), told['causes']


def full_disk():
    """What is written to the file of the download goes to a device that is full."""
    os.symlink('/dev/full', 'media.mp4.part')


def over_quota():
    """No quota can be had here: the words are the kernel's."""
    real = yt_dlp.downloader.http.HttpFD.sanitize_open

    def opened(self, name, mode):
        yt_dlp.downloader.http.HttpFD.sanitize_open = real
        stream, name = real(self, name, mode)
        stream.close()

        class Full(io.RawIOBase):
            def write(self, _):
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return Full(), name

    yt_dlp.downloader.http.HttpFD.sanitize_open = opened


def small_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))


def any_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


SAY = 'http://say.example/x'

# what extractors say, and the file in which they say it
WORDS = [
    ('drm_protected', 'extractor/unsupported.py', 'The requested site is known to use DRM protection. It will NOT be supported.'),
    ('geo_blocked', 'extractor/youku.py', 'Youku said: Sorry, this video is available in China only'),
    ('geo_blocked', 'extractor/mixcloud.py', 'Track unavailable in your country due to licensing restrictions'),
    ('geo_blocked', 'extractor/common.py', 'Access to this webpage has been blocked by decision of the Russian government.'),
    ('site_rate_limited', 'extractor/bilibili.py', 'You have exceeded the rate limit. Try again later'),
    ('site_blocked', 'extractor/bilibili.py', 'Request is blocked by server (412), please wait and try later.'),
    ('site_blocked', 'extractor/bilibili.py', 'Request is rejected by server (352)'),
    ('site_blocked', 'extractor/tiktok.py', 'Your IP address is blocked from accessing this post'),
    ('site_blocked', 'extractor/tiktok.py', 'Fresh cookies (not necessarily logged in) are needed'),
    ('site_blocked', 'extractor/udemy.py', 'Udemy asks you to solve a CAPTCHA. Login with browser, solve CAPTCHA, then export cookies and pass cookie file to yt-dlp with --cookies.'),
    ('site_blocked', 'extractor/vimeo.py', 'This request has been blocked due to its TLS fingerprint. Install a required impersonation dependency if possible'),
    ('site_blocked', 'extractor/youtube/_video.py', "Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser or --cookies for the authentication"),
    ('network', 'extractor/niconico.py', 'Service temporarily unavailable'),
    ('not_yet_available', 'extractor/tver.py', 'This program is scheduled to start at 2026-12-01 12:00 JST'),
    ('not_yet_available', 'extractor/twitter.py', 'Twitter Space ended but not downloadable yet'),
    ('not_yet_available', 'extractor/eplus.py', 'This event has ended, and the archive will be available shortly'),
    ('not_yet_available', 'extractor/reddit.py', 'This video is processing'),
    ('not_yet_available', 'extractor/ard.py', 'This video is only available after 20:00'),
    ('not_yet_available', 'extractor/huya.py', 'Video is offline'),
    ('age_restricted', 'extractor/afreecatv.py', 'Only users older than 19 are able to watch this video'),
    ('age_restricted', 'extractor/pandatv.py', 'Adult verification is required for this stream'),
    ('private', 'extractor/iwara.py', 'Private video. Login if you have permissions to watch'),
    ('login_required', 'extractor/weverse.py', 'Your account does not have access to this content'),
    ('login_required', 'extractor/twitter.py', 'You are not authorized to view this protected tweet'),
    ('login_required', 'extractor/roosterteeth.py', 'Show is only available for FIRST members'),
    ('login_required', 'extractor/zattoo.py', 'An account is needed to access this media'),
    ('login_required', 'extractor/bilibili.py', 'This is a supporter-only video: plan'),
    ('login_required', 'extractor/vimeo.py', 'This video is protected by a password, use the --video-password option'),
    ('login_required', 'extractor/mtv.py', 'This video is only available for users of participating TV providers. Use --ap-mso to specify Adobe Pass Multiple-system operator Identifier'),
    ('unavailable', 'extractor/twitter.py', 'Broadcast no longer exists'),
    ('unavailable', 'extractor/tiktok.py', 'This livestream has ended'),
    ('unavailable', 'extractor/vbox7.py', 'Video is unavailable'),
    ('unavailable', 'extractor/yapfiles.py', 'Video 1 has been removed'),
    ('unsupported_url', 'extractor/tumblr.py', 'No video could be found in this post'),
    ('unsupported_url', 'extractor/yahoo.py', 'This article does not contain a video'),
    ('unsupported_url', 'extractor/flickr.py', 'not a video'),
    ('unsupported_url', 'extractor/unsupported.py', 'This website is not supported and will not be supported.'),
    ('internal', 'extractor/ivi.py', 'pycryptodomex not found. Please install'),
    ('extractor_error', 'extractor/sohu.py', "Sohu said: There's something wrong in the video."),
]


def main():
    listening = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Site)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    global site
    site = f'http://127.0.0.1:{listening.server_address[1]}'
    os.chdir(tempfile.mkdtemp(prefix='record-'))
    certificate = tempfile.mkdtemp(prefix='record-tls-') + '/one.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=site', '-days', '1', '-keyout',
                    certificate, '-out', certificate + '.crt'], check=True, capture_output=True)
    secured = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate + '.crt', certificate)
    secured.socket = context.wrap_socket(secured.socket, server_side=True)
    threading.Thread(target=secured.serve_forever, daemon=True).start()
    tls = f'https://127.0.0.1:{secured.server_address[1]}'

    rows = []

    def record(code, name, url=SAY, **how):
        stderr, causes = run(url, **how)
        # the frames of a traceback name folders of this machine
        stderr = ''.join(line for line in stderr.splitlines(True) if not line.startswith('  '))
        causes = [{field: value for field, value in cause.items() if value is not None} for cause in causes]
        text = json.dumps({'name': name, 'code': code, 'stderr': stderr, 'causes': causes})
        for server, port in ((listening, '8000'), (secured, '8443')):
            text = text.replace(str(server.server_address[1]), port)
        rows.append(text)

    for status, code in [(401, 'login_required'), (403, 'site_blocked'), (404, 'unavailable'), (408, 'network'),
                         (410, 'unavailable'), (429, 'site_rate_limited'), (451, 'geo_blocked'), (500, 'network'),
                         (503, 'network'), (400, 'extractor_error')]:
        record(code, f'a page answers {status}', f'{site}/status/{status}?key=sesame')
    record('network', 'a redirect that never ends', f'{site}/loop')
    record('network', 'nobody listens', 'http://127.0.0.1:1/x')
    record('network', 'a name that nobody has', 'http://no-such-host.invalid/x')
    record('network', 'TLS with somebody who has none', f'{site.replace("http:", "https:")}/x')
    record('network', 'a certificate that nobody vouches for', f'{tls}/x.mp4')
    record('internal', 'a proxy that is not there', f'{site}/x.mp4', argv=['--proxy', 'http://127.0.0.1:1'])
    record('unsupported_url', 'a page without media', f'{site}/page')
    record('unsupported_url', 'a page without media, for an extractor that is left out', f'{site}/page',
           argv=['--use-extractors', 'youtube'])
    record('unsupported_url', 'a scheme that nobody knows', 'foo://x.example/x')
    record('unsupported_url', 'a file', 'file:///etc/passwd')
    record('drm_protected', 'a playlist with the keys of DRM', f'{site}/drm.m3u8', download=True)
    record('format_unavailable', 'a format that is not there', f'{site}/x.mp4', argv=['--format', '999'])
    record('extractor_error', 'no formats', raises=lambda ie: {'id': 'x', 'title': 'x', 'formats': []})

    record('network', 'a download that is cut', f'{site}/cut.mp4', download=True)
    record('corrupt_media', 'a download of nothing', f'{site}/empty.mp4', download=True)
    for status, code in [(404, 'corrupt_media'), (410, 'corrupt_media'), (403, 'site_blocked'), (503, 'network'),
                         (429, 'site_rate_limited')]:
        record(code, f'a download is answered {status}', f'{site}/gone{status}.mp4', download=True)
    record('corrupt_media', 'a fragment is not there', f'{site}/list.m3u8', download=True)
    record('disk_full', 'a full disk', f'{site}/x.mp4', sabotage=full_disk, download=True)
    record('disk_full', 'over the quota', f'{site}/x.mp4', sabotage=over_quota, download=True)
    small_files()
    record('too_large', 'a file over the limit', f'{site}/x.mp4', download=True)
    any_files()

    record('login_required', 'raise_login_required', raises=lambda ie: ie.raise_login_required())
    record('geo_blocked', 'raise_geo_restricted', raises=lambda ie: ie.raise_geo_restricted())
    record('geo_blocked', 'raise_geo_restricted in its own words',
           raises=lambda ie: ie.raise_geo_restricted('This video is only available in Sweden', countries=['SE']))
    record('geo_blocked', 'raise_geo_restricted in words of another kind',
           raises=lambda ie: ie.raise_geo_restricted('This video is restricted'))
    record('drm_protected', 'report_drm', raises=lambda ie: ie.report_drm('x'))
    record('not_yet_available', 'UserNotLive', raises=raising(UserNotLive(video_id='x')))
    record('site_blocked', 'raise_no_formats', raises=no_formats('All player responses are invalid. Your IP is likely being blocked by Youtube'))
    record('private', 'what an answer of 403 means to the site', raises=met(403, 'This video is private'))
    record('unavailable', 'an answer of 404 in unknown words', raises=met(404, 'Failed to parse'))
    record('invalid_media', 'no memory', raises=raising(MemoryError()))
    record('extractor_error', 'a key that is not there', raises=raising(KeyError('private')))
    record('extractor_error', 'a type that is not so', raises=raising(TypeError("'NoneType' object is not subscriptable")))
    record('extractor_error', 'not foreseen', raises=saying('Unable to extract private key', expected=False))
    for code, name, text in WORDS:
        record(code, name, raises=saying(text))
    print('[\n' + ',\n'.join(rows) + '\n]')


if __name__ == '__main__':
    main()
