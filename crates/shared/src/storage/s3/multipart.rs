//! An object in parts: of a large file, read as they are sent, or of bytes that are still being fetched.
//!
//! An upload that fails or is dropped is aborted once its parts have ended (`part`), so that they are not kept and paid for;
//! whoever ends the process waits for that (`S3Store::settled`). What dies with the process is left to the bucket's
//! lifecycle rule for incomplete uploads.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::warn;

use super::fault::told;
use super::part::{self, Passage};
use super::{CACHE_CONTROL, S3Store, body_of, slow};
use crate::storage::upload::{MIB, part_bytes};
use crate::storage::{ObjectKey, ObjectMeta, StorageError};

/// Parts of a file on their way at once, as many as boto3 and the AWS CLI send (`max_concurrency`,
/// `max_concurrent_requests`): stores give each connection only so much. Each is read as it is sent.
const PARALLEL: usize = 10;
/// The smallest part of a file, in bytes; larger than it must be, for each is a paid call.
const PART: u64 = 8 * MIB;

pub(super) async fn put(
    store: &S3Store,
    key: &ObjectKey,
    file: &Path,
    size_bytes: u64,
    meta: &ObjectMeta,
    uploaded: impl Fn(u64) + Send + Sync,
) -> Result<(), StorageError> {
    let upload = Upload::begin(store, key, &meta.content_type, Some(&meta.sha256)).await?;
    match send(&upload, file, size_bytes, &uploaded).await {
        Ok(()) => {
            upload.done();
            Ok(())
        }
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

async fn send(
    upload: &Upload,
    file: &Path,
    size_bytes: u64,
    uploaded: impl Fn(u64) + Sync,
) -> Result<(), StorageError> {
    let (done, uploaded) = (&AtomicU64::new(0), &uploaded);
    let parts: Vec<CompletedPart> = stream::iter(parts_of(size_bytes))
        .map(|part| async move {
            let body = body_of(file, part.offset, part.length).await?;
            let sent = upload.part(part.number, part.length, body).await?;
            uploaded(done.fetch_add(part.length, Ordering::Relaxed) + part.length);
            Ok::<_, StorageError>(sent)
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    upload.complete(parts, size_bytes).await
}

/// An upload that was begun. Dropped before it is done, it is aborted.
#[derive(Debug)]
pub(in crate::storage) struct Upload {
    client: Client,
    bucket: String,
    key: ObjectKey,
    /// None when there is nothing to abort any more.
    id: Option<String>,
    /// Those that have not ended.
    parts: TaskTracker,
    uploads: TaskTracker,
    /// Dropped after the task that aborts has begun: between the two, nothing is taken for settled.
    _under_way: TaskTrackerToken,
}

impl Upload {
    /// Begins one. What is kept beside the bytes is said now; a hash that is not known yet is not kept.
    pub(in crate::storage) async fn begin(
        store: &S3Store,
        key: &ObjectKey,
        content_type: &str,
        sha256: Option<&str>,
    ) -> Result<Self, StorageError> {
        let mut create = store
            .client
            .create_multipart_upload()
            .bucket(&store.bucket)
            .key(key.as_str())
            .content_type(content_type)
            .cache_control(CACHE_CONTROL)
            .set_server_side_encryption(store.encryption.clone())
            .set_ssekms_key_id(store.kms_key.clone());
        if let Some(sha256) = sha256 {
            create = create.metadata("sha256", sha256);
        }
        let uploads = &store.uploads;
        let begun = Self::created(create, store.client.clone(), store.bucket.clone(), key.clone(), uploads.clone());
        // in a task of its own: dropped while the answer is on its way, the upload still gets its guard
        uploads.spawn(begun).await.map_err(|stopped| StorageError::Unavailable(stopped.into()))?
    }

    async fn created(
        create: CreateMultipartUploadFluentBuilder,
        client: Client,
        bucket: String,
        key: ObjectKey,
        uploads: TaskTracker,
    ) -> Result<Self, StorageError> {
        let id = create.send().await.map_err(told)?.upload_id;
        if id.is_none() {
            return Err(StorageError::Unavailable("an upload without an id".into()));
        }
        let under_way = uploads.token();
        Ok(Self { client, bucket, key, id, parts: TaskTracker::new(), uploads, _under_way: under_way })
    }

    /// Sends a part; the body is asked for again when an attempt failed. Dropped, the part is given up.
    pub(in crate::storage) async fn part(
        &self,
        number: i32,
        length: u64,
        body: ByteStream,
    ) -> Result<CompletedPart, StorageError> {
        let (passage, given_up) = (Passage::default(), CancellationToken::new());
        let asked = self.client.upload_part().bucket(&self.bucket).key(self.key.as_str()).body(passage.watch(body));
        let asked = asked.set_upload_id(self.id.clone()).part_number(number).content_length(length.cast_signed());
        let asked = asked.customize().config_override(slow()).disable_payload_signing();
        let call = async move { asked.send().await.map_err(told) };
        let _given_up = given_up.clone().drop_guard();
        let sent = self.parts.spawn(part::send(call, passage, given_up));
        let answer = sent.await.map_err(|stopped| StorageError::Unavailable(stopped.into()))??;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag).build())
    }

    /// Makes the object of its parts, which may come in any order.
    pub(in crate::storage) async fn complete(
        &self,
        mut parts: Vec<CompletedPart>,
        size_bytes: u64,
    ) -> Result<(), StorageError> {
        parts.sort_by_key(CompletedPart::part_number);
        let whole = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let asked = self.client.complete_multipart_upload().bucket(&self.bucket).key(self.key.as_str());
        let asked = asked.set_upload_id(self.id.clone()).multipart_upload(whole);
        let Err(error) = asked.customize().config_override(slow()).send().await else { return Ok(()) };
        // a lost answer is asked for again, and then the upload is no more; nobody else writes to this key
        let there = self.client.head_object().bucket(&self.bucket).key(self.key.as_str()).send().await;
        let size = there.ok().and_then(|head| head.content_length());
        if size.and_then(|size| u64::try_from(size).ok()) == Some(size_bytes) { Ok(()) } else { Err(told(error)) }
    }

    /// There is nothing to abort any more.
    pub(in crate::storage) fn done(mut self) {
        self.id = None;
    }

    /// Gives it up, and waits until the store knows.
    pub(in crate::storage) async fn abort(mut self) {
        if let Some(task) = self.begin_abort() {
            // the task logs what went wrong
            let _ended = task.await;
        }
    }

    /// Aborts in a task of its own, which nobody can drop.
    fn begin_abort(&mut self) -> Option<JoinHandle<()>> {
        let (id, runtime) = (self.id.take()?, Handle::try_current().ok()?);
        let aborted = abort(self.client.clone(), self.bucket.clone(), self.key.clone(), id);
        let parts = self.parts.clone();
        let last = async move {
            // all of them are given up: whoever sends one borrows the upload
            parts.close();
            parts.wait().await;
            aborted.await;
        };
        Some(self.uploads.spawn_on(last, &runtime))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.begin_abort();
    }
}

async fn abort(client: Client, bucket: String, key: ObjectKey, id: String) {
    let asked = client.abort_multipart_upload().bucket(bucket).key(key.as_str()).upload_id(id);
    if let Err(error) = asked.send().await {
        warn!(object = %key, error = %told(error), "parts of a broken upload may be left in the bucket");
    }
}

/// Bytes `offset..offset + length` of a file; numbers begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    number: i32,
    offset: u64,
    length: u64,
}

/// Cuts a file into parts of one size, the last of what is left.
fn parts_of(size_bytes: u64) -> impl Iterator<Item = Part> {
    let length = part_bytes(size_bytes, PART);
    (1..)
        .zip((0..size_bytes).step_by(usize::try_from(length).unwrap_or(usize::MAX)))
        .map(move |(number, offset)| Part { number, offset, length: length.min(size_bytes - offset) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::upload::PARTS;

    #[test]
    fn a_file_of_any_size_fits_into_the_parts_that_s3_takes() {
        for (size, count, first, last) in [
            (16 * MIB + 1, 3, PART, 1),
            (40 * MIB, 5, PART, PART),
            (PARTS * PART, PARTS, PART, PART),
            (PARTS * PART + 1, 8_889, 9 * MIB, 8 * MIB + 1),
            (5 * MIB * MIB, 9_987, 525 * MIB, 230 * MIB),
        ] {
            let parts: Vec<Part> = parts_of(size).collect();
            assert_eq!(parts.len() as u64, count, "{size}");
            assert_eq!((parts[0].number, parts[0].length), (1, first), "{size}");
            assert_eq!(parts.last().map(|part| part.length), Some(last), "{size}");
            assert_eq!(parts.iter().map(|part| part.length).sum::<u64>(), size);
        }
    }
}
