//! What clients of cobalt send, byte for byte, and what each needs back.

use anyhow::{Context as _, Result};
use haul_tests::keys::{Keys, key};
use haul_tests::site::Site;
use serde_json::json;

use super::{COBALT, is_refusal, link_of, sent};

#[tokio::test]
async fn clients_with_a_key_are_answered_as_they_need_it_and_their_links_need_none() -> Result<()> {
    let keys = Keys::of(&[("a", "")])?;
    let site = keys.site(&[COBALT]).await?;
    let address = site.url.strip_prefix("http://").context("an address")?;
    let key = key("a");
    let post =
        async |path: &str, headers: &str, body: &str| sent(address, &format!("POST {path}\n{headers}\n\n{body}")).await;

    // Raycast (aelew), with keys that cobalt has dropped
    let raycast = format!(
        "accept: application/json\ncontent-type: application/json\nauthorization: Api-Key {key}\nuser-agent: node\nconnection: keep-alive"
    );
    let body = r#"{"url":"http://127.0.0.1/1","videoQuality":"1080","audioFormat":"mp3","filenameStyle":"basic","downloadMode":"auto","youtubeVideoCodec":"h264","alwaysProxy":false,"disableMetadata":false,"tiktokFullAudio":false,"tiktokH265":true,"twitterGif":true,"youtubeHLS":false}"#;
    let raycast = link_of(&post("/", &raycast, body).await?)?;

    // pybalt, with a charset, and @cute/cobalt-api
    let pybalt = format!(
        "User-Agent: pybalt/2025\nAccept: application/json\nContent-Type: application/json; charset=utf-8\nAuthorization: Api-Key {key}\nAccept-Encoding: identity"
    );
    let pybalt = link_of(
        &post("/", &pybalt, r#"{"url": "http://127.0.0.1/2", "filenameStyle": "pretty", "videoQuality": "max"}"#)
            .await?,
    )?;
    let cute = format!("accept: application/json\ncontent-type: application/json\nauthorization: Bearer {key}");
    link_of(&post("/", &cute, r#"{"url":"http://127.0.0.1/3","downloadMode":"audio","audioFormat":"best"}"#).await?)?;

    // a client that can set no header
    let in_path = format!("/key/{}/", key.replace(' ', "%20"));
    let plain = "Accept: application/json\nContent-Type: application/json";
    link_of(&post(&in_path, plain, r#"{"url":"http://127.0.0.1/4"}"#).await?)?;

    for link in [raycast, pybalt] {
        assert_eq!(sent(address, &format!("GET {link}&p=1")).await?.status, 200, "a link needs no key");
    }
    assert!(is_refusal(&post("/", plain, r#"{"url":"http://127.0.0.1/5"}"#).await?, 400, "auth.key.missing"));
    let wrong = format!("{plain}\nAuthorization: Api-Key 7b5b8c1e-0000-4000-8000-000000000000");
    assert!(is_refusal(&post("/", &wrong, r#"{"url":"http://127.0.0.1/5"}"#).await?, 400, "auth.key.not_found"));
    Ok(())
}

#[tokio::test]
async fn a_client_that_waits_two_seconds_reads_an_id_in_its_link() -> Result<()> {
    let site = Site::with(&[("HAUL_COMPAT_COBALT", "/cobalt")]).await?;
    // Cobalt for Raycast (MonsPropre)
    let lines = "POST /cobalt\nAccept: application/json\nContent-Type: application/json\n\
                 User-Agent: CobaltRaycastExtension\n\n{\"url\":\"http://127.0.0.1/talk\",\"downloadMode\":\"auto\",\"filenameStyle\":\"nerdy\"}";
    let told = sent(site.url.strip_prefix("http://").context("an address")?, lines).await?.json();
    let url: reqwest::Url = told["url"].as_str().context("an address")?.parse()?;
    assert!(url.as_str().starts_with(&format!("{}/cobalt/tunnel?", site.url)), "{url}");
    let lengths: Vec<(String, usize)> =
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.len())).collect();
    let expected = [("id", 21), ("exp", 13), ("sig", 43), ("sec", 43), ("iv", 22)];
    assert_eq!(lengths, expected.map(|(name, length)| (name.to_owned(), length)));
    assert_eq!(told["filename"], json!("media_talk.mp4"));
    Ok(())
}
