//! All results of a playlist in one file.

use haul_shared::job::{Failure, FailureKind};
use haul_shared::storage::Storage;
use haul_tests::zip::Zipped;

use super::*;

/// A playlist whose downloads have these results, in the order of the list; `None` has failed.
async fn ended(site: &Site, results: &[Option<Vec<u8>>]) -> Result<String> {
    known(site, &media(results.len())).await?;
    let playlist = ordered(site, json!({})).await?;
    for result in results {
        match result {
            Some(bytes) => drop(site.complete(bytes).await?),
            None => site.fail(&Failure::new(FailureKind::Private, "")).await?,
        }
    }
    Ok(playlist)
}

fn read(answer: &Answer) -> Result<Vec<Zipped>> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &answer.body)?;
    haul_tests::zip::read(file.path())
}

#[tokio::test]
async fn a_zip_has_each_result_under_its_name_and_nothing_else() -> Result<()> {
    let site = Site::start().await?;
    let results = [Some(b"one".to_vec()), None, Some(vec![7; 300_000]), Some(b"four".to_vec())];
    let playlist = ended(&site, &results).await?;
    let zip = format!("{playlist}/zip");
    let answer = site.get(&zip).await?;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/zip"));
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert!(answer.header("content-disposition").starts_with("attachment; filename=\"A list.zip\""), "{answer:?}");
    let view = shown(&site, &playlist).await?;
    let expected = [(0, "01"), (2, "03"), (3, "04")].map(|(at, number)| {
        let (result, made) = (&view["children"][at]["result"], &view["children"][at]["finished_at"]);
        let made: jiff::Timestamp = made.as_str().and_then(|text| text.parse().ok()).expect("a time");
        let made = made.to_zoned(jiff::tz::TimeZone::UTC);
        Zipped {
            name: format!("{number} - {}", result["filename"].as_str().unwrap_or_default()),
            size_bytes: result["size_bytes"].as_u64().unwrap_or_default(),
            sha256: result["sha256"].as_str().unwrap_or_default().to_owned(),
            modified: [
                made.year(),
                made.month().into(),
                made.day().into(),
                made.hour().into(),
                made.minute().into(),
                i16::from(made.second()) & !1,
            ]
            .map(|part| part as u16),
            is_stored: true,
        }
    });
    assert_eq!(read(&answer)?, expected);

    // the same bytes each time, of which who has them needs none
    let again = send(site.request(Method::GET, &zip).header("accept-encoding", "gzip, br")).await?;
    assert!(again.body == answer.body && again.header("content-encoding").is_empty(), "{again:?}");
    let head = send(site.request(Method::HEAD, &zip)).await?;
    assert_eq!(head.header("content-length"), answer.header("content-length"));
    let known = site.request(Method::GET, &zip).header("if-none-match", answer.header("etag"));
    assert_eq!(send(known).await?.status, 304);
    // each was handed out twice
    let fetched = async || {
        let view = shown(&site, &playlist).await;
        view.is_ok_and(|view| {
            view["children"]
                .as_array()
                .is_some_and(|all| all.iter().map(|child| &child["library"]["downloads"]).eq([2, 0, 2, 2].iter()))
        })
    };
    haul_tests::processes::until("both times are counted", fetched).await?;
    Ok(())
}

/// A client must not take for whole what lacks some of its files.
#[tokio::test]
async fn a_store_that_fails_in_the_middle_breaks_the_answer_off() -> Result<()> {
    let site = Site::start().await?;
    known(&site, &media(3)).await?;
    let playlist = ordered(&site, json!({})).await?;
    let mut objects = Vec::new();
    for _ in 0..3 {
        objects.push(site.complete(&vec![7; 300_000]).await?.object);
    }
    let zip = format!("{playlist}/zip");
    site.storage.delete(&objects[1]).await?;
    let broken = site.request(Method::GET, &zip).send().await?;
    assert_eq!(broken.status(), 200);
    assert!(broken.bytes().await.is_err(), "what came looks whole");
    // an API that looks at nothing itself hands it out no more
    let again = |number| json!({ "url": format!("http://127.0.0.1/{number}.mp4") });
    assert_eq!(site.post(DOWNLOADS, &again(3)).await?.status, 200);
    assert_eq!(site.post(DOWNLOADS, &again(2)).await?.status, 202);
    // where nothing was sent yet, there is a status that says so
    site.storage.delete(&objects[0]).await?;
    assert_eq!(site.get(&zip).await?.told(), "410 expired");
    Ok(())
}

#[tokio::test]
async fn a_large_zip_takes_no_more_memory_than_a_small_one() -> Result<()> {
    const MIB: usize = 1 << 20;
    let site = Site::start().await?;
    let playlist = ended(&site, &vec![Some(vec![7; 48 * MIB]); 4]).await?;
    let api = site.another_api(&[]).await?;
    let url = format!("http://{}{playlist}/zip", api.address());
    let fetch = async || {
        let mut answer = site.request_to(Method::GET, &url).send().await?;
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await? {
            bytes += chunk.len();
        }
        anyhow::Ok(bytes)
    };
    let before = api.peak_memory()?;
    assert!(fetch().await? > 192 * MIB);
    let more = api.peak_memory()?.saturating_sub(before);
    assert!(more < 16 * MIB as u64, "{more} bytes more");
    assert!(matches!(site.storage, Storage::Disk(_)));
    Ok(())
}

#[tokio::test]
async fn a_client_is_sent_so_many_zips_at_once_and_no_more() -> Result<()> {
    let site = Site::start().await?;
    // more than a connection holds that nobody reads
    let playlist = ended(&site, &[Some(vec![7; 32 << 20])]).await?;
    let zip = format!("{playlist}/zip");
    let mut held = Vec::new();
    for _ in 0..haul_api::shares::ZIPS {
        held.push(site.request(Method::GET, &zip).send().await?);
    }
    let refused = site.get(&zip).await?;
    assert_eq!((refused.told().as_str(), refused.header("retry-after")), ("429 rate_limited", "60"));
    assert_eq!(send(site.request(Method::HEAD, &zip)).await?.status, 200, "nothing is sent of it");
    drop(held);
    haul_tests::processes::until("what was given back may be taken again", async || {
        site.request(Method::GET, &zip).send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await?;
    Ok(())
}
