//! Trying a bucket out: each thing that Haul will ask of it, once, with objects that are removed again.
//!
//! These have names of ours. What a trial that is killed leaves behind is an orphan like any other, which a worker finds
//! (`haul-worker`, orphans).

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::config::ProvideCredentials as _;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use tokio::time::timeout;
use url::Url;

use super::fault::is_absent;
use super::{READY_KEY, S3Store};
use crate::ids::{Fence, JobId};
use crate::storage::{LinkSpec, ObjectKey};

/// For one answer.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// What the object holds.
const BYTES: &[u8] = b"written by haul's doctor, and removed again";

/// What is asked of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// To know us: credentials are found.
    Credentials,
    /// To be there.
    Bucket,
    /// To take an object.
    Put,
    /// To tell of it.
    Head,
    /// To give it back.
    Get,
    /// To give it to whoever holds a link.
    Link,
    /// To tell what it holds; to an API, that it does not hold an object.
    List,
    /// To take an object in parts.
    Multipart,
    /// To forget what was sent of one.
    Abort,
    /// To tell which objects in parts are not finished.
    ListUploads,
    /// To remove an object.
    Delete,
}

/// Why it is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There are no credentials.
    NoCredentials,
    /// The server can't be reached.
    Unreachable(String),
    /// No answer in time.
    Silent,
    /// There is no such bucket.
    NoBucket,
    /// The bucket is in another region, maybe this one.
    OtherRegion(Option<String>),
    /// Nobody has this access key.
    UnknownKey,
    /// The secret key is another one, or a proxy changes what is signed.
    Signature,
    /// The clocks differ.
    Clock,
    /// It is not allowed.
    Denied,
    /// There is no room.
    Full,
    /// The server does not know such a call.
    Unknown,
    /// Anything else, in its own words.
    Other(String),
}

/// What came of one.
pub type Tried = (Deed, Result<(), Refusal>);

impl S3Store {
    /// Does once all that this process will need to do, in this order; what depends on what was refused is left out.
    pub async fn try_out(&self) -> Vec<Tried> {
        let mut tried = vec![(Deed::Credentials, self.has_credentials().await)];
        if tried[0].1.is_ok() {
            tried.push((Deed::Bucket, self.has_bucket().await));
        }
        if !matches!(tried.last(), Some((Deed::Bucket, Ok(())))) {
            return tried;
        }
        if self.writes {
            // two: Garage drops an upload whose object is put or deleted meanwhile
            let [object, parted] = std::array::from_fn(|_| ObjectKey::new(JobId::new(), Fence(0), "probe"));
            let (by_put, rest) = tokio::join!(self.try_object(&object), self.try_parts(&parted));
            tried.extend(by_put.into_iter().chain(rest));
        } else {
            // no object is made: what a worker leaves at its start is as good, and so is that it is not there yet
            let get = self.client.get_object().bucket(&self.bucket).key(READY_KEY);
            let got = answer(get.send()).await;
            let got = got.map(drop).or_else(none_is_fine);
            // who may read nothing is told of nothing what is missing
            let told = if got.is_ok() { Some(self.try_missing().await) } else { None };
            tried.push((Deed::Get, got));
            tried.push((Deed::Link, self.try_link(READY_KEY).await));
            tried.extend(told.map(|told| (Deed::List, told)));
        }
        tried
    }

