//! An object whose bytes come in parts, in any order: there is all of it, or nothing.

use bytes::Bytes;
use futures::future::try_join_all;
use haul_shared::storage::Upload;

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

impl Site {
    /// Files that are no objects yet, and will be none.
    fn left_over(&self) -> usize {
        let objects = self.directory.path().join("data/objects");
        let on_disk = std::fs::read_dir(objects).map_or(0, Iterator::count);
        on_disk + self.s3.as_ref().map_or(0, |s3| s3.orphans().len())
    }
}

#[tokio::test]
async fn an_object_of_parts_in_any_order_appears_whole_and_only_when_it_is_finished() {
    for site in Site::both().await {
        let (key, (_, content)) = (key(), site.file("scratch.mp4", SIZE));
        let upload = site.worker.begin(&key, SIZE as u64, "video/mp4").await.unwrap();
        let parts = parts_of(&content, &upload);
        assert_eq!(parts.len(), 3, "{}", site.name);
        let numbered = (0..).zip(parts).collect::<Vec<_>>().into_iter().rev();
        try_join_all(numbered.map(|(number, part)| upload.part(number, part))).await.unwrap();
        assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)), "{}", site.name);
        upload.finish().await.unwrap();
        let (total, body) = read(&site.api, &key, None).await.unwrap();
        assert!(total == SIZE as u64 && body == content, "{}", site.name);
        if let Some(s3) = &site.s3 {
            let sent = s3.headers(Call::CreateMultipart);
            assert_eq!((&sent["content-type"], sent.get("x-amz-meta-sha256")), (&"video/mp4".parse().unwrap(), None));
            assert_eq!(s3.counts().seen(Call::AbortMultipart), 0);
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_or_dropped_leaves_neither_object_nor_parts() {
    for dropped in [false, true] {
        for site in Site::both().await {
            let (key, (_, content)) = (key(), site.file("scratch.mp4", SIZE));
            let upload = site.worker.begin(&key, SIZE as u64, "video/mp4").await.unwrap();
            let first = parts_of(&content, &upload).swap_remove(0);
            upload.part(0, first).await.unwrap();
            if dropped {
                drop(upload);
            } else {
                upload.abort().await;
            }
            if let Some(s3) = &site.s3 {
                s3.wait_until(|counts| counts.done(Call::AbortMultipart) == 1).await;
            }
            assert_eq!(site.left_over(), 0, "{} {dropped}", site.name);
            assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)), "{}", site.name);
        }
    }
}

#[tokio::test]
async fn an_upload_that_lacks_a_part_becomes_no_object_though_another_was_sent_twice() {
    for site in Site::both().await {
        let (key, (_, content)) = (key(), site.file("scratch.mp4", 10 * MIB));
        let upload = site.worker.begin(&key, content.len() as u64, "video/mp4").await.unwrap();
        let first = parts_of(&content, &upload).swap_remove(0);
        for (number, wrong) in [(0, first[..1].to_vec()), (0, Vec::new()), (2, first.clone())] {
            let answer = upload.part(number, wrong).await;
            assert!(matches!(answer, Err(StorageError::Refused(_))), "{} {answer:?}", site.name);
        }
        upload.part(0, first.clone()).await.unwrap();
        upload.part(0, first).await.unwrap();
        let answer = upload.finish().await;
        assert!(matches!(answer, Err(StorageError::Refused(_))), "{} {answer:?}", site.name);
        assert!(matches!(site.api.open(&key, None).await, Err(StorageError::NotFound)), "{}", site.name);
        if let Some(s3) = &site.s3 {
            s3.wait_until(|counts| counts.done(Call::AbortMultipart) == 1).await;
        }
        assert_eq!(site.left_over(), 0, "{}", site.name);
    }
}

#[tokio::test]
async fn a_part_from_memory_is_sent_again_when_the_server_fails() {
    let site = Site::s3().await;
    let s3 = site.s3.as_ref().expect("a bucket");
    let (key, (_, content)) = (key(), site.file("scratch.mp4", SIZE));
    let upload = site.worker.begin(&key, SIZE as u64, "video/mp4").await.unwrap();
    s3.fail(Call::UploadPart, 2, Fault::Refused(503));
    for (number, part) in (0..).zip(parts_of(&content, &upload)) {
        upload.part(number, part).await.unwrap();
    }
    s3.fail(Call::CompleteMultipart, 1, Fault::AnswerLost(503));
    upload.finish().await.unwrap();
    assert!(read(&site.api, &key, None).await.unwrap().1 == content);
    assert_eq!(s3.counts().done(Call::UploadPart), 3);
}
