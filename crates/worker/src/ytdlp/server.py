"""Warm yt-dlp: one interpreter in which everything is loaded, and a forked child for each job.

    worker ══ socket ══► job ──► deno, ...        each job has a guard and a process of its own
                          ▲ fork
                        guard                     ends everything of the job, whatever it does
                          ▲ fork
                        server                    loads, then only accepts and forks

Arguments: the yt-dlp program; and where jobs get namespaces of their own, the port at which each finds its guard there.
The working directory is private to the worker; the socket `socket` is made in it. When
the server listens, it writes one line of JSON to standard output: `{"version": ..., "files": [...]}`, the files being
those that change when yt-dlp is replaced. From then on nothing of it is said on standard output.

On a connection each line is an object with one key. The job says `hello`, along with its listener if it has namespaces,
and is told
    {"dir": folder,
     "limits": {"data": bytes or null, "file_size": bytes or null, "processes": how many or null,
                "cpu": [seconds of a look, seconds of all]},
     "rules": {...} or null, "environment": {...}}
where the rules are those of `sandbox/rules.rs`, and the environment names the proxy by which it reaches the net. When all
of that holds it says `confined`, and only then is it told what it is to do,
    {"argv": [...]}
the arguments being those of the command line (`command.rs`). Should it not be able to confine itself, it says `unconfined`
(instead of `hello`, where it gets no namespaces) and ends: nobody has given it an address. It answers with `info`, or
`error`. Then it may be told
    {"downloads": [{"dir": folder, "argv": [...]}, ...]}
to download the very thing that it has found, all at once, and says `begin`, `progress`, `file`, and at last `done` or
`error`. In between come `asked` (a site's `Retry-After`) and `log`. The guard says `end` when the job has ended. The
connection closes when nothing of the job is left. Should the worker close it, the job is killed, with all that it has
started.
"""

import ctypes
import fcntl
import gc
import importlib.util
import io
import json
import math
import os
import re
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import zipfile

PROGRESS = ('status', 'downloaded_bytes', 'total_bytes', 'total_bytes_estimate', 'fragment_index', 'fragment_count')
PROGRESS_EVERY = 0.5  # seconds
MOST_LOGGED = 100  # lines of one job
LONGEST_TEXT = 2000  # characters of a message
LONGEST_REQUEST = 1 << 20  # bytes
MOST_CAUSES = 10  # of one error
MOST_FRAGMENTS = 20000  # of one format, that anybody but yt-dlp itself takes
SPARE_BYTES = 16 << 20  # of the memory
UNTOLD = ('requested_formats', 'requested_downloads')  # they stand among the formats
WITHIN = ('YTDLP_NO_PLUGINS', 'LANG', 'PATH')  # of the environment, what a job keeps

# What the first extraction would have to load: a playlist, a manifest, a file, a page.
REHEARSED = (
    ('application/x-mpegurl', '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=2x2,CODECS="avc1.42c01e,mp4a.40.2"\na\n'
                              '#EXT-X-STREAM-INF:BANDWIDTH=2\nb\n'),
    ('application/dash+xml', '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
                             'mediaPresentationDuration="PT8S"><Period><AdaptationSet mimeType="video/mp4">'
                             '<SegmentTemplate timescale="1" duration="2" media="$Number$" initialization="i"/>'
                             '<Representation id="1" bandwidth="1" width="2" height="2" codecs="avc1.42c01e"/>'
                             '</AdaptationSet></Period></MPD>'),
    ('video/mp4', ''),
    ('text/html', '<!doctype html><title>x</title><video src="x.mp4"></video>'),
    ('text/html', '<!doctype html><title>x</title><p>x</p>'),
)

sites = None  # the classes of all sites, once they are known
memory = resource.getrlimit(resource.RLIMIT_DATA)  # all that a job may have

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38  # prctl(2)
SECCOMP_MODE_FILTER = 2
CAPABILITIES = 0x20080522  # capset(2), version 3
# landlock(7); the numbers of the calls are the same everywhere
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH, NET_PORT, CONNECT_TCP = 1, 2, 2
REFER, SCOPE_SIGNAL = 1 << 13, 2
QUIETLY = 1  # what is refused to us is no record of the audit
NAMESPACES = 0x10000000 | 0x40000000 | 0x20000000 | 0x08000000 | 0x04000000  # of users, net, processes, IPC, names
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # netdevice(7)


