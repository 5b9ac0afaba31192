"""deploy/systemd: as systemd reads it, and against the code."""

import pathlib
import re
import shutil
import subprocess
import tempfile

from facts import AFTER_THE_GRACE, GRACE_OF_AN_API, ROOT, check_variables, environment, seconds, text, variables

HERE = ROOT / 'deploy/systemd'
# What `systemd-analyze security` makes of each, at most, in tenths. What is left, docs/DEPLOYMENT.md tells; newer systemds look at more.
EXPOSURE = {'haul-api.service': 20, 'haul-worker@1.service': 25, 'haul-redis.service': 20}
PROGRAMS = ('/usr/local/bin/haul-api', '/usr/local/bin/haul-worker', '/usr/bin/redis-server')


def settings(unit):
    """Name of each setting: its values, in order."""
    found = {}
    for name, value in re.findall(r'^(\w+)=(.*)$', text(f'deploy/systemd/{unit}'), re.M):
        found.setdefault(name, []).append(value)
    return found


def check(faults):
    check_process(faults, 'haul-api.service', 'Api')
    check_process(faults, 'haul-worker@.service', 'Worker')
    namespaces = re.findall(r'CLONE_NEW(\w+)', text('crates/jail/src/space.rs'))
    given = settings('haul-worker@.service')['RestrictNamespaces'][0].split()
    faults.unless(sorted(given) == sorted(name.lower() for name in namespaces), f'a worker may make {given}, and its launcher makes {namespaces}')
    if shutil.which('systemd-analyze'):
        check_by_systemd(faults)


def given_to(unit):
    """Its environment."""
    service, given = settings(unit), {}
    for path in service['EnvironmentFile']:
        given |= environment(f'deploy/systemd/{pathlib.Path(path).name}')
    for line in service['Environment']:
        given |= dict(pair.split('=', 1) for pair in line.split())
    return {name: value.replace('%i', '1') for name, value in given.items()}


def check_process(faults, unit, process):
    service, given = settings(unit), given_to(unit)
    check_variables(faults, unit, given, process)
    for path in service['EnvironmentFile']:
        # what is there to be taken up exists, too
        name = f'deploy/systemd/{pathlib.Path(path).name}'
        check_variables(faults, name, dict.fromkeys(re.findall(r'^#(HAUL_\w+)=', text(name), re.M), ''), process)
    needed = GRACE_OF_AN_API
    if process == 'Worker':
        needed = seconds(given.get('HAUL_SHUTDOWN_GRACE', variables()['HAUL_SHUTDOWN_GRACE'][2])) + AFTER_THE_GRACE
        # or systemd would end the programs while their jobs may still go on
        faults.unless(service['KillMode'] == ['mixed'], f'{unit}: programs are sent signals by systemd')
    faults.unless(seconds(service['TimeoutStopSec'][0]) >= needed, f'{unit} is killed within {needed} s')


def check_by_systemd(faults):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        units = root / 'etc/systemd/system'
        units.mkdir(parents=True)
        for file in [*HERE.glob('*.service'), *HERE.glob('*.target')]:
            shutil.copy(file, units)
        shutil.copy(HERE / 'haul-worker@.service', units / 'haul-worker@1.service')
        for program in PROGRAMS:
            place = root / program[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text('#!/bin/sh\n')
            place.chmod(0o755)
        verified = analyze('verify', '--man=no', '--recursive-errors=no', f'--root={root}', 'haul.target', *EXPOSURE)
        faults.unless(not verified.returncode and not verified.stderr, f'systemd-analyze verify: {verified.stderr}')
        for unit, most in EXPOSURE.items():
            judged = analyze('security', '--no-pager', '--offline=true', f'--threshold={most}', f'--root={root}', unit)
            faults.unless(not judged.returncode, f'{judged.stdout.splitlines()[-1:]} is more than {most / 10}: {judged.stderr}')


def analyze(*arguments):
    return subprocess.run(['systemd-analyze', *arguments], capture_output=True, text=True, timeout=60)
