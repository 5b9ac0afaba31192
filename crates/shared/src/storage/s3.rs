//! The store in a bucket of S3, R2, or another server that speaks its protocol.
//!
//! Asks of the server only what all of them do alike: no checksums (some store the framing of one inside the object, some
//! refuse them), no conditional put (some ignore it). Only the look for orphans lists. A signature covers a request but not the bytes of an
//! object: `docs/decisions/0020`.

mod fault;
mod lifecycle;
pub(super) mod multipart;
mod pages;
mod part;
mod trial;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::ServerSideEncryption;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::task::TaskTracker;
use url::Url;

use super::{LinkSpec, ObjectBody, ObjectKey, ObjectMeta, Role, StorageError, content_disposition, size_of};
use crate::config::Sse;
use crate::metrics::StorageCalls;
use fault::{is_absent, refuse, told};
pub use lifecycle::UploadsRule;
pub(super) use pages::Pages;
pub use trial::{Deed, Refusal, Tried};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// One attempt of a call without a big body.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The head of an object that is read, in all attempts: less than the client of an API has time for, who is then told to
/// come back.
const READ_WITHIN: Duration = Duration::from_secs(20);
/// One of these attempts: on a connection that carries nothing any more another one is tried in time.
const READ_ATTEMPT_WITHIN: Duration = Duration::from_secs(8);
/// One attempt to send a part: 8 MiB at 28 KiB/s. What stops altogether is ended after [`STALLED_AFTER`].
pub(super) const SEND_WITHIN: Duration = Duration::from_secs(300);
const STALLED_AFTER: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 3;
/// Where credentials come over the network, a link may have to wait for them.
const PRESIGN_WITHIN: Duration = Duration::from_secs(10);
/// Larger files are sent in parts, in bytes.
const ONE_PUT: u64 = 16 * 1024 * 1024;
/// How much of a file is read at once, in bytes; the SDK's 4 KiB would be a trip to another thread each.
const FILE_CHUNK: usize = 256 * 1024;
/// Objects never change, and belong to one client.
const CACHE_CONTROL: &str = "private, max-age=86400, immutable";
/// What a worker writes and the API reads to see whether the bucket answers; below `m/` like all objects, so that a
/// policy for `m/*` covers it.
const READY_KEY: &str = "m/ready";

/// Which bucket, and how to reach it.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// The bucket; it must exist.
    pub bucket: String,
    /// The server, when it is not Amazon's.
    pub endpoint: Option<Url>,
    /// What requests are signed for; `auto` for R2.
    pub region: String,
    /// How clients reach the same server, for links; default: `endpoint`.
    pub public_endpoint: Option<Url>,
    /// The bucket in the path rather than in the host name.
    pub path_style: bool,
    /// Encryption by the server; default: what the bucket says.
    pub sse: Option<Sse>,
    /// Default: the standard AWS variables and chain.
    pub credentials: Option<AccessKey>,
}

/// A pair of credentials.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: SecretString,
}

/// The store in a bucket.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
    /// The same, as clients reach the server: it only signs.
    public: Client,
    /// Where its clock is read, which any answer tells.
    endpoint: Arc<Url>,
    credentials: Option<SharedCredentialsProvider>,
    bucket: String,
    encryption: Option<ServerSideEncryption>,
    /// None: the account's own.
    kms_key: Option<String>,
    writes: bool,
    /// Uploads in parts that are under way, and what is done to abort others.
    uploads: TaskTracker,
    calls: StorageCalls,
}

