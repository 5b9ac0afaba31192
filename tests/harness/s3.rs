//! A real S3 protocol within the test: s3s-fs with signatures, behind a hook that fails the calls it is told to fail
//! and keeps count of what it sees.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Result, anyhow};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use haul_shared::storage::{AccessKey, S3Options};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use crate::processes::PATIENCE;

/// The bucket that is there.
pub const BUCKET: &str = "media";
/// The credentials that are right.
pub const ACCESS_KEY_ID: &str = "haul-tests";
/// Their secret half.
pub const SECRET_ACCESS_KEY: &str = "a secret of the tests";

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named like the operations of S3")]
pub enum Call {
    Get,
    Head,
    Put,
    Delete,
    CreateMultipart,
    UploadPart,
    CompleteMultipart,
    AbortMultipart,
    List,
    ListUploads,
}

/// What becomes of a call that is chosen to fail.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It is refused with this status, and not done.
    Refused(u16),
    /// It is done, but the answer is this status.
    AnswerLost(u16),
    /// It is done, but of what is missing the answer is 403: what S3 says to who may not list.
    MissingIsForbidden,
    /// It is never answered.
    Silence,
    /// It is done once all of it has come and [`S3::go_on`] was called, whether somebody still waits for it or not.
    Held,
}

/// How many calls came in, and how many were answered with success.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    seen: BTreeMap<Call, usize>,
    held: BTreeMap<Call, usize>,
    done: BTreeMap<Call, usize>,
}

impl Counts {
    /// Calls that came in, failed ones too.
    pub fn seen(&self, call: Call) -> usize {
        self.seen.get(&call).copied().unwrap_or_default()
    }

    /// Calls that are held, and of which all has come.
    pub fn held(&self, call: Call) -> usize {
        self.held.get(&call).copied().unwrap_or_default()
    }

    /// Calls that were answered with success.
    pub fn done(&self, call: Call) -> usize {
        self.done.get(&call).copied().unwrap_or_default()
    }
}

/// A server on a port of its own, gone when dropped.
pub struct S3 {
    /// Where it listens.
    pub endpoint: Url,
    directory: TempDir,
    hook: Arc<Hook>,
    server: JoinHandle<()>,
}

struct Hook {
    service: S3Service,
    uploads: Uploads,
    faults: Mutex<Vec<(Call, usize, Fault)>>,
    counts: watch::Sender<Counts>,
    headers: Mutex<BTreeMap<Call, HeaderMap>>,
    go_on: watch::Sender<bool>,
}

/// The protocol over a folder with one empty bucket.
///
/// # Errors
/// When the folder cannot be used.
pub fn service(folder: &Path) -> Result<S3Service> {
    std::fs::create_dir_all(folder.join(BUCKET))?;
    let files = FileSystem::new(folder).map_err(|error| anyhow!("no store: {error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
    Ok(builder.build())
}

impl S3 {
    /// Starts a server with one empty bucket.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let hook = Arc::new(Hook {
            uploads: Uploads { directory: directory.path().to_owned(), keys: Mutex::default() },
            service: service(directory.path()).expect("a store"),
            faults: Mutex::default(),
            counts: watch::Sender::new(Counts::default()),
            headers: Mutex::default(),
            go_on: watch::Sender::new(false),
        });

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = axum::Router::new().fallback(answer).with_state(hook.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves until aborted") });
        let endpoint = Url::parse(&format!("http://{address}")).expect("an address");
        Self { endpoint, directory, hook, server }
    }

    /// How to reach it.
    pub fn options(&self) -> S3Options {
        S3Options {
            bucket: BUCKET.to_owned(),
            endpoint: Some(self.endpoint.clone()),
            region: "us-east-1".to_owned(),
            public_endpoint: None,
            path_style: true,
            sse: None,
            credentials: Some(AccessKey { id: ACCESS_KEY_ID.to_owned(), secret: SECRET_ACCESS_KEY.into() }),
        }
    }

    /// Fails the next `times` calls of this kind.
    pub fn fail(&self, call: Call, times: usize, fault: Fault) {
        self.hook.faults.lock().expect("no panic").push((call, times, fault));
    }

    /// Fails none any more.
    pub fn recover(&self) {
        self.hook.faults.lock().expect("no panic").clear();
    }

    /// Does what is held.
    pub fn go_on(&self) {
        self.hook.go_on.send_replace(true);
    }

    /// What was seen so far.
    pub fn counts(&self) -> Counts {
        self.hook.counts.borrow().clone()
    }

    /// Waits until the counts are so.
    pub async fn wait_until(&self, so: impl Fn(&Counts) -> bool) {
        let mut counts = self.hook.counts.subscribe();
        let waited = tokio::time::timeout(PATIENCE, counts.wait_for(so)).await;
        assert!(waited.is_ok(), "waited in vain: {:?}", self.counts());
    }

    /// The headers of the last call of this kind.
    pub fn headers(&self, call: Call) -> HeaderMap {
        self.hook.headers.lock().expect("no panic").get(&call).cloned().unwrap_or_default()
    }

    /// Where the bucket's objects lie, each a file below this directory by its key.
    pub fn bucket(&self) -> PathBuf {
        self.directory.path().join(BUCKET)
    }

    /// Files of uploads that were neither completed nor aborted.
    pub fn orphans(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path()).expect("the store is there");
        let paths = entries.map(|entry| entry.expect("readable").path());
        paths.filter(|path| path.to_string_lossy().contains(".upload")).collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(hook): State<Arc<Hook>>, request: Request) -> Response {
    let call = call_of(request.method(), request.uri().query().unwrap_or_default());
    hook.headers.lock().expect("no panic").insert(call, request.headers().clone());
    hook.counts.send_modify(|counts| *counts.seen.entry(call).or_default() += 1);
    let fault = hook.take_fault(call);
    match fault {
        Some(Fault::Refused(status)) => {
            // read to the end, as a server does that answers late
            let _read = axum::body::to_bytes(request.into_body(), usize::MAX).await;
            return status_of(status);
        }
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Held) => {
            let Ok(request) = held(request, hook.go_on.subscribe()).await else { return status_of(400) };
            hook.counts.send_modify(|counts| *counts.held.entry(call).or_default() += 1);
            let done = tokio::spawn(async move { hook.done(call, request).await });
            return done.await.unwrap_or_else(|_| status_of(500));
        }
        Some(Fault::AnswerLost(_) | Fault::MissingIsForbidden) | None => {}
    }
    let answer = hook.done(call, request).await;
    match fault {
        Some(Fault::AnswerLost(status)) => status_of(status),
        Some(Fault::MissingIsForbidden) if answer.status() == StatusCode::NOT_FOUND => status_of(403),
        _ => answer,
    }
}

