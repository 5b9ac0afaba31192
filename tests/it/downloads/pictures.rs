//! The pictures that metadata names, made small for whoever looks at them.

use std::process::Command;

use haul_tests::site::{Answer, patiently};
use rustix::process::Signal;

use super::*;

const METADATA: &str = "/api/v1/metadata";

/// Puts a page there whose medium has this picture, and returns the page's address.
fn page(house: &House, path: &str, picture: &str) -> String {
    let html =
        format!("<!doctype html><title>A talk</title><video src=\"/progressive.mp4\" poster=\"{picture}\"></video>");
    house.origin.put(path, html);
    house.origin.url(path)
}

fn thumbnail(url: &str) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("url", url).finish();
    format!("{METADATA}/thumbnail?{query}")
}

async fn shown(house: &House, url: &str) -> Result<Answer> {
    patiently(async || house.get(&thumbnail(url)).await).await
}

fn size_of(jpeg: &[u8]) -> Result<(u64, u64)> {
    let file = tempfile::Builder::new().suffix(".jpg").tempfile()?;
    std::fs::write(file.path(), jpeg)?;
    let seen = media::ffprobe(file.path());
    let side = |name: &str| seen["streams"][0][name].as_u64().context("a picture");
    Ok((side("width")?, side("height")?))
}

/// A picture of 1280 x 1280 that no encoder makes small.
fn noise() -> Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    let ends = Command::new(media::program("ffmpeg"))
        .args([
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            "nullsrc=s=320x320,geq=random(1)*255:random(2)*255:random(3)*255",
        ])
        .args(["-vf", "scale=1280:1280:flags=neighbor", "-frames:v", "1", "noise.png"])
        .current_dir(dir.path())
        .status()?;
    ensure!(ends.success(), "ffmpeg {ends}");
    Ok(std::fs::read(dir.path().join("noise.png"))?)
}

#[tokio::test]
async fn the_picture_that_metadata_names_is_made_small_once_and_shown_to_whoever_asks() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let _worker = house.worker(&[]).await?;
    let url = page(&house, "/talk.html", "/poster.png");
    let (one, two) = tokio::join!(shown(&house, &url), shown(&house, &url));
    for answer in [one?, two?] {
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "image/jpeg"), "{}", answer.told());
        assert_eq!(size_of(&answer.body)?, (640, 360));
        let good_for = answer.header("cache-control").strip_prefix("private, max-age=").context("for how long")?;
        assert!((1..=3600).contains(&good_for.parse::<u64>()?), "{good_for}");
        assert_eq!(answer.header("vary"), "authorization");
    }
    let of_both = |house: &House| (house.origin.hits("/talk.html"), house.origin.hits("/poster.png"));
    let looked = of_both(&house);
    assert_eq!(looked.1, 1, "two who ask at once wait for one picture");

    let another = house.another_api(&[]).await?;
    let elsewhere = haul_tests::site::send(house.request(&another, Method::GET, &thumbnail(&url))).await?;
    assert_eq!((elsewhere.status.as_u16(), of_both(&house)), (200, looked));
    let metadata = house.ask(Method::POST, METADATA, &json!({ "url": url })).await?;
    assert_eq!((metadata.header("haul-cache"), of_both(&house)), ("hit", looked), "it was looked at for the picture");

    let forget = format!("{METADATA}?{}", thumbnail(&url).split_once('?').context("a query")?.1);
    assert_eq!(house.ask(Method::DELETE, &forget, &Value::Null).await?.status, 204);
    assert_eq!(shown(&house, &url).await?.status, 200);
    assert_eq!(house.origin.hits("/poster.png"), 2);
    assert_eq!(house.get(DOWNLOADS).await?.json()["downloads"], json!([]), "it is nobody's download");

    house.origin.put("/noise.png", tokio::task::spawn_blocking(noise).await??);
    let noisy = shown(&house, &page(&house, "/noise.html", "/noise.png")).await?;
    assert_eq!((noisy.status.as_u16(), size_of(&noisy.body)?), (200, (320, 320)));
    assert!(noisy.body.len() <= haul_shared::metadata::LARGEST_PICTURE, "{}", noisy.body.len());
    Ok(())
}