impl S3Store {
    /// Prepares the clients. Nothing is sent to the bucket; [`super::Storage::ready`] tells whether it answers.
    pub async fn open(options: &S3Options, role: &Role) -> Self {
        let region = Region::new(options.region.clone());
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(region);
        if let Some(key) = &options.credentials {
            let secret = key.secret.expose_secret().to_owned();
            loader = loader.credentials_provider(Credentials::new(&key.id, secret, None, None, "haul"));
        }
        let shared = loader.load().await;
        let client = |endpoint: Option<&Url>| {
            let mut config = aws_sdk_s3::config::Builder::from(&shared)
                .force_path_style(options.path_style)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
                .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALLED_AFTER).build())
                .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
                .timeout_config(attempt(ANSWER_WITHIN));
            if let Some(url) = endpoint {
                config = config.endpoint_url(url.as_str().trim_end_matches('/'));
            }
            Client::from_conf(config.build())
        };
        let (encryption, kms_key) = match options.sse.clone() {
            None => (None, None),
            Some(Sse::Aes256) => (Some(ServerSideEncryption::Aes256), None),
            Some(Sse::Kms { key }) => (Some(ServerSideEncryption::AwsKms), key),
        };
        Self {
            client: client(options.endpoint.as_ref()),
            public: client(options.public_endpoint.as_ref().or(options.endpoint.as_ref())),
            endpoint: Arc::new(options.endpoint.clone().unwrap_or_else(|| of_amazon(&options.region))),
            credentials: shared.credentials_provider(),
            bucket: options.bucket.clone(),
            encryption,
            kms_key,
            writes: matches!(role, Role::Worker),
            uploads: TaskTracker::new(),
            calls: StorageCalls::new("s3"),
        }
    }

    pub(super) fn calls(&self) -> &StorageCalls {
        &self.calls
    }

    pub(super) async fn put(
        &self,
        key: &ObjectKey,
        file: &Path,
        meta: &ObjectMeta,
        uploaded: impl Fn(u64) + Send + Sync,
    ) -> Result<(), StorageError> {
        let size_bytes = size_of(file).await?;
        if size_bytes > ONE_PUT {
            return multipart::put(self, key, file, size_bytes, meta, uploaded).await;
        }
        let body = body_of(file, 0, size_bytes).await?;
        self.put_body(key, body, &meta.content_type, &meta.sha256).await?;
        uploaded(size_bytes);
        Ok(())
    }

    /// Stores a body in one call.
    pub(super) async fn put_body(
        &self,
        key: &ObjectKey,
        body: ByteStream,
        content_type: &str,
        sha256: &str,
    ) -> Result<(), StorageError> {
        let put = self.put_object(key, body, content_type).metadata("sha256", sha256).customize();
        put.config_override(slow()).disable_payload_signing().send().await.map(drop).map_err(told)
    }

    /// Stores a body that is still being made: it has no limit of time, which is that of whoever makes it. No hash is kept
    /// beside it.
    pub(super) async fn put_coming(
        &self,
        key: &ObjectKey,
        body: ByteStream,
        content_type: &str,
    ) -> Result<(), StorageError> {
        let put = self.put_object(key, body, content_type).customize();
        put.config_override(unhurried()).disable_payload_signing().send().await.map(drop).map_err(told)
    }

    fn put_object(&self, key: &ObjectKey, body: ByteStream, content_type: &str) -> PutObjectFluentBuilder {
        let put = self.client.put_object().bucket(&self.bucket).key(key.as_str()).body(body);
        let put = put.content_type(content_type).cache_control(CACHE_CONTROL);
        put.set_server_side_encryption(self.encryption.clone()).set_ssekms_key_id(self.kms_key.clone())
    }

    pub(super) async fn read(
        &self,
        key: &ObjectKey,
        range: Option<RangeInclusive<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        let range = range.map(|range| format!("bytes={}-{}", range.start(), range.end()));
        let asked = self.client.get_object().bucket(&self.bucket).key(key.as_str()).set_range(range);
        let answer = asked.customize().config_override(soon()).send().await.map_err(told)?;
        let (total_bytes, body_bytes) =
            sizes(&answer).ok_or_else(|| StorageError::Unavailable("an answer without a size".into()))?;
        let modified = answer.last_modified.and_then(|time| Timestamp::from_second(time.secs()).ok());
        let body = stream::try_unfold(answer.body, |mut body| async {
            let chunk = body.try_next().await.map_err(std::io::Error::other)?;
            Ok(chunk.map(|chunk| (chunk, body)))
        });
        Ok(ObjectBody { total_bytes, modified, body_bytes, body: body.boxed() })
    }

    pub(super) async fn link(&self, key: &ObjectKey, spec: &LinkSpec) -> Result<Url, StorageError> {
        self.link_to(key.as_str(), spec).await
    }

    async fn link_to(&self, key: &str, spec: &LinkSpec) -> Result<Url, StorageError> {
        let terms = PresigningConfig::expires_in(spec.expires_in).map_err(refuse)?;
        let signed = self
            .public
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .response_content_disposition(content_disposition(&spec.filename, spec.inline))
            .response_content_type(&spec.content_type)
            .presigned(terms);
        let link = tokio::time::timeout(PRESIGN_WITHIN, signed)
            .await
            .map_err(|late| StorageError::Unavailable(late.into()))?
            .map_err(told)?;
        Url::parse(link.uri()).map_err(refuse)
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let asked = self.client.delete_object().bucket(&self.bucket).key(key.as_str());
        match asked.send().await {
            Err(error) if is_absent(&error) => Ok(()),
            answer => answer.map(drop).map_err(told),
        }
    }

    pub(super) async fn settled(&self) {
        self.uploads.close();
        self.uploads.wait().await;
    }

    pub(super) async fn answers(&self) -> Result<(), StorageError> {
        if self.is_there().await? { Ok(()) } else { self.serves().await }
    }

    pub(super) async fn ready(&self) -> Result<(), StorageError> {
        self.is_there().await?;
        self.serves().await
    }

    /// Whether the bucket said so; not where a policy does not let us ask this, or the answer is a fault: the call that counts
    /// will tell.
    async fn is_there(&self) -> Result<bool, StorageError> {
        match self.client.head_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Err(refuse(error)),
            Err(error) if error.as_service_error().is_none() => Err(told(error)),
            Err(_) => Ok(false),
        }
    }

    /// Does what this process needs of it.
    async fn serves(&self) -> Result<(), StorageError> {
        if self.writes {
            let asked = self.client.put_object().bucket(&self.bucket).key(READY_KEY);
            let asked = asked.body(ByteStream::from_static(b"ready")).content_type("text/plain");
            let asked = asked.set_server_side_encryption(self.encryption.clone());
            return asked.set_ssekms_key_id(self.kms_key.clone()).send().await.map(drop).map_err(told);
        }
        let asked = self.client.get_object().bucket(&self.bucket).key(READY_KEY);
        match asked.send().await {
            // no worker has been here yet
            Err(error) if is_absent(&error) => Ok(()),
            answer => answer.map(drop).map_err(told),
        }
    }
}