# ---- the server ------------------------------------------------------------------------------------------------------

def serve(program, port=None):
    """Loads everything, says so, and gives each connection a guard. Never returns."""
    # the API would load plugins by itself, from wherever it finds them
    os.environ['YTDLP_NO_PLUGINS'] = '1'
    if zipfile.is_zipfile(program):
        sys.path.insert(0, program)
    warm_up()
    gc.collect()
    gc.freeze()  # or the first collection of each child would copy all pages
    if len(os.listdir('/proc/self/task')) != 1:
        sys.exit('there are threads: a fork would lose them in the middle of something')
    listener = socket.socket(socket.AF_UNIX)
    listener.bind('socket')  # by its short name: a path of more than 107 bytes is none for a socket
    listener.listen(128)
    os.chdir('/')
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guards leave no zombies
    tell_ready(program)
    while True:
        connection, _ = listener.accept()
        try:
            is_guard = os.fork() == 0
        except OSError:  # no process, or no memory, just now: who finds the connection closed takes another way
            is_guard = False
        if is_guard:
            listener.close()
            guard(connection, port)
        connection.close()


def warm_up():
    """Does once what every run would do: imports, the patterns of all sites, the way of a format through yt-dlp."""
    global yt_dlp, plugin, Tell, sites
    import yt_dlp
    from yt_dlp import globals as state
    from yt_dlp.networking import Response
    state.plugin_dirs.value = []
    state.all_plugins_loaded.value = True  # and is not asked again
    spec = importlib.util.spec_from_file_location('plugin', os.path.abspath('plugin.py'))
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
    Tell = teller()

    ydl = yt_dlp.YoutubeDL(settings(['--ignore-config', '--no-cache-dir', '--ffmpeg-location', os.getcwd()], Events(None))[0])
    for site in ydl._ies.values():
        site.suitable('')
    if all(isinstance(site, type) for site in ydl._ies.values()):
        sites = dict(ydl._ies)
    ydl._request_director  # imports the handlers; they open nothing before they are used
    import yt_dlp.downloader.dash, yt_dlp.downloader.hls, yt_dlp.downloader.http  # noqa: E401
    # whole extractions, last, so that the patterns they use are those that are still remembered
    for kind, body in REHEARSED:
        headers = {'Content-Type': kind, 'Last-Modified': 'Wed, 01 Jan 2020 00:00:00 GMT'}
        ydl.urlopen = lambda request: Response(io.BytesIO(body.encode()), 'http://rehearsal.invalid/x', headers)
        try:
            found = ydl.extract_info('http://rehearsal.invalid/x', download=False)
            ydl.sanitize_info(found)
        except yt_dlp.utils.YoutubeDLError:
            pass  # most likely the page without media
    # so are those of the command line
    settings(['--ignore-config', '--color', 'never', '--downloader', 'native', '--retry-sleep', 'http:exp=1:20'], Events(None))
    share_trust()


def share_trust():
    """Reads the trusted certificates once, which would be half the work of a small job; each job begins with them.

    Only settings are shared: no connection was made with them, and OpenSSL takes fresh chance after a fork.
    """
    from yt_dlp.networking import common
    usual = {'verify': True, 'legacy_support': False, 'use_certifi': True}
    try:
        make = common.make_ssl_context
        ready = [make(**usual)]
    except (AttributeError, TypeError):
        return  # another yt-dlp: each job reads them by itself

    def make_once(**asked):
        # whoever asks again may have changed the first
        return ready.pop() if ready and asked == usual else make(**asked)

    common.make_ssl_context = make_once


