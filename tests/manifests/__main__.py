"""manifests: what deploy/ tells other programs, held against their schemas and against the code of Haul.

usage: .tools/checks/bin/python tests/manifests [PROGRAMS]

Renders deploy/kubernetes with kustomize and holds it against the schemas of Kubernetes, KEDA, the Prometheus operator and the Gateway
API; units against systemd; the store's settings against the calls of S3 that the code makes. Needs kustomize 5 (or a kubectl
that has it) and `deno`; systemd-analyze where there is systemd. With a folder of PROGRAMS only this: do they read each configuration
without a fault? Ends with 1 and a line for each fault.
"""

import sys

import bucket
import configurations
import kubernetes
import seccomp
import units
from facts import Faults


def main():
    faults = Faults()
    if programs := sys.argv[1:]:
        configurations.check(faults, *programs)
    else:
        for part in (kubernetes, units, bucket, seccomp):
            part.check(faults)
    for fault in faults.told:
        print(f'manifests: {fault}', file=sys.stderr)
    return bool(faults.told)


sys.exit(main())
