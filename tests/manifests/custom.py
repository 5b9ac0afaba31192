"""Objects of KEDA, the Prometheus operator and the Gateway API, held against types and validators that were made of their
definitions (npm: @kubernetes-models), by deno: the types know every field, the validators every value."""

import json
import os
import re
import subprocess
import tempfile

from facts import ROOT

PACKAGES = {
    'keda.sh': '@kubernetes-models/keda@2.0.0',
    'monitoring.coreos.com': '@kubernetes-models/prometheus-operator@6.0.0',
    'gateway.networking.k8s.io': '@kubernetes-models/gateway-api@2.0.0',
}


def faults(objects):
    """`objects`: pairs of a name and what it is. What is wrong with them, in a line each."""
    lines, kinds = [], set()
    for number, (name, found) in enumerate(objects):
        kind, version = found['kind'], found['apiVersion']
        package = PACKAGES[version.split('/')[0]]
        if kind not in kinds:
            lines.append(f'import {{ {kind}, type I{kind} }} from "npm:{package}/{version}/{kind}";')
            kinds.add(kind)
        lines += [
            f'const object{number}: I{kind} = {json.dumps(found)}; // {name}',
            f'try {{ new {kind}(object{number}).validate(); }} catch (error) {{ console.log({json.dumps(name)} + ": " + error); }}',
        ]
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, 'objects.ts')
        with open(script, 'w') as file:
            file.write('\n'.join(lines))
        env = os.environ | {'DENO_DIR': str((ROOT / '.tools/deno').resolve()), 'NO_COLOR': '1'}
        checked = deno(env, 'check', script)
        if checked.returncode:
            told = re.findall(r'TS\d+ .*?(?=\n\n|\Z)', checked.stderr, re.S) or [checked.stderr]
            return [' '.join(one.split())[-400:] for one in told]
        validated = deno(env, 'run', f"--allow-read={env['DENO_DIR']}", script)
        return validated.stdout.splitlines() + ([validated.stderr] if validated.returncode else [])


def deno(env, *command):
    program = [ROOT / '.tools/venv/bin/deno', command[0], '--quiet', '--no-lock', *command[1:]]
    return subprocess.run(program, capture_output=True, text=True, timeout=120, env=env)
