"""A program, then the upload of the one file that it left: what a shell script around yt-dlp or aria2c does.

usage: then_upload.py STORE KEY FOLDER [PROGRAM ARGUMENT...]

STORE is JSON for boto3.client. Says how many bytes went up. Without a program it uploads the file that is there already.
"""

import json
import os
import subprocess
import sys

store, key, folder, *command = sys.argv[1:]
program = subprocess.Popen(command) if command else None

# while the program works: nobody shall wait for an import
import boto3  # noqa: E402

client = boto3.client("s3", **json.loads(store))
if program and program.wait() != 0:
    sys.exit(f"{command[0]} ended with {program.returncode}")
(name,) = os.listdir(folder)
path = os.path.join(folder, name)
with open(path, "rb") as file:
    client.upload_fileobj(file, "media", key)
print(os.path.getsize(path))
