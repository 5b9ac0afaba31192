"""The job of an RQ stack as it is usually written: yt_dlp into a temporary folder, upload_fileobj, a presigned link."""

import os
import tempfile

import boto3
import yt_dlp
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

client = None

# parts as large as one request takes well; a small file goes up in one, without threads
transfer = TransferConfig(multipart_threshold=16 << 20, multipart_chunksize=16 << 20, max_concurrency=8)
whole = TransferConfig(multipart_threshold=16 << 20, use_threads=False)


def open_store(store):
    """Once per worker, before it forks or takes its first job."""
    global client
    # no checksum beside that of the signature; as many connections as a transfer has threads
    config = Config(
        max_pool_connections=16, request_checksum_calculation="when_required", response_checksum_validation="when_required"
    )
    client = boto3.client("s3", config=config, **store)


def options(folder, hooks=()):
    return {
        "format": "bv*+ba/b",
        "merge_output_format": "mp4",
        "outtmpl": os.path.join(folder, "media.%(ext)s"),
        "concurrent_fragment_downloads": 8,
        "progress_hooks": list(hooks),
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
    }


def download(url, key, scratch, hooks=()):
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        with yt_dlp.YoutubeDL(options(folder, hooks)) as ydl:
            info = ydl.extract_info(url)
        path = info["requested_downloads"][0]["filepath"]
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            client.upload_fileobj(file, "media", key, Config=whole if size < whole.multipart_threshold else transfer)
    return size, client.generate_presigned_url("get_object", Params={"Bucket": "media", "Key": key})