def tell_ready(program):
    from yt_dlp import version
    files = [program] if zipfile.is_zipfile(program) else [program, version.__file__]
    sys.stdout.write(json.dumps({'version': version.__version__, 'files': files}) + '\n')
    sys.stdout.flush()


# ---- the guard -------------------------------------------------------------------------------------------------------

def guard(connection, port):
    """Starts the job, waits for its end or that of the connection, and leaves nothing of it. Never returns.

    A process and not a thread of the job: one pattern of an extractor can hold the interpreter for minutes. It adopts
    whatever loses its parent, so that no process escapes by leaving its session.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        listener = port and go_apart(int(port))
    except OSError as error:
        give_up(Events(connection), 'namespaces', error)
    are_everybody = keep_signals_in()
    alive, held = os.pipe()
    job = os.fork()
    if job == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.close(held)
        if not select.select([alive], [], [], 0)[0]:  # or it was killed before we asked to be killed with it
            run(connection, listener)
        os._exit(1)
    if listener:
        listener.close()
    watched = select.poll()
    watched.register(os.pidfd_open(job), select.POLLIN)
    watched.register(connection, select.POLLRDHUP)
    watched.poll()
    ended = os.waitid(os.P_PID, job, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    try:
        os.killpg(job, signal.SIGKILL)  # it is not reaped yet, so that the number is still its own
    except ProcessLookupError:
        pass  # it was ended before it had a session of its own
    end_descendants(are_everybody)
    if ended:
        how = 'code' if ended.si_code == os.CLD_EXITED else 'signal'
        Events(connection).tell('end', {how: ended.si_status}, begin='\n')
    os._exit(0)


def go_apart(port):
    """Enters namespaces of its own, of which the job will be the first process; what listens there for the job's guard.

    As `crates/jail` does for other programs (`space.rs`).
    """
    user, group = os.getuid(), os.getgid()
    called(libc.unshare(NAMESPACES))
    for name, text in (('setgroups', 'deny'), ('uid_map', f'{user} {user} 1'), ('gid_map', f'{group} {group} 1')):
        file = os.open(f'/proc/self/{name}', os.O_WRONLY)  # to cut it first would be another right
        os.write(file, text.encode())
        os.close(file)
    listener = socket.socket()
    fcntl.ioctl(listener, SIOCSIFFLAGS, struct.pack('16sh22x', b'lo', IFF_UP))
    listener.bind(('127.0.0.1', port))
    listener.listen(128)
    return listener


def keep_signals_in():
    """Keeps the guard's signals among its descendants; whether they are everybody now. See `crates/jail`, `descendants.rs`."""
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    try:
        is_kept_in = restrict((REFER, 0, SCOPE_SIGNAL), [('/', REFER)], None)
    except OSError:
        is_kept_in = False
    try:
        os.kill(os.getppid(), 0)  # the proof, before anything is sent to everybody
    except PermissionError:
        return is_kept_in
    return False


def end_descendants(are_everybody):
    """Kills and reaps until there is no child; the children of who was killed have become ours."""
    while True:
        try:
            if are_everybody:
                os.kill(-1, signal.SIGKILL)  # between two forks of whoever forks and ends for ever
            for child in [] if are_everybody else children():
                os.kill(child, signal.SIGKILL)  # still ours: nobody else reaps
        except ProcessLookupError:
            pass  # nobody
        try:
            os.waitpid(-1, 0)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


def children():
    for thread in os.listdir('/proc/self/task'):
        with open(f'/proc/self/task/{thread}/children') as children:
            yield from map(int, children.read().split())


# ---- the job ---------------------------------------------------------------------------------------------------------

def run(connection, listener):
    """One job, from its greeting to its end. Never returns, and never raises."""
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        events = Events(connection)
        if listener:
            socket.send_fds(connection, [b'{"hello": {}}\n'], [listener.fileno()])
            listener.close()
        else:
            events.tell('hello', {})
        requests = connection.makefile('rb')
        request = json.loads(requests.readline(LONGEST_REQUEST))
        move_in(request)
        try:
            confine(request)
        except (OSError, ValueError) as error:
            give_up(events, 'rules', error)
        events.tell('confined', {})
        request = json.loads(requests.readline(LONGEST_REQUEST))
        plugin.tell = lambda status, seconds: events.tell('asked', {'status': status, 'seconds': seconds})
        try:
            work(request['argv'], requests, events)
        except BaseException as error:  # an end of the interpreter, too, is an answer
            events.tell('error', describe(error))
        os._exit(0)
    finally:
        os._exit(1)


