//! What strangers' pages and playlists lead to, through the running service: judged at every step, and told as it is.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use haul_tests::ranges::{Answer, Asked, RangeOrigin, TAG};
use haul_tests::receiver::Receiver;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// All that may be reached; whoever hides has another address of loopback.
const REACHED: (&str, &str) = ("HAUL_EGRESS_ALLOW", "127.0.0.1/32");

/// Nobody may ever come here. How many came.
async fn canary() -> io::Result<(SocketAddr, Arc<AtomicUsize>)> {
    let (listener, visits) = (TcpListener::bind("127.0.0.2:0").await?, Arc::<AtomicUsize>::default());
    let (address, count) = (listener.local_addr()?, Arc::clone(&visits));
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok((address, visits))
}

#[tokio::test]
async fn what_leads_to_a_private_address_is_denied_once_and_never_tried_again() -> Result<()> {
    let (hidden, visits) = canary().await?;
    let house = House::open(Store::Disk, &[REACHED]).await?;
    // by default yt-dlp asks for a segment six times, and pauses half a minute in between
    let worker = house.worker(&[REACHED, ("HAUL_FRAGMENT_RETRIES", "1")]).await?;
    let list = |lines: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{lines}\n#EXT-X-ENDLIST\n");
    let own = house.origin.url("/hls-ts/360p-0.ts");
    let manifest = format!(
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
         mediaPresentationDuration=\"PT8S\"><BaseURL>http://{hidden}/</BaseURL><Period><AdaptationSet \
         mimeType=\"video/mp4\"><SegmentTemplate timescale=\"1\" duration=\"2\" media=\"$Number$\" initialization=\"i\"/>\
         <Representation id=\"1\" bandwidth=\"1\" width=\"2\" height=\"2\" codecs=\"avc1.42c01e\"/></AdaptationSet>\
         </Period></MPD>"
    );
    for (path, text) in [
        ("/segment.m3u8", list(&format!("#EXTINF:2,\n{own}\n#EXTINF:2,\nhttp://{hidden}/1.ts"))),
        // what only yt-dlp fetches
        ("/broken.m3u8", list(&format!("#EXTINF:2,\n{own}\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nhttp://{hidden}/1.ts"))),
        ("/key.m3u8", list(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"http://{hidden}/k\"\n#EXTINF:2,\n{own}"))),
        ("/variant.m3u8", format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://{hidden}/v.m3u8\n")),
        ("/base.mpd", manifest),
        (
            "/page.html",
            format!("<html><title>x</title><meta http-equiv=\"refresh\" content=\"0;url=http://{hidden}/\">"),
        ),
    ] {
        house.origin.put(path, text);
    }
    let moved = RangeOrigin::start(move |asked: &Asked| {
        let status = asked.path.trim_start_matches('/').parse().unwrap_or(404);
        Answer::status(status).with("Location", format!("http://{hidden}/"))
    });
    let moved = moved.await;
    let lists = ["segment.m3u8", "broken.m3u8", "key.m3u8", "variant.m3u8", "base.mpd", "page.html"];
    let mut urls: Vec<String> = lists.map(|path| house.origin.url(&format!("/{path}"))).to_vec();
    urls.extend([301, 302, 303, 307, 308].map(|status| moved.url(&format!("/{status}"))));
    let mut jobs = Vec::new();
    for url in &urls {
        jobs.push(house.order(&request(url, json!({}))).await?);
    }
    for (url, job) in urls.iter().zip(&jobs) {
        let view = house.end(job).await?;
        assert_eq!((&view["error"]["code"], &view["attempt"]), (&json!("egress_denied"), &json!(1)), "{url}: {view}");
    }
    let asked = json!({ "url": moved.url("/302") });
    let look = house.ask(Method::POST, "/api/v1/metadata", &asked).await?;
    assert_eq!((look.status.as_u16(), &look.json()["code"]), (422, &json!("egress_denied")));
    assert_eq!((visits.load(Ordering::Relaxed), house.stored()), (0, 0));
    let counted = house.metric(&worker, "haul_egress_denied_total{reason=\"address\"}").await?;
    assert!(counted > urls.len() as f64, "{counted}");
    Ok(())
}

