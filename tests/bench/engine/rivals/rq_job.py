"""The job of an RQ stack as it is usually written: yt_dlp into a temporary folder, upload_fileobj, a presigned link."""

import os
import tempfile

import boto3
import yt_dlp

client = None


def open_store(store):
    """Once per worker, before it forks or takes its first job."""
    global client
    client = boto3.client("s3", **store)


def options(folder):
    return {
        "format": "bv*+ba/b",
        "merge_output_format": "mp4",
        "outtmpl": os.path.join(folder, "media.%(ext)s"),
        "concurrent_fragment_downloads": 4,
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
    }


def download(url, key, scratch):
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        with yt_dlp.YoutubeDL(options(folder)) as ydl:
            info = ydl.extract_info(url)
        path = info["requested_downloads"][0]["filepath"]
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            client.upload_fileobj(file, "media", key)
    return size, client.generate_presigned_url("get_object", Params={"Bucket": "media", "Key": key})
