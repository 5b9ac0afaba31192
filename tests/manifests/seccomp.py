"""deploy/seccomp: what containers may do by default, and the one call of tier A."""

import json
import re

from facts import ROOT, text

FLAGS = {'NEWNS': 0x20000, 'NEWCGROUP': 0x2000000, 'NEWUTS': 0x4000000, 'NEWIPC': 0x8000000, 'NEWUSER': 0x10000000, 'NEWPID': 0x20000000, 'NEWNET': 0x40000000}
NEEDED = {'landlock_create_ruleset', 'landlock_add_rule', 'landlock_restrict_self', 'seccomp', 'prctl'}
NEVER = {'unshare', 'clone', 'clone3', 'setns', 'mount', 'umount2', 'pivot_root', 'chroot', 'open_tree', 'move_mount', 'fsopen', 'bpf', 'ptrace',
         'perf_event_open', 'userfaultfd', 'io_uring_setup', 'keyctl', 'add_key', 'kexec_load', 'init_module', 'finit_module', 'reboot', 'socket'}


def check(faults):
    profile = json.loads((ROOT / 'deploy/seccomp/haul-worker.json').read_text())
    # the fields of the OCI runtime specification: what containerd reads, which skips others in silence
    known = {'names', 'action', 'args', 'errnoRet'}
    odd = {key for rule in profile['syscalls'] for key in rule} - known | set(profile) - {'defaultAction', 'defaultErrnoRet', 'architectures', 'syscalls'}
    faults.unless(not odd, f'seccomp: {sorted(odd)} are read by nobody')
    faults.unless(profile['defaultAction'] == 'SCMP_ACT_ERRNO', 'seccomp: what is not named is allowed')
    allowed = [rule for rule in profile['syscalls'] if rule['action'] == 'SCMP_ACT_ALLOW']
    freely = {name for rule in allowed if not rule.get('args') for name in rule['names']}
    faults.unless(NEEDED <= freely, f'seccomp: {sorted(NEEDED - freely)} are missing')
    faults.unless(not NEVER & freely, f'seccomp: {sorted(NEVER & freely)} are allowed, whatever for')

    by_launcher = sum(FLAGS[name] for name in re.findall(r'CloneFlags::CLONE_(\w+)', text('crates/jail/src/space.rs')))
    by_extractor = sum(int(flag, 16) for flag in re.findall(r'0x[0-9A-Fa-f]+', re.search(r'^NAMESPACES = (.*?)#', text('crates/worker/src/ytdlp/server.py'), re.M)[1]))
    unshare = [rule['args'] for rule in allowed if rule['names'] == ['unshare']]
    only = [[{'index': 0, 'value': value, 'op': 'SCMP_CMP_EQ'}] for value in {by_launcher, by_extractor}]
    faults.unless(unshare == only, f'seccomp: namespaces by {unshare}, and the code makes {only}')
