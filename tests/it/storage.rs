//! The store of results: one contract, kept by the directory and by the bucket alike.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::TryStreamExt as _;
use haul_shared::ids::{Fence, JobId};
use haul_shared::storage::{
    DiskStore, LinkSpec, ObjectKey, ObjectMeta, Role, S3Store, Storage, StorageError, content_disposition,
};
use haul_tests::s3::{Call, Fault, S3};
use haul_tests::small_disk::SmallDisk;
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

/// A store as a worker and as the API have it.
struct Site {
    name: &'static str,
    worker: Storage,
    api: Storage,
    s3: Option<S3>,
    directory: TempDir,
}

impl Site {
    /// One of each kind.
    async fn both() -> [Self; 2] {
        [Self::disk().await, Self::s3().await]
    }

    async fn disk() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public_url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let data_dir = directory.path().join("data");
        let worker = Storage::Disk(DiskStore::open(&data_dir, None, None, Role::Worker).unwrap());
        let api = Storage::Disk(DiskStore::open(&data_dir, None, None, Role::Api { public_url }).unwrap());
        let files = axum::Router::new().route("/files/{*key}", axum::routing::get(file)).with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, files).await });
        Self { name: "disk", worker, api, s3: None, directory }
    }

    async fn s3() -> Self {
        let s3 = S3::start().await;
        let options = s3.options();
        let public_url = s3.endpoint.clone();
        let worker = Storage::S3(S3Store::open(&options, &Role::Worker).await);
        let api = Storage::S3(S3Store::open(&options, &Role::Api { public_url }).await);
        Self { name: "s3", worker, api, s3: Some(s3), directory: tempfile::tempdir().unwrap() }
    }

    /// A file in the scratch folder, of bytes that differ from place to place.
    fn file(&self, name: &str, bytes: usize) -> (PathBuf, Vec<u8>) {
        let content: Vec<u8> = (0..bytes as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let path = self.directory.path().join(name);
        std::fs::write(&path, &content).unwrap();
        (path, content)
    }

    async fn put(&self, key: &ObjectKey, bytes: usize) -> Vec<u8> {
        let (file, content) = self.file("scratch.mp4", bytes);
        self.worker.put(key, &file, &meta(), |_| {}).await.unwrap();
        // a hard link may be the object: the next file of this name is another one
        std::fs::remove_file(file).unwrap();
        content
    }
}

/// What the API's route does with a link of the disk store.
async fn file(State(api): State<Storage>, Path(key): Path<String>, RawQuery(query): RawQuery) -> Response {
    let Ok(link) = api.verify_link(&key, &query.unwrap_or_default()) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let Ok(object) = api.open(&link.key, None).await else { return StatusCode::NOT_FOUND.into_response() };
    let named = content_disposition(&link.filename, link.inline);
    let headers = [(header::CONTENT_DISPOSITION, named), (header::CONTENT_TYPE, link.content_type)];
    (headers, axum::body::Body::from_stream(object.body)).into_response()
}

fn key() -> ObjectKey {
    ObjectKey::new(JobId::new(), Fence(1), "mp4")
}

fn meta() -> ObjectMeta {
    ObjectMeta { content_type: "video/mp4".to_owned(), sha256: "0".repeat(64) }
}

fn spec(expires_in: u64) -> LinkSpec {
    LinkSpec {
        expires_in: Duration::from_secs(expires_in),
        filename: "naïve 東.mp4".to_owned(),
        content_type: "video/mp4".to_owned(),
        inline: false,
    }
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap()
}

async fn read(store: &Storage, key: &ObjectKey, range: Option<(u64, u64)>) -> Result<(u64, Vec<u8>), StorageError> {
    let object = store.open(key, range.map(|(first, last)| first..=last)).await?;
    let body = object.body.try_fold(Vec::new(), async |all, chunk| Ok([all, chunk.to_vec()].concat())).await.unwrap();
    assert_eq!(object.body_bytes, body.len() as u64);
    Ok((object.total_bytes, body))
}

#[tokio::test]
async fn an_object_is_read_whole_and_by_ranges() {
    for site in Site::both().await {
        let key = key();
        let content = site.put(&key, 300_001).await;
        assert_eq!(read(&site.api, &key, None).await.unwrap(), (300_001, content.clone()), "{}", site.name);
        for (first, last) in [(0, 0), (0, 99), (1000, 280_000), (299_991, 300_000), (300_000, 300_000)] {
            let (total, part) = read(&site.api, &key, Some((first, last))).await.unwrap();
            assert_eq!(total, 300_001);
            assert!(part == content[first as usize..=last as usize], "{} {first}-{last}", site.name);
        }
        for last in [300_001, u64::MAX / 2] {
            let (_, part) = read(&site.api, &key, Some((300_000, last))).await.unwrap();
            assert_eq!(part, content[300_000..], "{} to {last}", site.name);
        }
        for (first, last) in [(300_001, 300_002), (400_000, u64::MAX / 2), (5, 4)] {
            let answer = read(&site.api, &key, Some((first, last))).await;
            assert!(matches!(answer, Err(StorageError::RangeOutside)), "{} {first}-{last} {answer:?}", site.name);
        }
    }
}