#[tokio::test]
async fn what_a_job_can_do_without_is_left_out_where_it_is_denied_and_its_bytes_are_told() -> Result<()> {
    let (hidden, visits) = canary().await?;
    let logs = tempfile::tempdir()?;
    let dir = logs.path().to_str().context("a temporary path in UTF-8")?;
    let house = House::open(Store::Disk, &[REACHED]).await?;
    let video = house.origin.url("/progressive.mp4");
    let page = format!(
        "<html><title>A talk</title><meta property=\"og:image\" content=\"http://{hidden}/x.jpg\">\
         <script src=\"http://{hidden}/ad.js\"></script><video src=\"{video}\">\
         <track kind=\"subtitles\" srclang=\"en\" src=\"http://{hidden}/x.vtt\"></video></html>"
    );
    house.origin.put("/talk.html", page);
    let mut worker =
        house.worker(&[REACHED, ("HAUL_LOG", "info"), ("HAUL_LOG_FORMAT", "json"), ("HAUL_LOG_DIR", dir)]).await?;
    let order = json!({ "embed_thumbnail": true, "subtitles": { "languages": ["en"], "mode": "embed" } });
    let job = house.order(&request(&house.origin.url("/talk.html"), order)).await?;
    let view = house.end(&job).await?;
    assert_eq!((&view["status"], visits.load(Ordering::Relaxed)), (&json!("completed"), 0), "{view}");
    worker.signal(rustix::process::Signal::TERM)?;
    assert!(worker.ended().await?.success());
    let mut told = String::new();
    for entry in std::fs::read_dir(logs.path())? {
        told.push_str(&std::fs::read_to_string(entry?.path())?);
    }
    let line = told.lines().find(|line| line.contains(" done")).context("its end")?;
    let number = |name: &str| -> Result<u64> {
        let line: Value = serde_json::from_str(line)?;
        line["fields"][name].as_u64().or_else(|| line[name].as_u64()).context(format!("{name} in {line}"))
    };
    let size = view["result"]["size_bytes"].as_u64().context("a size")?;
    assert!(number("received_bytes")? > size / 2 && number("sent_bytes")? > 100, "{line}");
    assert!(number("requests")? >= 2 && number("refused")? >= 1, "{line}");
    Ok(())
}

#[tokio::test]
async fn a_download_goes_through_the_operator_s_proxy_and_an_environment_names_none() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (proxy, tunnels) = (listener.local_addr()?, Arc::<Mutex<Vec<String>>>::default());
    let made = Arc::clone(&tunnels);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let made = Arc::clone(&made);
            tokio::spawn(async move {
                let target = connect_target(&mut client).await?;
                let mut server = TcpStream::connect(&target).await?;
                made.lock().expect("no holder panics").push(target);
                tokio::io::AsyncWriteExt::write_all(&mut client, b"HTTP/1.1 200 OK\r\n\r\n").await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    let secret = ("HAUL_WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let (house, receiver) = (House::open(Store::Disk, &[secret]).await?, Receiver::start().await?);
    let made = |target: &str| tunnels.lock().expect("no holder panics").iter().filter(|one| *one == target).count();
    let proxy = format!("http://haul:hush@{proxy}");
    // what the worker's own environment says of proxies is no affair of its programs
    let nowhere = "http://127.0.0.2:1";
    let of_others = [("no_proxy", "*"), ("NO_PROXY", "*"), ("ALL_PROXY", nowhere), ("HTTP_PROXY", nowhere)];
    let content: bytes::Bytes = std::fs::read(media::folder().join("progressive.mp4"))?.into();
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked: &Asked| asked.served(&served, TAG).with("Content-Type", "video/mp4"));
    let origin = origin.await;
    for (at, warm) in ["1", "0"].into_iter().enumerate() {
        let variables = [&of_others[..], &[("HAUL_PROXY", proxy.as_str()), ("HAUL_WARM_EXTRACTORS", warm)]].concat();
        let worker = house.worker(&variables).await?;
        let url = origin.url(&format!("/{warm}.mp4"));
        let site = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let before = made(site);
        let more = json!({ "format": "original", "webhook": { "url": receiver.url("/hook") } });
        let job = house.order(&request(&url, more)).await?;
        assert_eq!(house.outcome(&job).await?, "completed");
        assert!(made(site) > before + 1, "yt-dlp's and ours");
        receiver.has(at + 1).await?;
        assert_eq!(made(&receiver.address().to_string()), at + 1, "and the webhook's");
        drop(worker);
    }
    Ok(())
}

/// The target of a `CONNECT`.
async fn connect_target(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::io::AsyncReadExt::read_u8(client).await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    Ok(head.split(' ').nth(1).unwrap_or_default().to_owned())
}
