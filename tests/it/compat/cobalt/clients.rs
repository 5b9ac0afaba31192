//! What clients of cobalt send as their sources build it, header by header and key by key, and what each needs back. What their
//! HTTP libraries add is left out.

use anyhow::{Context as _, Result};
use haul_tests::keys::{Keys, key, text};
use haul_tests::processes::said;
use haul_tests::site::Site;
use serde_json::json;

use super::{COBALT, is_refusal, link_of, sent};

#[tokio::test]
async fn clients_with_a_key_are_answered_as_they_need_it_and_their_links_need_none() -> Result<()> {
    let keys = Keys::of(&[])?;
    // the settings of cobalt's page take no key but a UUID
    let made = said("haul-api", &["key", "new", "--uuid", "page"]).await?;
    let (uuid, entry) = (String::from_utf8(made.stdout)?, String::from_utf8(made.stderr)?);
    std::fs::write(keys.path(), text(&[("a", "")]) + &entry)?;
    let site = keys.site(&[COBALT]).await?;
    let address = site.url.strip_prefix("http://").context("an address")?;
    let key = key("a");
    let post =
        async |path: &str, headers: &str, body: &str| sent(address, &format!("POST {path}\n{headers}\n\n{body}")).await;

    // cobalt's page, from an origin that is named nowhere
    let page = format!(
        "Accept: application/json\nContent-Type: application/json\nAuthorization: Api-Key {}\nOrigin: https://cobalt.tools\n\
         Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: cors",
        uuid.trim_end()
    );
    let told = post("/", &page, r#"{"url":"http://127.0.0.1/0","localProcessing":"preferred"}"#).await?;
    assert_eq!(told.header("access-control-allow-origin"), "*");
    let page = link_of(&told)?;

    // Raycast (aelew), with keys that cobalt has dropped
    let raycast = format!(
        "Accept: application/json\nUser-Agent: raycast-cobalt/20241120\nContent-Type: application/json\nAuthorization: Api-Key {key}"
    );
    let body = r#"{"downloadMode":"auto","url":"http://127.0.0.1/1","youtubeVideoCodec":"h264","videoQuality":"max","audioFormat":"best","filenameStyle":"basic","alwaysProxy":false,"disableMetadata":false,"youtubeHLS":false,"twitterGif":true,"tiktokFullAudio":false,"tiktokH265":true}"#;
    let raycast = link_of(&post("/", &raycast, body).await?)?;

    // pybalt, as Python writes JSON
    let pybalt = format!(
        "User-Agent: github.com/nichind/pybalt, tool/python-module, :)\nAccept: application/json\nContent-Type: application/json\n\
         Authorization: Api-Key {key}"
    );
    let body = r#"{"url": "http://127.0.0.1/2", "filenameStyle": "pretty", "videoQuality": "max"}"#;
    let pybalt = link_of(&post("/", &pybalt, body).await?)?;

    // @cute/cobalt-api
    let cute = format!("Accept: application/json\nContent-Type: application/json\nAuthorization: Api-Key {key}");
    link_of(&post("/", &cute, r#"{"url":"http://127.0.0.1/3","downloadMode":"audio","audioFormat":"best"}"#).await?)?;

    // scripts, one of which can set no header for a key
    let plain = "Accept: application/json\nContent-Type: application/json; charset=utf-8";
    let in_path = format!("/key/{}/", key.replace(' ', "%20"));
    link_of(&post(&in_path, plain, r#"{"url":"http://127.0.0.1/4"}"#).await?)?;
    let bearer = format!("{plain}\nAuthorization: Bearer {key}");
    link_of(&post("/", &bearer, r#"{"url":"http://127.0.0.1/4","downloadMode":"audio"}"#).await?)?;

    for link in [page, raycast, pybalt] {
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
    let lines = "POST /cobalt\nContent-Type: application/json\nAccept: application/json\n\
                 User-Agent: MonsPropre/cobalt-for-raycast\n\n{\"url\":\"http://127.0.0.1/talk\",\"downloadMode\":\"auto\",\"filenameStyle\":\"nerdy\"}";
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