/// The request with a body that has come, and that does not end before it is told to.
async fn held(request: Request, mut go_on: watch::Receiver<bool>) -> Result<Request> {
    let (head, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await?;
    let end = futures::stream::once(async move {
        let _told = go_on.wait_for(|go_on| *go_on).await;
        Ok(Bytes::new())
    });
    let body = futures::stream::iter([Ok::<_, Infallible>(bytes)]).chain(end);
    Ok(Request::from_parts(head, Body::from_stream(body)))
}

impl Hook {
    /// Has it done, and counts it.
    async fn done(&self, call: Call, request: Request) -> Response {
        if call == Call::ListUploads {
            self.counts.send_modify(|counts| *counts.done.entry(call).or_default() += 1);
            return self.uploads.told();
        }
        let path = request.uri().path().to_owned();
        let answer = match self.service.call(request.map(s3s::Body::http_body_unsync)).await {
            Ok(answer) => answer.map(Body::new),
            Err(_) => return status_of(500),
        };
        if answer.status().is_success() {
            self.counts.send_modify(|counts| *counts.done.entry(call).or_default() += 1);
        }
        if call == Call::CreateMultipart { self.uploads.noted(&path, answer).await } else { answer.into_response() }
    }

    fn take_fault(&self, call: Call) -> Option<Fault> {
        let mut faults = self.faults.lock().expect("no panic");
        let (_, times, fault) = faults.iter_mut().find(|(of, times, _)| *of == call && *times > 0)?;
        *times -= 1;
        Some(*fault)
    }
}

/// What s3s-fs does not do: it tells no uploads that are under way, though it keeps each in a file of its own.
struct Uploads {
    directory: PathBuf,
    /// By their ids.
    keys: Mutex<BTreeMap<String, String>>,
}

impl Uploads {
    /// Notes the upload that this answer has begun.
    async fn noted(&self, path: &str, answer: axum::http::Response<Body>) -> Response {
        let (head, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        let id = text.split_once("<UploadId>").and_then(|(_, rest)| rest.split_once("</UploadId>"));
        if let (Some((id, _)), Some(key)) = (id, path.strip_prefix(&format!("/{BUCKET}/"))) {
            self.keys.lock().expect("no panic").insert(id.to_owned(), key.to_owned());
        }
        Response::from_parts(head, Body::from(body))
    }

    /// Those that were neither completed nor aborted, each since its file was last written.
    fn told(&self) -> Response {
        let keys = self.keys.lock().expect("no panic");
        let begun = keys.iter().filter_map(|(id, key)| {
            let about = std::fs::metadata(self.directory.join(format!(".upload-{id}.json"))).ok()?;
            let since = jiff::Timestamp::try_from(about.modified().ok()?).ok()?;
            Some(format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{since:.3}</Initiated></Upload>"))
        });
        let list: String = begun.collect();
        let xml =
            format!("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{list}</ListMultipartUploadsResult>");
        ([(axum::http::header::CONTENT_TYPE, "application/xml")], xml).into_response()
    }
}

fn status_of(status: u16) -> Response {
    StatusCode::from_u16(status).expect("a status").into_response()
}

fn call_of(method: &Method, query: &str) -> Call {
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match *method {
        Method::POST if has("uploads") => Call::CreateMultipart,
        Method::POST => Call::CompleteMultipart,
        Method::PUT if has("partNumber") => Call::UploadPart,
        Method::PUT => Call::Put,
        Method::DELETE if has("uploadId") => Call::AbortMultipart,
        Method::DELETE => Call::Delete,
        Method::HEAD => Call::Head,
        Method::GET if has("uploads") => Call::ListUploads,
        Method::GET if has("list-type") => Call::List,
        _ => Call::Get,
    }
}
