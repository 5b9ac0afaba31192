"""deploy/kubernetes: rendered, held against schemas, and against what its objects say of each other and of the code."""

import copy
import ipaddress
import json
import os
import re
import shutil
import subprocess
import tempfile

import kubernetes_validate
import yaml

import custom
from facts import AFTER_THE_GRACE, GRACE_OF_AN_API, ROOT, check_variables, seconds, text, variables

HERE = ROOT / 'deploy/kubernetes'
REGIONS = ('eu', 'us', 'ap')
# the region of each folder that has one
OVERLAYS = {'overlays/single': 'default', **{f'overlays/{name}': name for name in REGIONS}}
# the oldest that has all that is used (preStop by sleep), and the newest of the package of schemas
VERSIONS = ('1.30', '1.37')
SECRETS = {'haul-redis', 'haul-keys', 'haul-api-s3', 'haul-worker-s3', 'haul-webhooks', 'haul-proxy'}
METADATA = ipaddress.ip_address('169.254.169.254')
# What each probe asks. To be started again mends no Redis and no bucket, and without endpoints all APIs would be away at once
# (docs/decisions/0055); a worker has no endpoint.
PROBES = {
    'haul-api': {'startupProbe': '/readyz', 'livenessProbe': '/healthz', 'readinessProbe': '/healthz'},
    'haul-worker': {'startupProbe': '/readyz', 'livenessProbe': '/healthz', 'readinessProbe': '/readyz'},
}


def kustomize():
    local = ROOT / '.tools/bin/kustomize'
    if program := shutil.which('kustomize') or (local.exists() and str(local)):
        return [program, 'build']
    if shutil.which('kubectl') and 'Kustomize Version: v5' in output(['kubectl', 'version', '--client']):
        return ['kubectl', 'kustomize']
    raise SystemExit('manifests: please put kustomize 5, or a kubectl that has it, on the PATH')


