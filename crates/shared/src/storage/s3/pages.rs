//! What a bucket holds: its objects, then its uploads that nobody finished.

use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::primitives::DateTime;
use jiff::Timestamp;

use super::S3Store;
use super::fault::told;
use crate::storage::survey::{Found, PAGE, What};
use crate::storage::{ObjectKey, StorageError};

/// What all names of ours begin with.
pub(super) const OURS: &str = "m/";

/// Where a look at a bucket is.
#[derive(Debug)]
pub(in crate::storage) struct Pages {
    store: S3Store,
    at: At,
}

/// What comes next. `None`: from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Objects(Option<String>),
    /// Key and id of the last upload that was told.
    Uploads(Option<(String, Option<String>)>),
    End,
}

impl S3Store {
    pub(in crate::storage) fn pages(&self) -> Pages {
        Pages { store: self.clone(), at: At::Objects(None) }
    }

    pub(in crate::storage) async fn remove(&self, found: &Found) -> Result<(), StorageError> {
        let What::Upload(id) = &found.what else { return self.delete(&found.key).await };
        let asked = self.client.abort_multipart_upload().bucket(&self.bucket).key(found.key.as_str()).upload_id(id);
        match asked.send().await {
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            answer => answer.map(drop).map_err(told),
        }
    }
}

impl Pages {
    pub(in crate::storage) async fn next(&mut self) -> Result<Option<Vec<Found>>, StorageError> {
        let (page, next) = match &self.at {
            At::Objects(token) => self.objects(token.clone()).await?,
            At::Uploads(marker) => self.uploads(marker.clone()).await?,
            At::End => return Ok(None),
        };
        if next == self.at {
            // a server that does not go on would be asked for ever
            return Err(StorageError::Unavailable("a page that leads to itself".into()));
        }
        self.at = next;
        Ok(Some(page))
    }

    async fn objects(&self, token: Option<String>) -> Result<(Vec<Found>, At), StorageError> {
        let asked = self.store.client.list_objects_v2().bucket(&self.store.bucket).prefix(OURS);
        let asked = asked.max_keys(PAGE as i32).set_continuation_token(token);
        let answer = asked.send().await.map_err(told)?;
        let page = answer.contents().iter().filter_map(|object| {
            let size_bytes = object.size()?.try_into().ok()?;
            Some(Found {
                key: ObjectKey::parse(object.key()?).ok()?,
                size_bytes,
                modified: time(object.last_modified()?)?,
                what: What::Object,
            })
        });
        let page = page.collect();
        let next = answer.next_continuation_token.filter(|_| answer.is_truncated == Some(true));
        Ok((page, next.map_or(At::Uploads(None), |token| At::Objects(Some(token)))))
    }

    async fn uploads(&self, marker: Option<(String, Option<String>)>) -> Result<(Vec<Found>, At), StorageError> {
        let (key, id) = marker.map_or((None, None), |(key, id)| (Some(key), id));
        let asked = self.store.client.list_multipart_uploads().bucket(&self.store.bucket).prefix(OURS);
        let asked = asked.max_uploads(PAGE as i32).set_key_marker(key).set_upload_id_marker(id);
        let answer = match asked.send().await {
            // not every server can tell: its lifecycle rule is all there is then
            Err(error) if is_unknown_call(&error) => return Ok((Vec::new(), At::End)),
            answer => answer.map_err(told)?,
        };
        let page = answer.uploads().iter().filter_map(|upload| {
            Some(Found {
                key: ObjectKey::parse(upload.key()?).ok()?,
                size_bytes: 0,
                modified: time(upload.initiated()?)?,
                what: What::Upload(upload.upload_id()?.to_owned()),
            })
        });
        let page = page.collect();
        let next = answer.next_key_marker.filter(|_| answer.is_truncated == Some(true));
        Ok((page, next.map_or(At::End, |key| At::Uploads(Some((key, answer.next_upload_id_marker))))))
    }
}

fn is_unknown_call<E>(error: &SdkError<E>) -> bool
where
    SdkError<E>: aws_sdk_s3::error::ProvideErrorMetadata,
{
    error.code() == Some("NotImplemented") || error.raw_response().is_some_and(|answer| answer.status().as_u16() == 501)
}

fn time(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), time.subsec_nanos().try_into().ok()?).ok()
}
