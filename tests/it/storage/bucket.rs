//! What only a bucket has: uploads in parts, credentials, a server that fails.

use haul_shared::config::Sse;
use haul_shared::storage::{AccessKey, S3Options};

use super::*;

const MIB: usize = 1024 * 1024;

fn s3(site: &Site) -> &S3 {
    site.s3.as_ref().expect("a bucket")
}

#[tokio::test]
async fn a_large_file_survives_parts_that_fail() {
    let site = Site::s3().await;
    let (key, (file, content)) = (key(), site.file("scratch.mp4", 40 * MIB + 5));
    s3(&site).fail(Call::UploadPart, 2, Fault::Refused(503));
    let heard = Mutex::new(Vec::new());
    site.worker.put(&key, &file, &meta(), |done| heard.lock().unwrap().push(done)).await.unwrap();

    let heard = heard.into_inner().unwrap();
    assert!(heard.is_sorted() && heard.last() == Some(&(content.len() as u64)), "{heard:?}");
    let (total, body) = read(&site.api, &key, None).await.unwrap();
    assert!(total == content.len() as u64 && body == content);
    let counts = s3(&site).counts();
    assert_eq!((counts.seen(Call::UploadPart), counts.done(Call::UploadPart)), (8, 6));
    assert_eq!((counts.done(Call::CompleteMultipart), counts.seen(Call::AbortMultipart)), (1, 0));
}

#[tokio::test]
async fn an_upload_that_fails_leaves_neither_object_nor_parts() {
    for (call, fault) in [(Call::UploadPart, Fault::Refused(503)), (Call::CompleteMultipart, Fault::Refused(500))] {
        let site = Site::s3().await;
        let (key, (file, _)) = (key(), site.file("scratch.mp4", 17 * MIB));
        s3(&site).fail(call, usize::MAX, fault);
        let answer = site.worker.put(&key, &file, &meta(), |_| {}).await;
        assert!(matches!(answer, Err(StorageError::Unavailable(_))), "{answer:?}");
        assert_eq!(s3(&site).counts().done(Call::AbortMultipart), 1, "{call:?}");
        assert_eq!(s3(&site).orphans(), Vec::<PathBuf>::new(), "{call:?}");
        assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)), "{call:?}");
    }
}

#[tokio::test]
async fn an_upload_that_is_dropped_is_aborted() {
    for call in [Call::UploadPart, Call::CompleteMultipart] {
        let site = Site::s3().await;
        let (key, meta, (file, _)) = (key(), meta(), site.file("scratch.mp4", 17 * MIB));
        s3(&site).fail(call, usize::MAX, Fault::Silence);
        tokio::select! {
            answer = site.worker.put(&key, &file, &meta, |_| {}) => panic!("not answered, yet {answer:?}"),
            () = s3(&site).wait_until(|counts| counts.seen(call) > 0) => {}
        }
        s3(&site).wait_until(|counts| counts.done(Call::AbortMultipart) == 1).await;
        assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)), "{call:?}");
    }
}