def output(command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def render(program, folder):
    done = subprocess.run([*program, str(HERE / folder)], capture_output=True, text=True, timeout=60)
    if done.returncode or 'deprecated' in done.stderr:
        raise SystemExit(f'manifests: {folder}: {done.stderr}')
    return list(yaml.safe_load_all(done.stdout))


FOLDERS = ('base', 'overlays/small', *OVERLAYS)
# components that no folder has: an overlay of somebody's own takes them in
APART = ('components/next', 'components/pod-identity')
NEXT = {'name': 'haul-worker-next', 'newName': 'registry.example.com/haul-worker', 'newTag': '0.1.0-next'}


def render_with(program, folder, components):
    with tempfile.TemporaryDirectory() as mine:
        mine = os.path.realpath(mine)
        resources, taken = ([os.path.relpath(HERE / path, mine) for path in paths] for paths in ((folder,), components))
        overlay = {'namespace': 'haul', 'resources': resources, 'components': taken, 'images': [NEXT]}
        with open(os.path.join(mine, 'kustomization.yaml'), 'w') as file:
            json.dump(overlay, file)
        return render(program, mine)


def check(faults):
    program = kustomize()
    rendered = {folder: render(program, folder) for folder in (*FOLDERS, 'node')}
    rendered |= {f'mine, of {folder}': render_with(program, folder, APART) for folder in FOLDERS}
    rendered['rules'] = list(yaml.safe_load_all(output([HERE / 'rules'])))
    seen = {}
    for folder, objects in rendered.items():
        for found in objects:
            seen.setdefault(json.dumps(found, sort_keys=True), (folder, found))
    check_schemas(faults, seen.values())
    for folder, objects in rendered.items():
        cluster = Cluster(faults, folder, objects)
        for workload in cluster.workloads():
            cluster.check_workload(workload)
        cluster.check_references()
        if folder not in ('node', 'rules'):
            cluster.check_services()
        if region := OVERLAYS.get(folder.removeprefix('mine, of ')):
            cluster.check_region(region)
        if folder.startswith('mine'):
            cluster.check_next()
    check_rules(faults, rendered['rules'])


def check_schemas(faults, objects):
    others = []
    for folder, found in objects:
        name = f"{folder}: {found['kind']} {found['metadata']['name']}"
        if found['apiVersion'].split('/')[0] in custom.PACKAGES:
            others.append((name, found))
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(found, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                faults.unless(False, f'{name} ({version}): {error.message} at {list(error.path)}')
    for fault in custom.faults(others):
        faults.unless(False, fault)


def check_rules(faults, objects):
    """What the operator gets is what Prometheus reads."""
    files = sorted((ROOT / 'deploy/prometheus/rules').glob('*.yml'))
    faults.unless(
        [found['spec'] for found in objects] == [yaml.safe_load(file.read_text()) for file in files],
        'rules: not what is in deploy/prometheus/rules',
    )


class Cluster:
    """What one folder gives."""

    def __init__(self, faults, folder, objects):
        self.faults, self.folder, self.objects = faults, folder, objects

    def unless(self, holds, fault):
        return self.faults.unless(holds, f'{self.folder}: {fault}')

    def of(self, kind):
        return [found for found in self.objects if found['kind'] == kind]

    def one(self, kind, name):
        found = [found for found in self.of(kind) if found['metadata']['name'] == name]
        if len(found) != 1:
            raise SystemExit(f'manifests: {self.folder}: {len(found)} of {kind} {name}')
        return found[0]

    def workloads(self):
        return self.of('Deployment') + self.of('StatefulSet') + self.of('DaemonSet')

    def environment(self, workload):
        """Of its container, as far as it is no secret."""
        container = workload['spec']['template']['spec']['containers'][0]
        given = {}
        for source in container.get('envFrom', ()):
            if name := source.get('configMapRef', {}).get('name'):
                given |= self.one('ConfigMap', name)['data']
        return given | {one['name']: one.get('value', '') for one in container.get('env', ())}

    def check_workload(self, workload):
        """Nobody has a right that is not needed, and each is told in good time to stop."""
        name, pod = workload['metadata']['name'], workload['spec']['template']['spec']
        everyone = pod.get('securityContext', {})
        self.unless(pod.get('automountServiceAccountToken') is False, f'{name} has a token of the cluster')
        # a Service haul-... would make variables HAUL_... of its own
        self.unless(pod.get('enableServiceLinks') is False, f'{name} has the addresses of services in its environment')
        for container in pod['containers'] + pod.get('initContainers', []):
            own = everyone | container.get('securityContext', {})
            self.unless(own.get('runAsNonRoot') or name == 'haul-seccomp' and container['name'] == 'copy', f'{name} may be root')
            self.unless(own.get('readOnlyRootFilesystem'), f'{name} can write to its image')
            self.unless(own.get('allowPrivilegeEscalation') is False, f'{name} may gain rights')
            self.unless(own.get('capabilities') == {'drop': ['ALL']}, f'{name} has capabilities')
            self.unless(own.get('seccompProfile', {}).get('type') in ('RuntimeDefault', 'Localhost'), f'{name} may make any call')
            self.unless('memory' in container['resources']['limits'], f'{name} has no limit of memory')
            self.unless(re.search(r':[\w.-]*\d', container['image']), f"{name}: which version is {container['image']}?")
            live = container.get('livenessProbe', {})
            asked = live.get('httpGet', {}).get('path') or live.get('exec', {}).get('command')
            # PING of a Redis whose disk is full is answered by an error
            self.unless(asked in (None, '/healthz', ['redis-cli', 'ping']), f'{name} is killed for what another one lacks: {asked}')
        if name not in ('haul-api', 'haul-worker', 'haul-worker-next'):
            return
        given = self.environment(workload)
        check_variables(self.faults, f'{self.folder}: {name}', given, 'Api' if name == 'haul-api' else 'Worker')
        pause = pod['containers'][0].get('lifecycle', {}).get('preStop', {}).get('sleep', {}).get('seconds', 0)
        needed = pause + GRACE_OF_AN_API
        if name != 'haul-api':
            grace = given.get('HAUL_SHUTDOWN_GRACE', variables()['HAUL_SHUTDOWN_GRACE'][2])
            needed = seconds(grace) + AFTER_THE_GRACE
        self.unless(pod['terminationGracePeriodSeconds'] >= needed, f'{name} is killed within {needed} s')

    def check_references(self):
        """What is named is there: settings, secrets of the list, accounts, pods, ports, volumes."""
        pods = [(workload, workload['spec']['template']) for workload in self.workloads()]
        labels = [template['metadata']['labels'] for _, template in pods]
        declared = set(re.findall(r'^#   (haul-\S+)  ', text('deploy/kubernetes/base/kustomization.yaml'), re.M))
        self.unless(declared == SECRETS, f'the secrets of base are {sorted(declared)}')
        self.unless(not self.of('Secret'), 'there is a Secret in it')
        for workload, template in pods:
            pod = template['spec']
            names = set(re.findall(r'"configMap(?:Ref)?": {[^{}]*"name": "([^"]+)"', json.dumps(pod)))
            for name in names:
                self.one('ConfigMap', name)
            wanted = set(re.findall(r'"(?:secretRef": {[^{}]*"name|secret": {[^{}]*"secretName)": "([^"]+)"', json.dumps(pod)))
            self.unless(wanted <= SECRETS, f'{sorted(wanted)} are secrets of nobody')
            if account := pod.get('serviceAccountName'):
                self.unless(self.one('ServiceAccount', account)['automountServiceAccountToken'] is False, f'{account} has a token')
        selectors = [found['spec'].get('selector', {}) for kind in ('Deployment', 'PodDisruptionBudget', 'PodMonitor') for found in self.of(kind)]
        for wanted in [one.get('matchLabels', {}) for one in selectors] + [found['spec']['selector'] for found in self.of('Service')]:
            self.unless(any(wanted.items() <= one.items() for one in labels), f'no pod is {wanted}')
        for kind, target in (('HorizontalPodAutoscaler', 'scaleTargetRef'), ('ScaledObject', 'scaleTargetRef')):
            for found in self.of(kind):
                scaled = self.one('Deployment', found['spec'][target]['name'])
                self.unless('replicas' not in scaled['spec'], f'{kind} and the Deployment both say how many')
        ports = {port['name'] for _, template in pods for container in template['spec']['containers'] for port in container.get('ports', ())}
        wanted = {end['port'] for found in self.of('PodMonitor') for end in found['spec']['podMetricsEndpoints']}
        wanted |= {port['targetPort'] for found in self.of('Service') for port in found['spec']['ports'] if isinstance(port.get('targetPort'), str)}
        self.unless(wanted <= ports, f'no pod has all of the ports {sorted(wanted)}')

    def check_services(self):
        """The probes and the addresses of both processes; who may reach whom."""
        api, worker = (self.one('Deployment', name) for name in ('haul-api', 'haul-worker'))
        for workload, variable in ((api, 'HAUL_LISTEN'), (worker, 'HAUL_WORKER_LISTEN')):
            container = workload['spec']['template']['spec']['containers'][0]
            ports = {port['name']: port['containerPort'] for port in container['ports']}
            listens = int(self.environment(workload).get(variable, ':0').rpartition(':')[2])
            for probe, path in PROBES[workload['metadata']['name']].items():
                asked = container[probe]['httpGet']
                self.unless((asked['path'], ports[asked['port']]) == (path, listens), f"{workload['metadata']['name']}: {probe} asks {asked}")
        self.unless(not self.environment(api)['HAUL_TRUSTED_PROXIES'], 'somebody is believed whom nobody has named')
        policies = {found['metadata']['name']: found['spec'] for found in self.of('NetworkPolicy')}
        self.unless(policies['deny-all'] == {'podSelector': {}, 'policyTypes': ['Ingress', 'Egress']}, 'not everything is denied at first')
        worlds = [
            [to['ipBlock'] for rule in policies[name]['egress'] for to in rule['to'] if 'except' in to.get('ipBlock', {})] for name in ('api', 'worker')
        ]
        self.unless(worlds[0] == worlds[1], 'API and worker see two internets')
        for name, policy in policies.items():
            for block in [to['ipBlock'] for rule in policy.get('egress', ()) for to in rule['to'] if 'ipBlock' in to]:
                inside = [METADATA in ipaddress.ip_network(cidr) for cidr in (block['cidr'], *block.get('except', ()))]
                self.unless(not inside[0] or any(inside[1:]), f'{name}: the address of metadata is among {block}')
        outside = {port['port'] for rule in policies['worker']['egress'] for port in rule['ports']}
        allowed = self.environment(worker).get('HAUL_EGRESS_PORTS', variables()['HAUL_EGRESS_PORTS'][2])
        self.unless(outside == {int(port) for port in allowed.split(',')}, f'a worker may reach {sorted(outside)}, not HAUL_EGRESS_PORTS')
        profile = worker['spec']['template']['spec']['securityContext']['seccompProfile']
        if profile['type'] == 'Localhost':
            self.unless((ROOT / 'deploy/seccomp' / profile['localhostProfile']).exists(), f'there is no {profile}')

    def check_region(self, region):
        """Its name is said once and meant everywhere; workers are counted as the rules of Prometheus count."""
        worker, api = (self.environment(self.one('Deployment', name)) for name in ('haul-worker', 'haul-api'))
        is_one_of_many = region in REGIONS
        for given in (worker, api):
            own = given.get('HAUL_REGION', variables()['HAUL_REGION'][2])
            everywhere = tuple(given.get('HAUL_REGIONS', own).split(','))
            self.unless((own, everywhere) == (region, REGIONS if is_one_of_many else (region,)), f'a process is in {own} of {everywhere}')
        places = dict(pair.split('=') for pair in api.get('HAUL_REGION_MAP', '').split(',') if pair)
        served = (set(places.values()), 'HAUL_REGION_HEADER' in api)
        self.unless(served == ((set(REGIONS), True) if is_one_of_many else (set(), False)), f'places are served by {places}')
        depth, age = self.one('ScaledObject', 'haul-worker')['spec']['triggers']
        recorded = set(re.findall(r'record: (\S+)', text('deploy/prometheus/rules/recording.yml')))
        for trigger in (depth, age):
            query = trigger['metadata']['query']
            series = re.findall(r'(region:[a-z_:]+)(?:{region="(\w+)"})?', query)
            self.unless(series and all(name in recorded and place == region for name, place in series), f'{query} is of another region, or of no rule')
            # among what waits are jobs that nobody may start
            self.unless('clamp_max(' in query and '(region:haul_region_slots:busy_ratio{' in query, f'{query}: one client makes a fleet of any size')
            self.unless(trigger['metadata']['ignoreNullValues'] == 'false', 'no answer is taken for an empty queue')
        self.unless((depth['metricType'], age['metricType']) == ('AverageValue', 'Value'), 'depth is shared by workers, age is not')
        self.unless(depth['metadata']['threshold'] == worker['HAUL_SLOTS'], 'a worker has another number of slots than it is counted for')
        record = self.one('HTTPRoute', 'haul')['metadata'].get('annotations', {}).get('external-dns.alpha.kubernetes.io/set-identifier')
        self.unless(record == (region if is_one_of_many else None), f'its record is that of {record}')

    def check_next(self):
        """The worker on trial is one as the others, of an image of its own, and scaled by nobody."""

        def apart(spec):
            """Takes away what makes the difference."""
            pod = spec['template']
            tracks = spec['selector']['matchLabels'].pop('track'), pod['metadata']['labels'].pop('track')
            return tracks, spec.pop('replicas', None), pod['spec']['containers'][0].pop('image')

        worker, trial = (copy.deepcopy(self.one('Deployment', name)['spec']) for name in ('haul-worker', 'haul-worker-next'))
        tracks, _, _ = apart(worker)
        self.unless(tracks == ('stable', 'stable'), f'workers are {tracks}')
        own = apart(trial)
        self.unless(own == (('next', 'next'), 1, f"{NEXT['newName']}:{NEXT['newTag']}"), f'the worker on trial is {own}')
        self.unless(worker == trial, 'the worker on trial differs in more than its image from those it is held against')
