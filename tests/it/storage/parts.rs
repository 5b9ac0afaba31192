//! An object whose bytes come in parts, in any order: a bucket has all of it, or nothing.

use axum::http::HeaderMap;
use bytes::Bytes;
use futures::future::try_join_all;
use haul_shared::storage::Upload;
use tokio::time::timeout;

use super::*;

const MIB: usize = 1024 * 1024;
/// Three parts, the last a small one.
const SIZE: usize = 10 * MIB + 7;

/// The parts of these bytes, each in several pieces.
fn parts_of(content: &[u8], upload: &Upload) -> Vec<Vec<Bytes>> {
    let part_bytes = usize::try_from(upload.part_bytes()).unwrap();
    let pieces = |part: &[u8]| part.chunks(MIB - 1).map(Bytes::copy_from_slice).collect();
    content.chunks(part_bytes).map(pieces).collect()
}

#[tokio::test]
async fn an_object_of_parts_in_any_order_appears_whole_and_only_when_it_is_finished() {
    // as large as announced, and smaller: whoever makes it knows its size at the end
    for announced in [SIZE, 40 * MIB] {
        let site = Site::s3().await;
        let s3 = site.s3.as_ref().expect("a bucket");
        let (key, (_, content)) = (key(), site.file("scratch.mp4", SIZE));
        let upload = site.begin(&key, announced).await;
        let parts = parts_of(&content, &upload);
        assert_eq!(parts.len(), 3);
        let numbered = (0..).zip(parts).collect::<Vec<_>>().into_iter().rev();
        try_join_all(numbered.map(|(number, part)| upload.part(number, part))).await.unwrap();
        assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)));
        upload.finish(SIZE as u64).await.unwrap();
        let (total, body) = read(&site.api, &key, None).await.unwrap();
        assert!(total == SIZE as u64 && body == content);
        let sent = s3.headers(Call::CreateMultipart);
        assert_eq!((&sent["content-type"], sent.get("x-amz-meta-sha256")), (&"video/mp4".parse().unwrap(), None));
        assert_eq!(s3.counts().seen(Call::AbortMultipart), 0);
        assert_plain(&s3.headers(Call::UploadPart));
    }
}

/// Fault: with a high limit, parts of a small stream were of 105 MiB each, and some of them were held in memory.
#[tokio::test]
async fn no_part_of_what_has_no_known_end_is_larger_than_eight_mebibytes() {
    let site = Site::s3().await;
    for (announced, part_bytes) in [(10 << 30, 5 * MIB), (60 << 30, 7 * MIB), (1 << 40, 8 * MIB)] {
        let upload = site.begin(&key(), announced).await;
        assert_eq!(upload.part_bytes(), part_bytes as u64, "{announced}");
        let answer = upload.part(10_000, vec![Bytes::from_static(b"one too many")]).await;
        assert!(matches!(answer, Err(StorageError::Refused(_))), "{answer:?}");
        upload.abort().await;
    }
}