#[tokio::test]
async fn an_empty_object_has_no_ranges() {
    for site in Site::both().await {
        let key = key();
        site.put(&key, 0).await;
        assert_eq!(read(&site.api, &key, None).await.unwrap(), (0, Vec::new()), "{}", site.name);
        let answer = read(&site.api, &key, Some((0, 0))).await;
        assert!(matches!(answer, Err(StorageError::RangeOutside)), "{} {answer:?}", site.name);
    }
}

#[tokio::test]
async fn an_object_that_is_gone_or_never_was_is_not_found_and_may_be_deleted_again() {
    for site in Site::both().await {
        // a disk in which nothing ever was may be one that is not mounted
        site.put(&key(), 10).await;
        let key = key();
        assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)), "{}", site.name);
        site.put(&key, 10).await;
        for _ in 0..2 {
            site.worker.delete(&key).await.unwrap();
            assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)), "{}", site.name);
        }
    }
}

#[tokio::test]
async fn attempts_of_one_job_do_not_touch_each_others_objects() {
    for site in Site::both().await {
        let job = JobId::new();
        let [stale, fresh] = [Fence(1), Fence(2)].map(|fence| ObjectKey::new(job, fence, "mp4"));
        let (kept, _) = (site.put(&fresh, 20).await, site.put(&stale, 10).await);
        site.worker.delete(&stale).await.unwrap();
        assert_eq!(read(&site.api, &fresh, None).await.unwrap().1, kept, "{}", site.name);
    }
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_can_be_sent_again() {
    for site in Site::both().await {
        let key = key();
        let (file, content) = site.file("scratch.mp4", 1000);
        let heard = Mutex::new(Vec::new());
        for _ in 0..2 {
            site.worker.put(&key, &file, &meta(), |done| heard.lock().unwrap().push(done)).await.unwrap();
        }
        assert_eq!(read(&site.api, &key, None).await.unwrap().1, content, "{}", site.name);
        assert_eq!(heard.into_inner().unwrap(), [1000, 1000]);
    }
}

#[tokio::test]
async fn only_a_file_that_is_there_and_no_link_to_one_is_stored() {
    for site in Site::both().await {
        let (file, _) = site.file("scratch.mp4", 10);
        let (link, missing) = (file.with_extension("link"), file.with_extension("none"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for wrong in [link, missing, site.directory.path().to_owned()] {
            let answer = site.worker.put(&key(), &wrong, &meta(), |_| {}).await;
            assert!(matches!(answer, Err(StorageError::File(_))), "{} {answer:?}", site.name);
        }
    }
}

#[tokio::test]
async fn a_link_gives_anyone_the_file_under_its_name_and_type() {
    for site in Site::both().await {
        let key = key();
        let content = site.put(&key, 1000).await;
        for (inline, kind) in [(false, "attachment"), (true, "inline")] {
            let link = site.api.link(&key, &LinkSpec { inline, ..spec(60) }).await.unwrap();
            let answer = browser().get(link).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{}", site.name);
            assert_eq!(answer.headers()["content-type"], "video/mp4", "{}", site.name);
            let named = format!("{kind}; filename=\"na_ve _.mp4\"; filename*=UTF-8''na%C3%AFve%20%E6%9D%B1.mp4");
            assert_eq!(answer.headers()["content-disposition"], named.as_str(), "{}", site.name);
            assert_eq!(answer.bytes().await.unwrap(), content, "{}", site.name);
        }
    }
}

#[tokio::test]
async fn a_link_for_something_else_or_made_by_someone_else_is_refused() {
    for site in Site::both().await {
        let (key, other) = (key(), key());
        site.put(&key, 10).await;
        site.put(&other, 10).await;
        let link = site.api.link(&key, &spec(60)).await.unwrap().to_string();
        for (from, to) in [
            (key.as_str(), other.as_str()),
            ("video%2Fmp4", "text%2Fhtml"),
            ("mp4%22", "exe%22"),
            ("name=na", "name=ma"),
            ("exp=", "exp=9"),
            ("X-Amz-Expires=60", "X-Amz-Expires=6000"),
            ("sig=", "sig=AAAA"),
            ("X-Amz-Signature=", "X-Amz-Signature=0000"),
        ] {
            let forged = link.replace(from, to);
            if forged != link {
                let status = browser().get(&forged).send().await.unwrap().status();
                assert!(status.is_client_error(), "{} {from} -> {to}: {status}", site.name);
            }
        }
    }
}

#[tokio::test]
async fn a_link_ends() {
    for site in Site::both().await {
        let key = key();
        site.put(&key, 10).await;
        let (link, browser) = (site.api.link(&key, &spec(1)).await.unwrap(), browser());
        let ended = async {
            loop {
                let status = browser.get(link.clone()).send().await.unwrap().status();
                if status != StatusCode::OK.as_u16() {
                    return status;
                }
            }
        };
        let status = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("a link of one second ends");
        assert_eq!(status, 403, "{}", site.name);
    }
}

#[tokio::test]
async fn a_store_that_is_there_is_ready_for_both() {
    for site in Site::both().await {
        site.api.ready().await.unwrap();
        site.worker.ready().await.unwrap();
        site.api.ready().await.unwrap();
    }
}

mod bucket;
mod directory;
mod orphans;
mod parts;