/// The id of the upload is still on its way when nobody wants it any more.
#[tokio::test]
async fn an_upload_that_is_dropped_while_it_begins_is_aborted() {
    let site = Site::s3().await;
    let (key, meta, (file, _)) = (key(), meta(), site.file("scratch.mp4", 17 * MIB));
    tokio::select! {
        biased;
        () = s3(&site).wait_until(|counts| counts.seen(Call::CreateMultipart) == 1) => {}
        answer = site.worker.put(&key, &file, &meta, |_| {}) => panic!("not answered, yet {answer:?}"),
    }
    // as a worker does that ends
    tokio::time::timeout(Duration::from_secs(20), site.worker.settled()).await.unwrap();
    assert_eq!(s3(&site).counts().done(Call::AbortMultipart), 1);
    assert_eq!(s3(&site).counts().done(Call::CompleteMultipart), 0);
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_a_success() {
    let site = Site::s3().await;
    let (key, (file, content)) = (key(), site.file("scratch.mp4", 17 * MIB));
    s3(&site).fail(Call::CompleteMultipart, 1, Fault::AnswerLost(503));
    site.worker.put(&key, &file, &meta(), |_| {}).await.unwrap();
    assert!(read(&site.api, &key, None).await.unwrap().1 == content);
}

#[tokio::test]
async fn a_bucket_over_its_quota_is_full() {
    let site = Site::s3().await;
    let (file, _) = site.file("scratch.mp4", 10);
    s3(&site).fail(Call::Put, usize::MAX, Fault::Refused(507));
    let answer = site.worker.put(&key(), &file, &meta(), |_| {}).await;
    assert!(matches!(answer, Err(StorageError::Full)), "{answer:?}");
}

#[tokio::test]
async fn wrong_settings_are_refused_and_a_dead_server_is_unavailable() {
    let site = Site::s3().await;
    let right = s3(&site).options();
    let wrong_key = AccessKey { id: "haul-tests".to_owned(), secret: "wrong".into() };
    let public_url = s3(&site).endpoint.clone();
    for (what, options, refused) in [
        ("bucket", S3Options { bucket: "missing".to_owned(), ..right.clone() }, true),
        ("key", S3Options { credentials: Some(wrong_key), ..right.clone() }, true),
        ("server", S3Options { endpoint: Some("http://127.0.0.1:9".parse().unwrap()), ..right }, false),
    ] {
        for role in [Role::Worker, Role::Api { public_url: public_url.clone() }] {
            let answer = Storage::S3(S3Store::open(&options, &role).await).ready().await;
            let as_told = match &answer {
                Err(StorageError::Refused(_)) => refused,
                Err(StorageError::Unavailable(_)) => !refused,
                _ => false,
            };
            assert!(as_told, "{what} {role:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn links_lead_to_the_address_that_clients_know() {
    let site = Site::s3().await;
    let public_endpoint = Some("https://files.example".parse().unwrap());
    let options = S3Options { public_endpoint, ..s3(&site).options() };
    let link = Storage::S3(S3Store::open(&options, &Role::Worker).await).link(&key(), &spec(60)).await.unwrap();
    assert!(link.as_str().starts_with("https://files.example/media/m/"), "{link}");
    let week = Duration::from_secs(7 * 24 * 3600 + 1);
    let answer = site.api.link(&key(), &LinkSpec { expires_in: week, ..spec(60) }).await;
    assert!(matches!(answer, Err(StorageError::Refused(_))), "{answer:?}");
}

/// Garage refuses the SDK's checksum trailers and others store them inside the object; some servers ignore
/// `If-None-Match`, so nothing may rest on it.
#[tokio::test]
async fn only_what_every_server_understands_is_sent() {
    let site = Site::s3().await;
    let options = S3Options { sse: Some(Sse::Kms { key: Some("key-1".to_owned()) }), ..s3(&site).options() };
    let worker = Storage::S3(S3Store::open(&options, &Role::Worker).await);
    for (call, bytes) in [(Call::Put, 10), (Call::CreateMultipart, 17 * MIB)] {
        let (file, _) = site.file("scratch.mp4", bytes);
        worker.put(&key(), &file, &meta(), |_| {}).await.unwrap();
        let sent = s3(&site).headers(call);
        assert_eq!(sent["content-type"], "video/mp4", "{call:?}");
        assert_eq!(sent["cache-control"], "private, max-age=86400, immutable", "{call:?}");
        assert_eq!(sent["x-amz-meta-sha256"], meta().sha256, "{call:?}");
        assert_eq!(sent["x-amz-server-side-encryption"], "aws:kms", "{call:?}");
        assert_eq!(sent["x-amz-server-side-encryption-aws-kms-key-id"], "key-1", "{call:?}");
    }
    for call in [Call::Put, Call::CreateMultipart, Call::UploadPart, Call::CompleteMultipart] {
        let sent = s3(&site).headers(call);
        let odd = |name: &str| name.contains("checksum") || name.contains("trailer") || name == "if-none-match";
        let odd: Vec<_> = sent.keys().filter(|name| odd(name.as_str())).collect();
        assert!(!sent.is_empty() && odd.is_empty(), "{call:?} {odd:?}");
    }
}