fn of_amazon(region: &str) -> Url {
    let url = Url::parse(&format!("https://s3.{region}.amazonaws.com/"));
    url.unwrap_or_else(|_| Url::parse("https://s3.amazonaws.com/").expect("an address"))
}

/// The bytes `offset..offset + length` of a file, read as they are sent, and again when an attempt failed.
pub(super) async fn body_of(file: &Path, offset: u64, length: u64) -> Result<ByteStream, StorageError> {
    let body = ByteStream::read_from().path(file).buffer_size(FILE_CHUNK).offset(offset).length(Length::Exact(length));
    let body = body.build().await;
    body.map_err(|error| StorageError::File(std::io::Error::other(error)))
}

/// Sizes of the whole object and of the body.
fn sizes(answer: &GetObjectOutput) -> Option<(u64, u64)> {
    let body: u64 = answer.content_length()?.try_into().ok()?;
    match answer.content_range() {
        None => Some((body, body)),
        Some(range) => Some((range.rsplit_once('/')?.1.parse().ok()?, body)),
    }
}

fn attempt(within: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(within)
        .operation_attempt_timeout(within)
        .build()
}

/// For calls on which a client waits.
fn soon() -> aws_sdk_s3::config::Builder {
    let attempt = attempt(READ_ATTEMPT_WITHIN).to_builder();
    aws_sdk_s3::Config::builder().timeout_config(attempt.operation_timeout(READ_WITHIN).build())
}

/// For calls that send a big body, or wait until the server has put parts together.
fn slow() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder().timeout_config(attempt(SEND_WITHIN))
}

/// For a body that comes as slowly as it is made.
fn unhurried() -> aws_sdk_s3::config::Builder {
    let never = StalledStreamProtectionConfig::enabled().upload_enabled(false).build();
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN).disable_read_timeout();
    let timeouts = timeouts.disable_operation_attempt_timeout().build();
    aws_sdk_s3::Config::builder().stalled_stream_protection(never).timeout_config(timeouts)
}
