"""Every configuration of deploy/, read by the program that it is for: what a start would refuse, its doctor tells first."""

import json
import pathlib
import subprocess

import kubernetes
import units

# what comes as a secret, and programs, which lie in an image and need not be tried here
REDIS = {'HAUL_REDIS_URL': 'redis://127.0.0.1:1'}
# what only the cluster knows, and an overlay of its own says: the places of clients are worth nothing without it, and the doctor tells so
MINE = {'haul-api': {'HAUL_TRUSTED_PROXIES': '192.0.2.0/24'}}
HERE = {'AWS_EC2_METADATA_DISABLED': 'true', **dict.fromkeys(('HAUL_YTDLP', 'HAUL_FFMPEG', 'HAUL_FFPROBE'), '/bin/true')}


def check(faults, programs):
    for place, program, given in all_of_them():
        env = REDIS | given | HERE
        asked = [pathlib.Path(programs) / program, 'doctor', '--json']
        told = subprocess.run(asked, env=env, capture_output=True, text=True, timeout=120)
        found = {check['name']: check for check in json.loads(told.stdout)['checks']}['config.variables']
        faults.unless(found['status'] == 'ok', f"{place}: {program}: {found['found']}")


def all_of_them():
    kustomize = kubernetes.kustomize()
    for folder in kubernetes.FOLDERS:
        cluster = kubernetes.Cluster(None, folder, kubernetes.render(kustomize, folder))
        for workload in cluster.of('Deployment'):
            name = workload['metadata']['name']
            yield folder, name, cluster.environment(workload) | MINE.get(name, {})
    yield 'systemd', 'haul-api', units.given_to('haul-api.service')
    yield 'systemd', 'haul-worker', units.given_to('haul-worker@.service')
