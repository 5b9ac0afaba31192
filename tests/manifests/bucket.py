"""deploy/storage: the rights of each process are what it asks S3 for, no less and no more; the rest is what S3 takes."""

import json
import re

from botocore.session import Session
from botocore.validate import ParamValidator

from facts import ROOT, seconds, text, variables

HERE = ROOT / 'deploy/storage'
CODE = ROOT / 'crates/shared/src/storage/s3'

# Each call that the code makes: the right that it takes, and whose call it is. A new call is a fault until it stands here, and its right in the
# policy. HeadBucket of a worker would take a right to list without a prefix: refused, it is answered by the call after it.
CALLS = {
    'get_object': ('s3:GetObject', 'api worker'),
    'head_object': ('s3:GetObject', 'worker'),
    'put_object': ('s3:PutObject', 'worker'),
    'create_multipart_upload': ('s3:PutObject', 'worker'),
    'upload_part': ('s3:PutObject', 'worker'),
    'complete_multipart_upload': ('s3:PutObject', 'worker'),
    'abort_multipart_upload': ('s3:AbortMultipartUpload', 'worker'),
    'delete_object': ('s3:DeleteObject', 'worker'),
    'list_objects_v2': ('s3:ListBucket', 'worker'),
    'list_multipart_uploads': ('s3:ListBucketMultipartUploads', 'worker'),
    'get_bucket_lifecycle_configuration': ('s3:GetLifecycleConfiguration', 'worker'),
    'head_bucket': (None, ''),
}
# Rights that decide what a call of ours is answered: GetObject of what is not there, 404 with it and 403 without. S3 looks at no prefix for that.
FOR_ANSWERS = {'s3:ListBucket': 'api'}
# S3 tells the policy which prefix is asked for of these alone: under a condition on it any other call is refused.
BY_PREFIX = {'s3:ListBucket'}
OF_THE_BUCKET = {'s3:ListBucket', 's3:ListBucketMultipartUploads', 's3:GetLifecycleConfiguration'}


def check(faults):
    code = ''.join(file.read_text() for file in [CODE.with_suffix('.rs'), *sorted(CODE.glob('*.rs'))])
    made = set(re.findall(r'(?:client|public)\s*\.(\w+)\(\)', code)) - {'clone', 'build'}
    faults.unless(made == set(CALLS), f'calls of S3 without a right, or rights without a call: {sorted(made ^ set(CALLS))}')
    ours = re.search(r'const OURS: &str = "([^"]+)"', code)[1]
    check_policy(faults, ours)
    check_lifecycle(faults, ours)
    for name, shape in (('lifecycle', 'BucketLifecycleConfiguration'), ('cors', 'CORSConfiguration'), ('public-access-block', 'PublicAccessBlockConfiguration')):
        s3 = Session().get_service_model('s3')
        report = ParamValidator().validate(read(name), s3.shape_for(shape))
        faults.unless(not report.has_errors(), f'{name}.json: {report.generate_report()}')


def read(name):
    return json.loads((HERE / f'{name}.json').read_text())


def check_policy(faults, ours):
    granted = {'api': set(), 'worker': set()}
    for statement in read('bucket-policy')['Statement']:
        name = statement['Sid']
        if statement['Effect'] == 'Deny':
            faults.unless(statement['Condition'] == {'Bool': {'aws:SecureTransport': 'false'}}, f'{name}: denies something else')
            continue
        actions = statement['Action'] if isinstance(statement['Action'], list) else [statement['Action']]
        process = statement['Principal']['AWS'].rpartition('haul-')[2]
        granted[process].update(actions)
        # of objects those with our names, of the bucket the lists of them
        is_whole = not statement['Resource'].endswith(f'/{ours}*')
        faults.unless(set(actions) <= OF_THE_BUCKET if is_whole else not OF_THE_BUCKET & set(actions), f'{name}: rights of something else')
        prefix = statement.get('Condition', {}).get('StringLike', {}).get('s3:prefix')
        prefixes = {f'{ours}*' if action in BY_PREFIX and FOR_ANSWERS.get(action) != process else None for action in actions}
        faults.unless(prefixes == {prefix}, f'{name}: lists {prefix}, and not {prefixes}')
    for process, actions in granted.items():
        needed = {right for right, who in CALLS.values() if process in who.split()} | {right for right, who in FOR_ANSWERS.items() if who == process}
        faults.unless(actions == needed, f'bucket-policy.json: rights of the {process} that it lacks or does not need: {sorted(actions ^ needed)}')


def check_lifecycle(faults, ours):
    """What Haul has forgotten goes, and what it knows stays: it removes results itself, and orphans after both lives together."""
    rule, = read('lifecycle')['Rules']
    known = variables()
    lives = seconds(known['HAUL_JOB_TTL'][2]) + seconds(known['HAUL_RESULT_TTL'][2])
    faults.unless(rule['Filter'] == {'Prefix': ours}, 'lifecycle.json is not for our names')
    faults.unless(rule['Expiration']['Days'] * 86400 > lives, 'lifecycle.json removes what is still known')
    faults.unless(rule['AbortIncompleteMultipartUpload']['DaysAfterInitiation'] >= 2, 'lifecycle.json removes what is still being sent')