    /// Its name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    async fn has_credentials(&self) -> Result<(), Refusal> {
        let Some(provider) = &self.credentials else { return Err(Refusal::NoCredentials) };
        match timeout(2 * ANSWERED_WITHIN, provider.provide_credentials()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Refusal::NoCredentials),
        }
    }

    /// Asked by a list: an answer without a body, as that to `HeadBucket`, does not tell why.
    async fn has_bucket(&self) -> Result<(), Refusal> {
        let head = self.client.head_bucket().bucket(&self.bucket);
        match answer(head.send()).await {
            Ok(_) => return Ok(()),
            Err(NoAnswer::Refused(Refusal::OtherRegion(region))) => return Err(Refusal::OtherRegion(region)),
            Err(NoAnswer::Absent) => return Err(Refusal::NoBucket),
            Err(_) => {}
        }
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(READY_KEY).max_keys(1);
        match answer(list.send()).await.map(drop) {
            // a policy for the objects alone: each will tell
            Ok(()) | Err(NoAnswer::Refused(Refusal::Denied)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is told that an object is not there: S3 tells whoever may list, and forbids it to others.
    async fn try_missing(&self) -> Result<(), Refusal> {
        let missing = ObjectKey::new(JobId::new(), Fence(0), "probe");
        let get = self.client.get_object().bucket(&self.bucket).key(missing.as_str());
        answer(get.send()).await.map(drop).or_else(none_is_fine)
    }

    /// An object from its making to its end. What may be in the bucket is removed whatever came of the rest.
    async fn try_object(&self, object: &ObjectKey) -> Vec<Tried> {
        let put = self.put_object(object, ByteStream::from_static(BYTES), "text/plain");
        let put = answer(put.send()).await.map(drop).map_err(Refusal::from);
        let is_there = put.is_ok();
        // an answer that was lost may have been one that it was done
        let may_be_there = !matches!(put, Err(Refusal::Denied | Refusal::Full | Refusal::Signature));
        let mut tried = vec![(Deed::Put, put)];
        if is_there {
            let head = self.client.head_object().bucket(&self.bucket).key(object.as_str());
            let get = self.client.get_object().bucket(&self.bucket).key(object.as_str());
            let (head, got, link) =
                tokio::join!(answer(head.send()), answer(get.send()), self.try_link(object.as_str()));
            tried.push((Deed::Head, head.map(drop).map_err(Refusal::from)));
            tried.push((Deed::Get, got.map(drop).map_err(Refusal::from)));
            tried.push((Deed::Link, link));
        }
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(object.as_str()).max_keys(1);
        tried.push((Deed::List, answer(list.send()).await.map(drop).map_err(Refusal::from)));
        if may_be_there {
            let delete = self.client.delete_object().bucket(&self.bucket).key(object.as_str());
            let deleted = answer(delete.send()).await.map(drop).or_else(none_is_fine);
            if is_there || deleted.is_err() {
                tried.push((Deed::Delete, deleted));
            }
        }
        tried
    }

    /// An object in parts, which is given up.
    async fn try_parts(&self, object: &ObjectKey) -> Vec<Tried> {
        let uploads = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(object.as_str()).max_uploads(1);
        let listed = answer(uploads.send()).await.map(drop).map_err(Refusal::from);
        let create = self.client.create_multipart_upload().bucket(&self.bucket).key(object.as_str());
        let create = create.set_server_side_encryption(self.encryption.clone());
        let begun = answer(create.set_ssekms_key_id(self.kms_key.clone()).send()).await;
        let id = match begun {
            Ok(begun) => begun.upload_id,
            Err(error) => return vec![(Deed::Multipart, Err(error.into())), (Deed::ListUploads, listed)],
        };
        let part = self.client.upload_part().bucket(&self.bucket).key(object.as_str()).set_upload_id(id.clone());
        let part = part.part_number(1).body(ByteStream::from_static(BYTES));
        let sent = answer(part.send()).await.map(drop).map_err(Refusal::from);
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(object.as_str()).set_upload_id(id);
        let aborted = answer(abort.send()).await.map(drop).map_err(Refusal::from);
        vec![(Deed::Multipart, sent), (Deed::Abort, aborted), (Deed::ListUploads, listed)]
    }

    /// A link as clients get it, followed from here, by the way that the bucket is asked by: where the environment names a proxy,
    /// the SDK goes through it, and so does this.
    async fn try_link(&self, key: &str) -> Result<(), Refusal> {
        let spec = LinkSpec {
            expires_in: Duration::from_secs(60),
            filename: "doctor.txt".to_owned(),
            content_type: "text/plain".to_owned(),
            inline: false,
        };
        let link = self.link_to(key, &spec).await.map_err(|error| Refusal::Other(error.to_string()))?;
        let unreachable = |error: reqwest::Error| Refusal::Unreachable(innermost(&error.without_url()));
        let client = reqwest::Client::builder().timeout(ANSWERED_WITHIN).redirect(reqwest::redirect::Policy::none());
        let answer = client
            .build()
            .map_err(unreachable)?
            .get(link)
            .send()
            .await
            .map_err(|error| if error.is_timeout() { Refusal::Silent } else { unreachable(error) })?;
        match answer.status().as_u16() {
            // signed as it should be, for an object that is not there yet
            200..300 | 404 => Ok(()),
            401 | 403 => Err(Refusal::Denied),
            status => Err(Refusal::Other(format!("it answers {status}"))),
        }
    }

    /// How far the server's clock is from ours, in whole seconds, as `Date` of any answer has it; `None`: it does not tell.
    pub async fn clock_off(&self) -> Option<Duration> {
        let client = reqwest::Client::builder().timeout(ANSWERED_WITHIN).redirect(reqwest::redirect::Policy::none());
        let before = Timestamp::now();
        let answer = client.build().ok()?.head(Url::clone(&self.endpoint)).send().await.ok()?;
        let after = Timestamp::now();
        let date = answer.headers().get(reqwest::header::DATE)?;
        let theirs = DateTimeParser::new().parse_timestamp(date.as_bytes()).ok()?;
        // they tell whole seconds
        let (early, late) = (theirs.duration_until(before).as_secs() - 1, after.duration_until(theirs).as_secs());
        Some(Duration::from_secs(early.max(late).max(0).unsigned_abs()))
    }
}

/// What came instead of the answer that was wanted.
enum NoAnswer {
    /// That there is none such.
    Absent,
    Refused(Refusal),
}

impl From<NoAnswer> for Refusal {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Absent => Self::Other("it says that there is none such".to_owned()),
            NoAnswer::Refused(refusal) => refusal,
        }
    }
}

