//! The loopback site: what tests of downloads stand on.

use std::time::Duration;

use haul_tests::media;
use haul_tests::origin::{Fault, Origin};
use reqwest::header::{CONTENT_RANGE, RANGE, RETRY_AFTER};
use reqwest::{Client, Response};

async fn get(url: &str) -> Response {
    let client = Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    client.get(url).send().await.unwrap()
}

#[tokio::test]
async fn media_come_whole_and_in_ranges() {
    let origin = Origin::start().await;
    let file = std::fs::read(media::file("progressive.mp4")).unwrap();
    assert_eq!(get(&origin.url("/progressive.mp4")).await.bytes().await.unwrap(), file);

    let client = Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let total = file.len();
    for (range, status, part) in [
        ("bytes=10-19", 206, &file[10..20]),
        ("bytes=100-", 206, &file[100..]),
        ("bytes=-5", 206, &file[total - 5..]),
        ("bytes=99999999-", 416, &[][..]),
    ] {
        let response = client.get(origin.url("/progressive.mp4")).header(RANGE, range).send().await.unwrap();
        assert_eq!(response.status(), status, "{range}");
        assert!(response.headers()[CONTENT_RANGE].to_str().unwrap().ends_with(&format!("/{total}")), "{range}");
        assert_eq!(response.bytes().await.unwrap(), part, "{range}");
    }
    assert_eq!(origin.hits("/progressive.mp4"), 5);
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let origin = Origin::start().await;
    let path = "/progressive.mp4";
    let size = std::fs::metadata(media::file("progressive.mp4")).unwrap().len();

    let cut = get(&origin.spoilt(Fault::Cut(5000), path)).await;
    assert_eq!(cut.content_length(), Some(size));
    assert!(cut.bytes().await.is_err(), "a cut body is no whole body");
    assert!(get(&origin.spoilt(Fault::Lying(150), path)).await.bytes().await.is_err());
    let half = get(&origin.spoilt(Fault::Lying(50), path)).await.bytes().await.unwrap();
    assert_eq!(half.len() as u64, size / 2);

    let busy = origin.spoilt(Fault::Status(503, 2), path);
    for expected in [503, 503, 200] {
        let answer = get(&busy).await;
        assert_eq!(answer.status(), expected);
        assert_eq!(answer.headers().contains_key(RETRY_AFTER), expected == 503);
    }

    let playlist = "/hls-ts/360p.m3u8";
    assert_eq!(get(&origin.spoilt(Fault::Missing("360p-1.ts"), playlist)).await.status(), 200);
    assert_eq!(get(&origin.spoilt(Fault::Missing("360p-1.ts"), "/hls-ts/360p-1.ts")).await.status(), 404);
    let whole = get(&origin.url("/hls-ts/360p-1.ts")).await.bytes().await.unwrap().len();
    let halved = get(&origin.spoilt(Fault::Halved("360p-1.ts"), "/hls-ts/360p-1.ts")).await.bytes().await.unwrap();
    assert_eq!(halved.len(), whole / 2);

    let client = Client::builder().timeout(Duration::from_millis(300)).build().unwrap();
    assert!(client.get(origin.spoilt(Fault::Hang, path)).send().await.unwrap_err().is_timeout());
    assert!(client.get(origin.spoilt(Fault::Drip, path)).send().await.unwrap().bytes().await.unwrap_err().is_timeout());
}