def give_up(events, what, error):
    """Ends before anything foreign was heard of, and says why."""
    events.tell('unconfined', {'why': f'{what}: {shortened(error)}'})
    os._exit(1)


def move_in(request):
    """No other way out, no other job's folder: it knows only what is named here."""
    kept = {name: os.environ[name] for name in WITHIN if name in os.environ}
    os.environ.clear()
    os.environ.update(kept, **request['environment'])
    enter(request['dir'])
    os.umask(0o077)


def confine(request):
    """Gives up what a job must not have, before anything foreign is touched."""
    for which, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, request['limits']['data']),
                        (resource.RLIMIT_FSIZE, request['limits']['file_size']),
                        (resource.RLIMIT_NPROC, request['limits']['processes'])):
        if most is not None:
            hard = resource.getrlimit(which)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(which, (most, most))
    keep_spare()
    limit_processor(*request['limits']['cpu'])
    if request['rules']:
        put_on(request['rules'])


def keep_spare():
    """Keeps some of the memory for the words with which a job ends that has taken all the rest."""
    global memory
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard != resource.RLIM_INFINITY:
        memory = (hard, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (max(hard - SPARE_BYTES, 0), hard))


def put_on(rules):
    """The rules that `sandbox/rules.rs` has made, as `crates/jail` puts them on (`apply.rs`): all of them, or the job ends."""
    called(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if rules['gives_up_capabilities']:
        called(libc.capset(struct.pack('=Ii', CAPABILITIES, 0), bytes(24)))
    handled = rules['handled_files'], rules['handled_ports'], rules['scopes']
    if not restrict(handled, rules['files'], rules['port'] if rules['handled_ports'] else None):
        raise OSError(ctypes.get_errno(), 'Landlock does not do what it was asked for')
    for digits in rules['filters']:
        instructions = bytes.fromhex(digits)
        held = ctypes.create_string_buffer(instructions, len(instructions))
        program = Filters(len(instructions) // 8, ctypes.addressof(held))
        called(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def restrict(handled, files, port):
    """Landlock, for good: what is handled, the rights to files, and one port; whether all of it holds."""
    handled = struct.pack('=QQQ', *handled)
    ruleset = libc.syscall(CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0)
    if ruleset < 0:
        return False
    for path, rights in files:
        try:
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # what is not there, or can't be seen by us, stays unseen
        called(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack('=Qi', rights, file), 0))
        os.close(file)
    if port is not None:
        called(libc.syscall(ADD_RULE, ruleset, NET_PORT, struct.pack('=QQ', CONNECT_TCP, port), 0))
    if libc.syscall(RESTRICT_SELF, ruleset, QUIETLY) < 0:
        called(libc.syscall(RESTRICT_SELF, ruleset, 0))  # before Linux 6.15
    os.close(ruleset)
    return True


class Filters(ctypes.Structure):
    """`struct sock_fprog` of seccomp(2)."""
    _fields_ = [('length', ctypes.c_ushort), ('instructions', ctypes.c_void_p)]


def called(answer):
    """The answer of a call that must not fail."""
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def limit_processor(soft, hard):
    """Who goes on past the first is told to end, which says why; past the second, killed."""
    before = resource.getrlimit(resource.RLIMIT_CPU)[1]
    hard = hard if before == resource.RLIM_INFINITY else min(hard, before)
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, hard), hard))


def enter(folder):
    """Works in this folder from now on."""
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder, XDG_CACHE_HOME=folder)
    tempfile.tempdir = None


