//! Links of cobalt's dialect, from the order to the file or to none.

use anyhow::{Context as _, Result};
use haul_shared::job::{Failure, FailureKind};
use haul_tests::house::{House, Store};
use haul_tests::origin::Fault;
use haul_tests::site::{Answer, Site};
use haul_tests::verbatim::{of_lines, say};
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{COBALT, URL, is_refusal, link_of, ordered, sent};

#[tokio::test]
async fn cobalts_page_has_an_answer_before_anybody_has_looked_and_a_file_when_there_is_one() -> Result<()> {
    let house = House::open(Store::S3, &[COBALT, ("HAUL_CORS_ORIGINS", "https://cobalt.tools")]).await?;
    let address = house.api.address().to_string();
    let host = format!("cobalt.example:{}", house.api.address().port());
    let media = house.origin.url("/hls-ts/master.m3u8");
    let page = format!(
        "Host: {host}\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0\nAccept-Language: en-US\n\
         Origin: https://cobalt.tools\nReferer: https://cobalt.tools/\nConnection: keep-alive\nSec-Fetch-Dest: empty\n\
         Sec-Fetch-Mode: cors\nSec-Fetch-Site: cross-site"
    );
    let ask =
        async |first: &str, more: &str| say(&address, &of_lines(&format!("{first} HTTP/1.1\n{page}\n{more}"))).await;

    let preflight = "Access-Control-Request-Method: POST\nAccess-Control-Request-Headers: authorization,content-type";
    let told = ask("OPTIONS /", preflight).await?;
    assert_eq!((told.status.as_u16(), told.header("access-control-allow-origin")), (200, "*"));
    assert_eq!(told.header("access-control-allow-headers"), "authorization,content-type");
    let instance = ask("GET /", "").await?;
    assert_eq!(instance.json()["cobalt"]["url"], format!("http://{host}/"));

    // there is no worker, so that nobody could have looked
    let body = json!({
        "url": media, "downloadMode": "auto", "filenameStyle": "nerdy", "videoQuality": "1080", "youtubeVideoCodec": "h264",
        "youtubeVideoContainer": "auto", "localProcessing": "preferred", "audioBitrate": "128", "audioFormat": "mp3",
        "alwaysProxy": false, "allowH265": false, "convertGif": true, "disableMetadata": false, "tiktokFullAudio": false,
        "youtubeBetterAudio": false, "youtubeHLS": false, "subtitleLang": "none",
    });
    let json = format!("Accept: application/json\nContent-Type: application/json\n\n{body}");
    let told = ask("POST /", &json).await?;
    assert_eq!(told.json()["filename"], "media_masterm3u8.mp4");
    let again = ask("POST /", &json).await?;
    let prefix = format!("http://{host}");
    let path = |told: &Answer| -> Result<String> {
        let json = told.json();
        let url = json["url"].as_str().with_context(|| json.to_string())?;
        Ok(url.strip_prefix(&prefix).context("at this host")?.to_owned())
    };
    let (link, other) = (path(&told)?, path(&again)?);
    assert_ne!(link, other);
    let jobs = house.get("/api/v1/downloads").await?.json();
    assert_eq!(jobs["downloads"].as_array().map(Vec::len), Some(1), "an order is queued once");

    let probe = ask(&format!("GET {link}&p=1"), "").await?;
    assert_eq!((probe.status.as_u16(), probe.body.len()), (200, 0));
    let another = house.another_api(&[]).await?;
    let probe = sent(&another.address().to_string(), &format!("GET {link}&p=1")).await?;
    assert_eq!(probe.status, 200, "a link is good at every API");
    let (first, second) = (format!("GET {link}"), format!("GET {other}"));
    let (file, same, worker) = tokio::join!(ask(&first, ""), ask(&second, ""), house.worker(&[]));
    let (_worker, file, same) = (worker?, file?, same?);
    assert_eq!(file.status, 200, "{}", String::from_utf8_lossy(&file.body));
    let jobs = house.get("/api/v1/downloads").await?.json();
    let id = jobs["downloads"][0]["id"].as_str().context("an id")?.to_owned();
    let content = house.get(&format!("/api/v1/downloads/{id}/content")).await?;
    assert!(file.body == content.body && same.body == content.body && !content.body.is_empty());
    assert_eq!(file.header("cross-origin-resource-policy"), "cross-origin");
    assert_eq!(file.header("access-control-allow-origin"), "*");
    assert_eq!(file.header("accept-ranges"), "bytes");
    let named = file.header("content-disposition").to_owned();
    assert!(named.contains("(720p, h264, media, masterm3u8).mp4\""), "{named}");
    let part = ask(&first, "Range: bytes=5-9").await?;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &content.body[5..10]));

    // what is known has its name at once
    assert_eq!(house.ask(Method::POST, "/api/v1/metadata", &json!({ "url": media })).await?.status, 200);
    let known = ask("POST /", &json).await?.json();
    assert!(named.contains(known["filename"].as_str().context("a name")?), "{known} {named}");

    // a site that never answers keeps no order waiting: it is answered while the worker still waits for that site
    let hanging = house.origin.spoilt(Fault::Hang, "/progressive.mp4");
    let link = link_of(&ordered(&address, &json!({ "url": hanging }).to_string()).await?)?;
    assert_eq!(sent(&address, &format!("GET {link}&p=1")).await?.status, 200, "nothing has ended");
    Ok(())
}