/// Where it is as good that nothing is there.
fn none_is_fine(no_answer: NoAnswer) -> Result<(), Refusal> {
    match no_answer {
        NoAnswer::Absent => Ok(()),
        NoAnswer::Refused(refusal) => Err(refusal),
    }
}

async fn answer<T, E>(call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>) -> Result<T, NoAnswer>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match timeout(ANSWERED_WITHIN, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_absent(&error) => Err(NoAnswer::Absent),
        Ok(Err(error)) => Err(NoAnswer::Refused(refusal(&error))),
        Err(_) => Err(NoAnswer::Refused(Refusal::Silent)),
    }
}

/// What an answer that is an error says.
pub(super) fn refusal<E>(error: &SdkError<E, HttpResponse>) -> Refusal
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match error {
        SdkError::TimeoutError(_) => return Refusal::Silent,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => return Refusal::Silent,
        SdkError::DispatchFailure(_) => return Refusal::Unreachable(innermost(error)),
        _ => {}
    }
    let header = |name: &str| error.raw_response().and_then(|answer| answer.headers().get(name)).map(str::to_owned);
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    by_code(error.code(), status, header("x-amz-bucket-region")).unwrap_or_else(|| {
        Refusal::Other(error.message().or(error.code()).map_or_else(|| innermost(error), str::to_owned))
    })
}

/// By what is meant for machines. A `HEAD` has a status alone.
fn by_code(code: Option<&str>, status: Option<u16>, region: Option<String>) -> Option<Refusal> {
    Some(match (code, status) {
        (Some("NoSuchBucket"), _) => Refusal::NoBucket,
        (Some("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed"), _)
        | (_, Some(301 | 307)) => Refusal::OtherRegion(region),
        (Some("InvalidAccessKeyId"), _) => Refusal::UnknownKey,
        (Some("SignatureDoesNotMatch"), _) => Refusal::Signature,
        (Some("RequestTimeTooSkewed" | "RequestExpired"), _) => Refusal::Clock,
        (Some("QuotaExceeded" | "XMinioStorageFull"), _) | (_, Some(507)) => Refusal::Full,
        (Some("NotImplemented"), _) | (_, Some(405 | 501)) => Refusal::Unknown,
        (Some("AccessDenied"), _) | (_, Some(401 | 403)) => Refusal::Denied,
        _ => return None,
    })
}

/// The last of the causes: those above it say that something went wrong.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_code_and_status() {
        let eu = || Some("eu-west-1".to_owned());
        for (code, status, refusal) in [
            (Some("NoSuchBucket"), 404, Some(Refusal::NoBucket)),
            (Some("AuthorizationHeaderMalformed"), 400, Some(Refusal::OtherRegion(eu()))),
            (None, 301, Some(Refusal::OtherRegion(eu()))),
            (Some("InvalidAccessKeyId"), 403, Some(Refusal::UnknownKey)),
            (Some("SignatureDoesNotMatch"), 403, Some(Refusal::Signature)),
            (Some("RequestTimeTooSkewed"), 403, Some(Refusal::Clock)),
            (Some("QuotaExceeded"), 403, Some(Refusal::Full)),
            (None, 507, Some(Refusal::Full)),
            (None, 501, Some(Refusal::Unknown)),
            (Some("AccessDenied"), 403, Some(Refusal::Denied)),
            (None, 403, Some(Refusal::Denied)),
            (Some("InternalError"), 500, None),
        ] {
            assert_eq!(by_code(code, Some(status), eu()), refusal, "{code:?} {status}");
        }
    }
}