def work(argv, requests, events):
    """Finds what is at the address, tells it, and when it is told to, downloads exactly that."""
    params, url = settings(argv, events)
    knows_sites = sites and params.get('allowed_extractors') == ['default']
    finder = yt_dlp.YoutubeDL(params, auto_init=not knows_sites)
    if knows_sites:
        finder._ies.update(sites)  # to find them by their names again takes longer than all the rest
    keep_cookies(finder)
    plugin.taken = None  # a rehearsal's
    found = finder.extract_info(url, download=False)
    finder.post_extract(found)
    events.tell('info', finder.sanitize_info(brief(found)))

    request = requests.readline(LONGEST_REQUEST)
    if not request:
        return
    downloads = json.loads(request)['downloads']
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit_processor(most - 1, most)
    if len(downloads) > 1 and len(os.listdir('/proc/self/task')) == 1:  # a fork would lose threads
        is_there = fetch_at_once(downloads, finder, found, events)
    else:
        is_there = all(fetch(download, finder, found, events) for download in downloads)
    if is_there:
        events.tell('done', {})


def keep_cookies(ydl):
    """Reads its cookies now and forgets where from: to save them, which nobody needs, ends those of the session."""
    ydl.cookiejar
    ydl.params['cookiefile'] = None


def fetch_at_once(downloads, finder, found, events):
    """Each in a process of its own; whether all are there. The first that fails is the last: the guard ends the others."""
    finder.close()  # a connection that two processes share serves neither
    children = set()
    for download in downloads:
        child = os.fork()
        if child == 0:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            os._exit(0 if fetch(download, finder, found, events) else 1)
        children.add(child)
    while children:
        child, status = os.wait()
        if child in children and os.WIFSIGNALED(status):
            events.tell('end', {'signal': os.WTERMSIG(status)}, begin='\n')  # it could not
        if child in children and status:
            return False
        children.discard(child)
    return True


def fetch(download, finder, found, events):
    """Downloads what was found, in a folder where nobody else does; whether it is there. If it is not, that was told."""
    try:
        enter(download['dir'])
        params, _ = settings(download['argv'], events)
        fetcher = yt_dlp.YoutubeDL(params, auto_init=False)
        keep_cookies(fetcher)
        # what the site gave to the finder, it expects of the fetcher
        fetcher.cookiejar = finder.cookiejar
        fetcher.add_post_processor(Tell(events, 'begin', ('format_id', 'is_live')), when='before_dl')
        fetcher.add_post_processor(Tell(events, 'file', ('filepath', 'format_id', 'ext')), when='after_move')
        fetcher.process_ie_result(entry(found), download=True)
    except BaseException as error:
        events.tell('error', {**describe(error), 'is_live': entry(found).get('is_live') is True})
        return False
    return True


def settings(argv, events):
    """The parameters and the address of a command line; what it would print is told as events instead."""
    from yt_dlp.postprocessor import FFmpegPostProcessor
    options = yt_dlp.parse_options(argv)
    # some look for ffmpeg without a YoutubeDL at hand
    FFmpegPostProcessor._ffmpeg_location.set(options.ydl_opts.get('ffmpeg_location'))
    ours = {
        'ignoreerrors': False,  # the command line's default would swallow errors here
        'logger': Log(events),
        'progress_hooks': [Progress(events)],
        'noprogress': True, 'forceprint': {}, 'progress_template': {}, 'dump_single_json': False, 'simulate': False,
    }
    return {**options.ydl_opts, **ours}, next(iter(options.urls), None)


def brief(found):
    """What is told of it. Where a list of fragments is too long for anybody, it is told that it can't be read."""
    told = {name: what for name, what in found.items() if name not in UNTOLD}
    if isinstance(told.get('fragments'), list) and len(told['fragments']) > MOST_FRAGMENTS:
        told['fragments'] = [None]
    for name in ('entries', 'formats'):
        if isinstance(told.get(name), list):
            told[name] = [brief(one) if isinstance(one, dict) else one for one in told[name]]
    return told