#[tokio::test]
async fn of_what_is_no_picture_or_may_not_be_fetched_there_is_none_and_nobody_asks_again_at_once() -> Result<()> {
    let hidden = haul_tests::origin::Origin::start_at("127.0.0.2").await;
    let reached = ("HAUL_EGRESS_ALLOW", "127.0.0.1/32");
    let house = House::open(Store::Disk, &[reached]).await?;
    let worker = house.worker(&[reached]).await?;
    let origin = &house.origin;
    // 60,000 x 60,000 pixels in a few hundred bytes
    let mut bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bomb.extend([0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60, 8, 2, 0, 0, 0, 0, 0, 0, 0]);
    bomb.extend([0; 200]);
    origin.put("/bomb.png", bomb);
    origin.put("/posing.png", "#EXTM3U\n#EXTINF:8,\n/etc/passwd\n");
    origin.put("/broken.jpg", &b"\xff\xd8\xff\xe0 and nothing else"[..]);
    origin.answer("/large.png", 200, &[], vec![0_u8; 17 << 20]);
    let away = (reqwest::header::LOCATION, hidden.url("/poster.png"));
    origin.answer("/away.png", 302, &[(away.0, &away.1)], "");
    for path in ["/bomb.png", "/posing.png", "/broken.jpg", "/large.png", "/away.png", "/nothing.png"] {
        let url = page(&house, &path.replace('.', "-").replace("-png", ".html").replace("-jpg", ".html"), path);
        for again in [false, true] {
            let answer = shown(&house, &url).await?;
            assert_eq!(answer.told(), "404 not_found", "{path}, again: {again}");
        }
        assert_eq!(origin.hits(path), 1, "{path}");
    }
    let direct = page(&house, "/direct.html", &hidden.url("/poster.png"));
    assert_eq!(shown(&house, &direct).await?.told(), "404 not_found");
    assert_eq!(hidden.all_hits(), 0);
    assert!(house.metric(&worker, "haul_egress_denied_total{reason=\"address\"}").await? >= 2.0);

    // what names none, and what is refused as metadata are
    assert_eq!(shown(&house, &origin.url("/progressive.mp4")).await?.told(), "404 not_found");
    assert_eq!(shown(&house, &origin.url("/page.html")).await?.told(), "422 unsupported_url");
    for (query, expected) in [
        ("", "422 invalid_request"),
        ("?url=nonsense", "422 invalid_request"),
        ("?url=http://127.0.0.1/&x=1", "422 invalid_request"),
        ("?url=ftp://127.0.0.1/", "422 unsupported_url"),
        ("?url=http://10.0.0.1/", "422 egress_denied"),
    ] {
        assert_eq!(house.get(&format!("{METADATA}/thumbnail{query}")).await?.told(), expected, "{query}");
    }
    processes::until("nothing is left in scratch", async || house.scratch_files() == 0).await?;
    Ok(())
}

#[tokio::test]
async fn a_picture_of_what_is_known_costs_a_read_and_a_look_costs_what_metadata_cost() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_RATE_METADATA", "2/h")]).await?;
    let _worker = house.worker(&[]).await?;
    let pages = ["/one.html", "/two.html", "/three.html"].map(|path| page(&house, path, "/poster.png"));
    let look = house.ask(Method::POST, METADATA, &json!({ "url": pages[0] })).await?;
    assert_eq!(look.status, 200, "{}", look.told());
    for _ in 0..3 {
        assert_eq!(shown(&house, &pages[0]).await?.status, 200);
    }
    assert_eq!(shown(&house, &pages[1]).await?.status, 200);
    let refused = shown(&house, &pages[2]).await?;
    assert_eq!((refused.told(), refused.header("x-ratelimit-limit")), ("429 rate_limited".to_owned(), "2"));
    assert_eq!(house.origin.hits("/three.html"), 0);
    assert_eq!(shown(&house, &pages[1]).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_picture_that_takes_long_is_not_ready_and_goes_on_being_made_for_the_next_who_asks() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let mut worker = house.worker(&[]).await?;
    let url = page(&house, "/talk.html", "/poster.png");
    let look = house.ask(Method::POST, METADATA, &json!({ "url": url })).await?;
    assert_eq!(look.status, 200, "{}", look.told());
    // nobody is there to make it
    worker.signal(Signal::TERM)?;
    assert!(worker.ended().await?.success());
    let late = house.get(&thumbnail(&url)).await?;
    assert_eq!(late.told(), "409 not_ready");
    assert!(late.header("retry-after").parse::<u64>()? >= 1);
    let _worker = house.worker(&[]).await?;
    processes::until("it is fetched though nobody asks", async || house.origin.hits("/poster.png") == 1).await?;
    assert_eq!(shown(&house, &url).await?.status, 200);
    assert_eq!(house.origin.hits("/poster.png"), 1);
    Ok(())
}