#[tokio::test]
async fn a_link_is_never_answered_with_200_before_there_is_a_file() -> Result<()> {
    let site = Site::with(&[COBALT]).await?;
    let address = site.url.strip_prefix("http://").context("an address")?;
    let link = link_of(&ordered(address, &json!({ "url": URL }).to_string()).await?)?;
    let get = async |path: &str| sent(address, &format!("GET {path}")).await;
    assert_eq!(get(&format!("{link}&p=1")).await?.status, 200, "it may come");

    let waits = get(&link);
    let fails = async {
        let failure = Failure { kind: FailureKind::Private, detail: "secret words".to_owned(), retry_after: None };
        site.fail(&failure).await
    };
    let (waited, failed) = tokio::join!(waits, fails);
    failed?;
    for told in [waited?, get(&link).await?, get(&format!("{link}&p=1")).await?] {
        assert!(is_refusal(&told, 404, "content.video.private"), "{} {}", told.status, told.json());
        assert!(!String::from_utf8_lossy(&told.body).contains("secret words"));
    }

    let (path, query) = link.split_once('?').context("a query")?;
    let forged = query.replace("&sig=", "&sig=A").replacen("id=", "id=x", 1);
    let parts: Vec<&str> = query.split('&').collect();
    assert_eq!(get(&format!("{path}?{}", parts[1..].join("&"))).await?.status, 400);
    assert_eq!(get(&format!("{path}?{forged}")).await?.status, 400, "of another length");
    let ids = parts[0].strip_prefix("id=b").context("an id of its style")?;
    assert_eq!(get(&link.replacen(&format!("id=b{ids}"), &format!("id=n{ids}"), 1)).await?.status, 401);
    assert_eq!(get(path).await?.status, 400);

    // one that goes away while it waits takes nothing along
    let second = ordered(address, &json!({ "url": URL, "downloadMode": "audio" }).to_string()).await?;
    let second = link_of(&second)?;
    let mut leaves = TcpStream::connect(address).await?;
    leaves.write_all(of_lines(&format!("GET {second} HTTP/1.1\nHost: cobalt.example")).as_bytes()).await?;
    drop(leaves);
    let leased = site.lease().await?;
    let (told, finished) = tokio::join!(get(&second), site.finish(&leased, b"sound"));
    finished?;
    let told = told?;
    assert_eq!((told.status.as_u16(), &told.body[..]), (200, &b"sound"[..]));
    let ranged = sent(address, &format!("GET {second}\nRange: bytes=99-")).await?;
    assert_eq!((ranged.status.as_u16(), ranged.header("content-range")), (416, "bytes */5"));
    Ok(())
}
