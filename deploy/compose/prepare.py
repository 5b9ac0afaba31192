#!/usr/bin/env python3
"""prepare: make the secrets of docker-compose.yml on its first start, and hand its volumes to who works in them.

Runs to its end before anything else starts, as root with two capabilities and without a network. What is there already is
left as it is, so every further start changes nothing. Each file is whole or not there: a start that was cut off is
made good by the next one.
"""

import os
import secrets
import sys
from pathlib import Path

# of both images, and of what runs beside them (`user:` in docker-compose.yml)
WORKS_AS = 10001


def say(what: str) -> None:
    print(f"prepare: {what}", flush=True)


def s3_key() -> str:
    """A pair of credentials, in the form that every S3 client reads."""
    lines = ["[default]", f"aws_access_key_id = GK{secrets.token_hex(12)}", f"aws_secret_access_key = {secrets.token_hex(32)}"]
    return "\n".join(lines) + "\n"


# a volume for each reader: nobody can read what is another's
SECRETS = {
    "store/rpc_secret": lambda: secrets.token_hex(32),
    "store/admin_token": lambda: secrets.token_urlsafe(32),
    "api/credentials": s3_key,
    "worker/credentials": s3_key,
}


def make(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        os.fchown(file.fileno(), WORKS_AS, WORKS_AS)
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def hand_over(volume: Path) -> None:
    """The volume itself comes last: who has it, has all that is in it."""
    if volume.stat().st_uid == WORKS_AS:
        return
    for folder, folders, files in os.walk(volume, topdown=False):
        for name in folders + files:
            os.chown(os.path.join(folder, name), WORKS_AS, WORKS_AS, follow_symlinks=False)
    os.chown(volume, WORKS_AS, WORKS_AS)
    say(f"{volume} is handed over")


def main(top: Path) -> None:
    for name, secret in SECRETS.items():
        if not (top / "secrets" / name).exists():
            make(top / "secrets" / name, secret())
            say(f"{name} is made")
    for volume in sorted((top / "volumes").iterdir()):
        hand_over(volume)


main(Path(sys.argv[1] if len(sys.argv) > 1 else "/"))
