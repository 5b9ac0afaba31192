//! What clients of `MeTube` send, with the paths, headers and bodies that their sources build, and what each needs back.

use anyhow::{Context as _, Result};
use haul_tests::keys::{Keys, key};
use haul_tests::site::{Answer, Site};
use serde_json::{Value, json};

use super::{METUBE, basic, is_refusal, sent};

/// Of a page where a bookmarklet is used.
const PAGE: &str = "https://www.video.example";
const ADD_ON: &str = "moz-extension://0b6a2f5e-5d3c-4c59-a1c5-3c9a7d1e2f40";

/// What most clients take for good: 200, JSON, `status` is `ok`.
fn is_taken(answer: &Answer) -> bool {
    answer.status == 200 && answer.json()["status"] == "ok"
}

async fn history(site: &Site) -> Result<Value> {
    let told = site.get("/metube/history").await?;
    assert_eq!((told.status.as_u16(), told.header("content-type")), (200, "text/plain; charset=utf-8"));
    Ok(told.json())
}

#[tokio::test]
async fn extensions_for_browsers_and_bookmarklets_are_answered_as_they_need_it() -> Result<()> {
    let site = Site::with(&[METUBE, ("HAUL_CORS_ORIGINS", &format!("{PAGE},{ADD_ON}"))]).await?;

    // Chrome, told a base that ends with a slash; its origin has the right to the host and is named nowhere
    let chrome = "POST /metube//add HTTP/1.1\nHost: dl.example:8080\nConnection: keep-alive\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) \
                  AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\nContent-Type: application/json\nAccept: */*\n\
                  Origin: chrome-extension://cabgfgbkdjjkpdkabjdoflcbmcomojjb\nSec-Fetch-Site: none\nSec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\n\n";
    let told = sent(&site, &format!("{chrome}{}", r#"{"quality":"best","format":"any","url":"http://127.0.0.1/1","auto_start":true,"folder":"127.0.0.1","custom_name_prefix":"127.0.0.1"}"#)).await?;
    assert!(is_taken(&told), "{}", told.json());
    let told =
        sent(&site, &format!("{chrome}{}", r#"{"quality":"best","url":"http://127.0.0.1/2","auto_start":true}"#))
            .await?;
    assert!(is_taken(&told), "{}", told.json());

    // Firefox, without the right to the host
    let firefox = format!(
        "HTTP/1.1\nHost: dl.example:8080\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0\n\
                           Accept: */*\nAccept-Language: en-US,en;q=0.5\nOrigin: {ADD_ON}\nConnection: keep-alive"
    );
    let preflight = "Access-Control-Request-Method: POST\nAccess-Control-Request-Headers: content-type,x-custom";
    let told = sent(&site, &format!("OPTIONS /metube/add {firefox}\n{preflight}")).await?;
    assert_eq!((told.status.as_u16(), told.header("access-control-allow-origin")), (200, ADD_ON));
    assert_eq!(told.header("access-control-allow-headers"), "content-type,x-custom");
    let post =
        |body: &str| format!("POST /metube/add {firefox}\nContent-Type: application/json\nX-Custom: 1\n\n{body}");
    let told = sent(&site, &post(r#"{"url":"http://127.0.0.1/3","download_type":"video","codec":"h264","format":"mp4","quality":"1080","folder":"","custom_name_prefix":"","playlist_strict_mode":false,"playlist_item_limit":0,"auto_start":true,"split_by_chapters":false,"chapter_template":"%(title)s","subtitle_language":"en","subtitle_mode":"prefer_manual"}"#)).await?;
    assert!(told.status.is_success() && told.header("access-control-allow-origin") == ADD_ON, "{}", told.json());
    let told = sent(
        &site,
        &post(r#"{"url":"http://127.0.0.1/4","download_type":"captions","format":"srt","quality":"best"}"#),
    )
    .await?;
    assert!(!told.status.is_success() && is_refusal(&told), "any 2xx would show as success");

    // a bookmarklet on a page: text, so that the browser does not ask first, with what it keeps for us
    let bookmarklet = format!(
        "POST /metube/add HTTP/1.1\nHost: dl.example:8080\nUser-Agent: Mozilla/5.0\nContent-Type: text/plain;charset=UTF-8\n\
                               Accept: */*\nOrigin: {PAGE}\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: cors\nReferer: {PAGE}/\nCookie: theme=dark\n\n"
    );
    let told = sent(&site, &format!("{bookmarklet}{}", r#"{"url":"http://127.0.0.1/5","quality":"best"}"#)).await?;
    assert!(is_taken(&told), "{}", told.json());
    assert_eq!(told.header("access-control-allow-credentials"), "true");
    assert_eq!(told.header("access-control-allow-origin"), PAGE);

    let ordered = history(&site).await?;
    let urls: Vec<_> = ordered["queue"].as_array().context("a list")?.iter().map(|item| &item["url"]).collect();
    assert_eq!(urls, [1, 2, 3, 5].map(|n| format!("http://127.0.0.1/{n}")).iter().collect::<Vec<_>>());
    assert_eq!(ordered["queue"][2]["codec"], "h264");
    Ok(())
}

#[tokio::test]
async fn apps_and_scripts_are_answered_as_they_need_it() -> Result<()> {
    let keys = Keys::of(&[("phone", "")])?;
    let site = Site::with(&[METUBE]).await?;
    let post = |path: &str, headers: &str, body: &str| {
        format!("POST {path} HTTP/1.1\nHost: dl.example:8080\n{headers}\n\n{body}")
    };

    // Raycast parses whatever comes, and sends the height of a picture with sound
    let raycast = "content-type: application/json\naccept: */*\nuser-agent: node\nconnection: keep-alive";
    let told =
        sent(&site, &post("/metube/add", raycast, r#"{"url":"http://127.0.0.1/1","quality":"1080","format":"mp3"}"#))
            .await?;
    assert!(is_taken(&told), "{}", told.json());
    for wrong in
        [r#"{"url":"http://127.0.0.1/1","quality":"1080","format":"avi"}"#, r#"{"url":"no address"}"#, "{", "[]", ""]
    {
        let told = sent(&site, &post("/metube/add", raycast, wrong)).await?;
        assert!(told.status == 400 && is_refusal(&told), "{wrong}: {}", told.json());
    }

    // Android, whose key is a password
    let with_keys = keys.site(&[METUBE]).await?;
    let android = |password: &str| {
        format!(
            "Authorization: {}\nContent-Type: application/json; charset=utf-8\nConnection: Keep-Alive\nUser-Agent: okhttp/4.9.0",
            basic("me", password)
        )
    };
    let body = r#"{"quality":"best","format":"any","auto_start":true,"url":"http://127.0.0.1/1"}"#;
    let told = sent(&with_keys, &post("/metube/add", &android(&key("phone")), body)).await?;
    assert!(is_taken(&told), "{}", told.json());
    let told = sent(&with_keys, &post("/metube/add", &android("wrong"), body)).await?;
    assert!(told.status == 401 && is_refusal(&told));

    // what Home Assistant and n8n hear nothing of they send again; curl says it is a form
    let curl = "User-Agent: curl/8.5.0\nAccept: */*\nContent-Type: application/x-www-form-urlencoded";
    let body = r#"{"url":"http://127.0.0.1/2","quality":"best","format":"mp4"}"#;
    let first = sent(&site, &post("/metube/add", curl, body)).await?;
    let again = sent(&site, &post("/metube/add", curl, body)).await?;
    assert!(is_taken(&first) && is_taken(&again));
    assert_eq!(again.json()["msg"], "Already in queue: http://127.0.0.1/2");
    assert_eq!(again.json()["id"], first.json()["id"]);
    let other = sent(&site, &post("/metube/add", curl, r#"{"url":"http://127.0.0.1/2","format":"mp3"}"#)).await?;
    assert!(is_taken(&other) && other.json()["id"] != first.json()["id"], "another file is another order");

    // Aulos: versions, the whole history, and an address as an id
    let aulos = "Accept: */*\nUser-Agent: Aulos/1 CFNetwork/1568 Darwin/24.0.0\nConnection: keep-alive";
    let told = sent(&site, &format!("GET /metube/version HTTP/1.1\nHost: h\n{aulos}")).await?;
    assert!(told.json()["version"].is_string() && told.json()["yt-dlp"].is_string());
    let lists = history(&site).await?;
    assert_eq!((&lists["done"], &lists["pending"]), (&json!([]), &json!([])));
    assert_eq!(lists["queue"].as_array().map(Vec::len), Some(3));
    let aulos_json = format!("{aulos}\nContent-Type: application/json");
    let delete = r#"{"ids":["http://127.0.0.1/2","http://127.0.0.1/unknown"],"where":"queue"}"#;
    assert!(is_taken(&sent(&site, &post("/metube/delete", &aulos_json, delete)).await?));
    assert_eq!(
        history(&site).await?["queue"].as_array().map(Vec::len),
        Some(1),
        "an address names all of its downloads"
    );
    let start = r#"{"ids":["http://127.0.0.1/1"]}"#;
    assert!(is_taken(&sent(&site, &post("/metube/start", &aulos_json, start)).await?));
    for wrong in [
        r#"{"ids":["x"],"where":""}"#,
        r#"{"ids":["x"]}"#,
        r#"{"ids":[],"where":"done"}"#,
        r#"{"ids":[7],"where":"done"}"#,
    ] {
        let told = sent(&site, &post("/metube/delete", &aulos_json, wrong)).await?;
        assert!(told.status == 400 && is_refusal(&told), "{wrong}");
    }
    for refused in ["upload-cookies", "delete-cookies", "subscribe", "subscriptions/check"] {
        let told = sent(&site, &post(&format!("/metube/{refused}"), &aulos_json, "{}")).await?;
        assert!(told.status == 400 && is_refusal(&told), "{refused}");
    }
    Ok(())
}
