"""What the code of Haul says: its variables, and who reads them."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

# After the grace: jobs are handed back (STOPPING of crates/worker/src/run.rs, 10 s), the extractors end, Redis is told, traces are
# sent, and threads linger (2 s).
AFTER_THE_GRACE = 30
# Of an API: requests, and then what is written down behind them (GRACE of crates/api/src/main.rs, twice).
GRACE_OF_AN_API = 2 * 30


class Faults:
    """What was found. A check goes on after one."""

    def __init__(self):
        self.told = []

    def unless(self, holds, fault):
        if not holds:
            self.told.append(fault)
        return holds


def text(path):
    return (ROOT / path).read_text()


def variables():
    """Name of each variable: (`Both`, `Api` or `Worker`; is it a secret; its default)."""
    table = text('crates/shared/src/config/vars.rs')
    found = {}
    for entry in re.findall(r'= "HAUL_.*?;\n', table, re.S):
        name, process = re.match(r'= "(HAUL_\w+)", \w+, (\w+),', entry).groups()
        default = re.search(r'\.or\("([^"]*)"\)', entry)
        found[name] = (process, '.secret()' in entry, default and default[1])
    return found


def seconds(duration):
    number, unit = re.fullmatch(r'(\d+)(ms|s|m|h|min)', duration).groups()
    return int(number) * {'ms': 0.001, 's': 1, 'm': 60, 'min': 60, 'h': 3600}[unit]


def environment(path):
    """Variables of a file of `NAME=value` lines."""
    lines = (line.strip() for line in text(path).splitlines())
    return dict(line.split('=', 1) for line in lines if line and not line.startswith('#'))


def check_variables(faults, place, given, process):
    """Each is known, read by that process, and no secret."""
    known = variables()
    for name in given:
        if not name.startswith('HAUL_'):
            continue
        if faults.unless(name in known, f'{place}: there is no {name}'):
            reader, is_secret, _ = known[name]
            faults.unless(reader in ('Both', process), f'{place}: {name} is read by the {reader} only')
            # the address of a Redis is none as long as there is no password in it
            is_shown = name.endswith('REDIS_URL') and '@' not in given[name]
            faults.unless(is_shown or not is_secret, f'{place}: {name} is a secret')