def entry(found):
    """Of a list its first entry, as `Info::entry` has it; a list may stand in a list."""
    for _ in range(3):
        if 'entries' not in found:
            break
        found = next((one for one in found['entries'] if one), {})
    return found


def teller():
    """The class of steps that tell something of what passes through them; made late, for its parent is yt-dlp's."""
    from yt_dlp.postprocessor.common import PostProcessor

    class Tell(PostProcessor):
        def __init__(self, events, name, fields):
            super().__init__()
            self.events, self.name, self.fields = events, name, fields

        def run(self, info):
            self.events.tell(self.name, {field: info.get(field) for field in self.fields})
            return [], info

    return Tell


class Progress:
    """Told at every read, by several threads; tells twice a second, and every end."""

    def __init__(self, events):
        self.events, self.next = events, 0

    def __call__(self, progress):
        if progress.get('status') != 'finished' and time.monotonic() < self.next:
            return
        self.next = time.monotonic() + PROGRESS_EVERY
        told = {field: progress.get(field) for field in PROGRESS}
        self.events.tell('progress', {**told, 'format_id': (progress.get('info_dict') or {}).get('format_id')})


class Log:
    """What yt-dlp would print: warnings and errors, as many as anybody would read."""

    def __init__(self, events):
        self.events, self.left = events, MOST_LOGGED

    def debug(self, text):
        pass

    def warning(self, text):
        if self.left > 0:
            self.left -= 1
            self.events.tell('log', {'text': shortened(text)})

    error = warning


class Events:
    """The worker's end of the connection, one whole line at a time, whichever thread or process of the job it is from."""

    def __init__(self, connection):
        self.connection, self.lock = connection, threading.Lock()
        self.turn = None if connection is None else os.memfd_create('turn')  # its lock is a process's; who is killed gives it back

    def tell(self, name, what, begin=''):
        if self.connection is None:
            return
        line = f'{begin}{text_of({name: what})}\n'.encode('utf-8', 'replace')  # half of a character is none
        with self.lock:
            fcntl.lockf(self.turn, fcntl.LOCK_EX)
            try:
                self.connection.sendall(line)
            except OSError:
                os._exit(1)  # nobody listens
            fcntl.lockf(self.turn, fcntl.LOCK_UN)


def text_of(what):
    """JSON to the letter, which has no word for what is no number."""
    try:
        return json.dumps(what, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(finite(what), ensure_ascii=False, allow_nan=False)


def finite(what):
    """The same without infinities."""
    if isinstance(what, dict):
        return {name: finite(inner) for name, inner in what.items()}
    if isinstance(what, (list, tuple)):
        return [finite(inner) for inner in what]
    return None if isinstance(what, float) and not math.isfinite(what) else what


def describe(error):
    """An error and what led to it, outermost first: yt-dlp keeps the original in one of four places."""
    resource.setrlimit(resource.RLIMIT_DATA, memory)
    causes, waiting = [], [error]
    while waiting and len(causes) < MOST_CAUSES:
        error = waiting.pop(0)
        if not isinstance(error, BaseException) or any(error is one for one, _ in causes):
            continue
        number, expected, status = (getattr(error, name, None) for name in ('errno', 'expected', 'status'))
        causes.append((error, {
            'classes': [of.__name__ for of in type(error).__mro__ if of not in (object, BaseException, Exception)],
            'text': shortened(getattr(error, 'orig_msg', None) or error),
            'expected': expected if isinstance(expected, bool) else None,
            'status': status if isinstance(status, int) else None,
            'errno': number if isinstance(number, int) else None,
        }))
        waiting += [(getattr(error, 'exc_info', None) or (None, None))[1], getattr(error, 'cause', None),
                    error.__cause__, error.__context__]
    return {'causes': [cause for _, cause in causes]}


def shortened(text):
    """Without the request to report a bug, which names things that are not so."""
    text = str(text)[:LONGEST_TEXT * 4].encode('utf-8', 'replace').decode()
    return re.split(r'[;.] [Pp]lease report this issue on', text)[0][:LONGEST_TEXT]


if __name__ == '__main__':
    serve(*sys.argv[1:])