/// The signature does not cover the bytes, and no checksum is sent with them or behind them.
fn assert_plain(headers: &HeaderMap) {
    assert_eq!(headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    let is_of_sums = |name: &str| name.contains("checksum") || name.contains("trailer") || name == "content-encoding";
    assert!(!headers.keys().any(|name| is_of_sums(name.as_str())), "{headers:?}");
}

#[tokio::test]
async fn an_upload_that_is_given_up_or_dropped_leaves_neither_object_nor_parts() {
    for dropped in [false, true] {
        let site = Site::s3().await;
        let (key, (_, content)) = (key(), site.file("scratch.mp4", SIZE));
        let upload = site.begin(&key, SIZE).await;
        let first = parts_of(&content, &upload).swap_remove(0);
        upload.part(0, first).await.unwrap();
        if dropped {
            drop(upload);
        } else {
            upload.abort().await;
        }
        site.leaves_nothing(&key).await;
    }
}

/// Fault: a part whose bytes the store had, and that was given up with its upload, stayed in the bucket for good.
#[tokio::test]
async fn an_upload_is_aborted_only_when_the_store_has_answered_to_the_parts_that_it_has() {
    let site = Site::s3().await;
    let s3 = site.s3.as_ref().expect("a bucket");
    let (key, (_, content)) = (key(), site.file("scratch.mp4", SIZE));
    let upload = site.begin(&key, SIZE).await;
    let first = parts_of(&content, &upload).swap_remove(0);
    s3.fail(Call::UploadPart, 1, Fault::Held);
    tokio::select! {
        answer = upload.part(0, first) => panic!("{answer:?}"),
        () = s3.wait_until(|counts| counts.held(Call::UploadPart) == 1) => {}
    }
    let meanwhile = async {
        let aborted = s3.wait_until(|counts| counts.seen(Call::AbortMultipart) > 0);
        assert!(timeout(Duration::from_millis(100), aborted).await.is_err());
        s3.go_on();
    };
    tokio::join!(upload.abort(), meanwhile);
    assert_eq!(s3.counts().done(Call::UploadPart), 1);
    site.leaves_nothing(&key).await;
}

#[tokio::test]
async fn an_upload_that_lacks_a_part_becomes_no_object_though_another_was_sent_twice() {
    let site = Site::s3().await;
    let (key, (_, content)) = (key(), site.file("scratch.mp4", 10 * MIB));
    let upload = site.begin(&key, content.len()).await;
    let first = parts_of(&content, &upload).swap_remove(0);
    for wrong in [Vec::new(), [first.clone(), first[..1].to_vec()].concat()] {
        let answer = upload.part(0, wrong).await;
        assert!(matches!(answer, Err(StorageError::Refused(_))), "{answer:?}");
    }
    upload.part(0, first.clone()).await.unwrap();
    upload.part(0, first.clone()).await.unwrap();
    // of the right length together, but not one behind the other
    upload.part(2, first).await.unwrap();
    let answer = upload.finish(content.len() as u64).await;
    assert!(matches!(answer, Err(StorageError::Refused(_))), "{answer:?}");
    site.leaves_nothing(&key).await;
}

#[tokio::test]
async fn what_is_in_memory_is_sent_again_when_the_server_fails() {
    let site = Site::s3().await;
    let s3 = site.s3.as_ref().expect("a bucket");
    let (key, (_, content)) = (key(), site.file("scratch.mp4", SIZE));
    let upload = site.begin(&key, SIZE).await;
    s3.fail(Call::UploadPart, 2, Fault::Refused(503));
    for (number, part) in (0..).zip(parts_of(&content, &upload)) {
        upload.part(number, part).await.unwrap();
    }
    s3.fail(Call::CompleteMultipart, 1, Fault::AnswerLost(503));
    upload.finish(SIZE as u64).await.unwrap();
    assert!(read(&site.api, &key, None).await.unwrap().1 == content);
    assert_eq!(s3.counts().done(Call::UploadPart), 3);

    let key = super::key();
    s3.fail(Call::Put, 1, Fault::Refused(503));
    let whole = content.chunks(MIB - 1).map(Bytes::copy_from_slice).collect();
    let meta = ObjectMeta { content_type: "video/mp4".to_owned(), sha256: "0".repeat(64) };
    site.worker.intake().expect("a bucket").put(&key, whole, &meta).await.unwrap();
    assert_eq!(s3.headers(Call::Put)["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert!(read(&site.api, &key, None).await.unwrap().1 == content);
}

#[tokio::test]
async fn what_is_sent_in_one_call_while_it_comes_appears_with_its_last_bytes_and_never_without_them() {
    let site = Site::s3().await;
    let s3 = site.s3.as_ref().expect("a bucket");
    let (_, content) = site.file("scratch.mp4", SIZE);
    let intake = site.worker.intake().expect("a bucket");
    let send = async |key: &ObjectKey, pieces: usize| {
        let mut sending = intake.send(key, SIZE as u64, "video/mp4");
        for piece in content.chunks(MIB - 1).take(pieces) {
            sending.push(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        sending
    };
    let all = content.chunks(MIB - 1).count();

    let key = key();
    let mut sending = send(&key, all).await;
    sending.has_taken(((all - 1) * (MIB - 1)) as u64).await.unwrap();
    assert_eq!(s3.counts().done(Call::Put), 0);
    assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)));
    assert!(matches!(sending.push(Bytes::from_static(b"one more")).await, Err(StorageError::Refused(_))));
    sending.finish().await.unwrap();
    assert!(read(&site.api, &key, None).await.unwrap().1 == content);
    let sent = s3.headers(Call::Put);
    assert_eq!((&sent["content-type"], sent.get("x-amz-meta-sha256")), (&"video/mp4".parse().unwrap(), None));
    assert_plain(&sent);

    // given up by the server, and by its maker
    let (refused, dropped, lacking) = (super::key(), super::key(), super::key());
    s3.fail(Call::Put, 1, Fault::Refused(503));
    let answer = send(&refused, all).await.finish().await;
    assert!(matches!(answer, Err(StorageError::Unavailable(_))), "{answer:?}");
    drop(send(&dropped, all).await);
    let answer = send(&lacking, all - 1).await.finish().await;
    assert!(matches!(answer, Err(StorageError::Refused(_))), "{answer:?}");
    for key in [dropped, lacking, refused] {
        assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)));
    }
    assert_eq!(s3.counts().done(Call::Put), 1);
}

impl Site {
    async fn begin(&self, key: &ObjectKey, most_bytes: usize) -> Upload {
        let intake = self.worker.intake().expect("a bucket");
        intake.begin(key, most_bytes as u64, "video/mp4").await.unwrap()
    }

    async fn leaves_nothing(&self, key: &ObjectKey) {
        let s3 = self.s3.as_ref().expect("a bucket");
        timeout(Duration::from_secs(20), self.worker.settled()).await.unwrap();
        assert_eq!((s3.counts().done(Call::AbortMultipart), s3.orphans().len()), (1, 0));
        assert!(matches!(self.api.open(key, None).await, Err(StorageError::NotFound)));
    }
}
