#!/usr/bin/env python3
"""bucket: make in Garage what Haul needs: the bucket, a key that reads and one that also writes, and the lifecycle.

Runs to its end before API and workers start, in the network of the store, whose administration listens on loopback only. Says
what shall be, so every further start changes nothing, or what has changed: a key that was made anew, or a life of
results (HAUL_RESULT_TTL, HAUL_JOB_TTL) that is another now.
"""

import configparser
import json
import math
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from fractions import Fraction

ADMIN = os.environ.get("GARAGE_ADMIN", "http://127.0.0.1:3903")
BUCKET = os.environ["HAUL_S3_BUCKET"]
SECRETS = os.environ.get("SECRETS", "/secrets")
ATTEMPTS, ANSWERED_WITHIN_S = 5, 10
DAY_S = 24 * 3600
# by docs/decisions/0036 nobody has a link to what is older than the first two together, and no upload goes on for longer than the third
LIVES = {"HAUL_JOB_TTL": "48h", "HAUL_RESULT_TTL": "24h"}
LONGEST = {"HAUL_JOB_TIMEOUT": "1h"}
# hours, minutes, seconds, milliseconds: each in seconds, and by the names that Haul knows
UNITS = (3600, 60, 1, Fraction(1, 1000))
NAMES = ("h|hrs?|hours?", "m|mins?|minutes?", "s|secs?|seconds?", "ms|msecs?|millis?|milliseconds?")
COUNT = r"\d+(?:[.,]\d+)?"
# the names in Garage of the two keys: every other one is an operator's
KEYS = {"api": "haul-api", "worker": "haul-worker"}


def say(what: str) -> None:
    print(f"bucket: {what}", flush=True)


def read(name: str) -> str:
    with open(f"{SECRETS}/{name}") as file:
        return file.read()


class Refused(Exception):
    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"Garage answered {status}: {said}")
        self.status = status


def ask(call: str, body: object = None, **query: str) -> dict:
    """One call of Garage's administration, version 2. Each sets something or asks for it: what went unanswered is asked again."""
    url = f"{ADMIN}/v2/{call}?{urllib.parse.urlencode(query)}"
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {read('store/admin_token').strip()}", "Content-Type": "application/json"}
    for left in reversed(range(ATTEMPTS)):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=ANSWERED_WITHIN_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            refused = Refused(error.code, error.read(2000).decode(errors="replace"))
            if error.code < 500 or not left:
                raise refused from None
        except OSError:
            if not left:
                raise
        time.sleep(1)
    raise AssertionError("the last attempt returns or raises")


def bucket() -> str:
    try:
        return ask("GetBucketInfo", globalAlias=BUCKET)["id"]
    except Refused as refused:
        if refused.status != 404:
            raise
    try:
        made = ask("CreateBucket", {"globalAlias": BUCKET})["id"]
    except Refused as refused:
        # an attempt that went unanswered has made it
        if refused.status != 409:
            raise
        return ask("GetBucketInfo", globalAlias=BUCKET)["id"]
    say(f"{BUCKET} is made")
    return made


def allow(bucket_id: str, who: str, may_write: bool) -> str:
    """Its key. Neither may own the bucket: who owns it can change its lifecycle, and open it to everybody."""
    file = configparser.ConfigParser()
    file.read_string(read(f"{who}/credentials"))
    key = file["default"]["aws_access_key_id"]
    try:
        ask("GetKeyInfo", id=key)
    except Refused as refused:
        if refused.status != 404:
            raise
        pair = {"accessKeyId": key, "secretAccessKey": file["default"]["aws_secret_access_key"], "name": KEYS[who]}
        try:
            ask("ImportKey", pair)
        except Refused as refused:
            if refused.status != 409:
                raise
        say(f"the key of the {who} is made")
    rights = {"read": True, "write": may_write, "owner": False}
    for call, kind in ("AllowBucketKey", True), ("DenyBucketKey", False):
        permissions = {right: has is kind for right, has in rights.items()}
        ask(call, {"bucketId": bucket_id, "accessKeyId": key, "permissions": permissions})
    return key


def forget_others(bucket_id: str, ours: set[str]) -> None:
    """A key of ours whose secret was made anew opens nothing any more, and neither does a link that it has signed."""
    for key in ask("GetBucketInfo", id=bucket_id)["keys"]:
        if key["name"] in KEYS.values() and key["accessKeyId"] not in ours:
            try:
                ask("DeleteKey", {}, id=key["accessKeyId"])
            except Refused as refused:
                if refused.status != 404:
                    raise
            say(f"a former key, {key['name']}, is removed")


def duration(text: str) -> Fraction | None:
    """Seconds of what Haul takes for a duration (crates/shared/src/config/parse.rs): `24h`, `1.5 hours`, `1h, 30min`, `24:00:00`,
    `PT24H`. None for what it refuses, and for parts of a millisecond."""
    text = text.strip().removeprefix("+")
    if ":" in text:
        pattern = r"(\d+):(\d+):(\d+(?:[.,]\d+)?)"
    elif text[:1] in "Pp":
        pattern = "(?i:PT" + "".join(rf"(?:({COUNT}){unit})?" for unit in "HMS") + ")"
    else:
        pattern = "".join(rf"(?:({COUNT})\s*(?:{names})(?:,?\s+|(?=\d)|$))?" for names in NAMES)
    found = re.fullmatch(pattern, text, re.A)
    counts = found.groups() if found else ()
    if not any(counts):
        return None
    return sum(Fraction((count or "0").replace(",", ".")) * unit for count, unit in zip(counts, UNITS))


def days(variables: dict[str, str]) -> int:
    """So many whole days as all of these lives together take."""
    seconds = Fraction()
    for name, default in variables.items():
        text = os.environ.get(name) or default
        life = duration(text)
        if life is None:
            sys.exit(f"bucket: {name}: please write {text!r} in hours, minutes and seconds, such as 24h, 1h 30m or 90m")
        seconds += life
    return math.ceil(seconds / DAY_S)


def lifecycle() -> list[dict]:
    """A second broom behind the workers, for what none of them is left to remove."""
    expiry, abort = days(LIVES), days(LONGEST)
    return [
        {"ID": "results", "Status": "Enabled", "Expiration": {"Days": expiry}},
        {"ID": "uploads", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": abort}},
    ]


def main() -> None:
    bucket_id = bucket()
    forget_others(bucket_id, {allow(bucket_id, "api", may_write=False), allow(bucket_id, "worker", may_write=True)})
    rules = lifecycle()
    ask("UpdateBucket", {"lifecycleRules": rules}, id=bucket_id)
    expiry, abort = rules[0]["Expiration"]["Days"], rules[1]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
    say(f"{BUCKET} is there; it removes results after {expiry} days, unfinished uploads after {abort}")


if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError) as error:
        sys.exit(f"bucket: {error}")
