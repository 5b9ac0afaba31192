//! Cookies of the operator's: used by the jobs of who may use them, and sent nowhere else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use haul_shared::cookies::Cookies;
use haul_tests::origin::Origin;
use haul_tests::site::{Answer, patiently, send};
use haul_tests::world::{self, World};
use haul_worker::jar::Jars;

use super::*;

const SESSION: &str = "session=hush-hush-cookie";

/// A jar as a browser exports it, for one of the addresses of loopback, with a line that is none of its site's.
fn put_jar(dir: &Path, site: &str, cookie: &str) -> Result<()> {
    let (name, value) = cookie.split_once('=').context("a cookie")?;
    let text = format!(
        "# Netscape HTTP Cookie File\n\n#HttpOnly_{site}\tFALSE\t/\tFALSE\t0\t{name}\t{value}\n\
         127.0.0.2\tFALSE\t/\tFALSE\t0\t{name}\t{value}\nno cookie {value}\n"
    );
    let (file, fresh) = (dir.join(format!("{site}.txt")), dir.join("fresh"));
    std::fs::write(&fresh, text)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    Ok(std::fs::rename(fresh, file)?)
}

fn key(name: &str, more: &str) -> String {
    let sha256: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[keys]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\n{more}\n")
}

async fn ask(house: &House, key: &str, path: &str, body: &Value) -> Result<Answer> {
    let method = if body.is_null() { Method::GET } else { Method::POST };
    let request = house.request(&house.api, method, path).bearer_auth(key);
    send(if body.is_null() { request } else { request.json(body) }).await
}

/// Orders a download, and waits until it has ended; how, and its path.
async fn outcome(house: &House, key: &str, url: &str, more: Value) -> Result<(String, String)> {
    let answer = ask(house, key, DOWNLOADS, &request(url, more)).await?;
    ensure!(answer.status.is_success(), "{}", answer.told());
    let job = format!("{DOWNLOADS}/{}", answer.json()["id"].as_str().context("an id")?);
    loop {
        let view = ask(house, key, &format!("{job}?wait=30"), &Value::Null).await?.json();
        match view["status"].as_str().context("a status")? {
            "queued" | "running" => {}
            "failed" => return Ok((view["error"]["code"].as_str().unwrap_or_default().to_owned(), job)),
            status => return Ok((status.to_owned(), job)),
        }
    }
}

/// Everything that Redis holds, as text.
async fn held_by(redis: &haul_tests::redis::Redis) -> Result<String> {
    let mut connection = redis.connection().await?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await?;
    let mut held = String::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut connection).await?;
        let (read, rest): (&str, &[&str]) = match kind.as_str() {
            "hash" => ("HGETALL", &[]),
            "string" => ("GET", &[]),
            "zset" => ("ZRANGE", &["0", "-1"]),
            "list" => ("LRANGE", &["0", "-1"]),
            "set" => ("SMEMBERS", &[]),
            _ => continue,
        };
        let value: redis::Value = redis::cmd(read).arg(&key).arg(rest).query_async(&mut connection).await?;
        held += &format!("{key} {value:?}\n");
    }
    Ok(held)
}

#[tokio::test]
async fn a_jar_serves_the_jobs_of_its_keys_and_no_other_job_and_goes_to_no_other_host() -> Result<()> {
    let (jars, logs, keys) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::NamedTempFile::new()?);
    let site = "127.0.0.1";
    put_jar(jars.path(), site, SESSION)?;
    let before = std::fs::read(jars.path().join("127.0.0.1.txt"))?;
    let of_both = "cookies = [\"127.0.0.1\", \"127.0.0.3\"]";
    std::fs::write(keys.path(), key("member", of_both) + &key("other", of_both) + &key("stranger", ""))?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a temporary path in UTF-8");
    let (dir, log_dir, keys_file) = (text(jars.path())?, text(logs.path())?, text(keys.path())?);
    let house = House::open(
        Store::Disk,
        &[
            ("HAUL_API_KEYS_FILE", &keys_file),
            ("HAUL_COOKIES_DIR", &dir),
            ("HAUL_LOG", "debug"),
            ("HAUL_LOG_DIR", &log_dir),
            ("HAUL_RETRIES", "0"),
        ],
    )
    .await?;
    let other = Origin::start_at("127.0.0.2").await;
    house.origin.door().wants(SESSION);
    house.origin.answer("/away.mp4", 302, &[(reqwest::header::LOCATION, &other.url("/progressive.mp4"))], "");
    let playlist = std::fs::read_to_string(media::file("hls-ts/360p.m3u8"))?;
    let elsewhere = playlist.replace("360p-1.ts", &other.url("/hls-ts/360p-1.ts"));
    assert_ne!(elsewhere, playlist);
    house.origin.put("/hls-ts/mixed.m3u8", elsewhere);
    let page = format!(
        "<!doctype html><title>A talk</title><video src=\"/progressive.mp4\" poster=\"{}\"></video>",
        other.url("/poster.jpg")
    );
    house.origin.put("/talk.html", page);

    let pictured =
        "<!doctype html><title>A talk</title><video src=\"/progressive.mp4\" poster=\"/poster.png\"></video>";
    house.origin.put("/pictured.html", pictured);

    for (way, warm, format) in [("warm", "1", "mp4"), ("plain", "0", "mkv")] {
        let worker = house.worker(&[("HAUL_WARM_EXTRACTORS", warm)]).await?;
        let more = || json!({ "format": format });
        for path in [
            "/progressive.mp4",
            "/hls-ts/master.m3u8",
            "/dash/manifest.mpd",
            "/hls-ts/mixed.m3u8",
            "/away.mp4",
            "/talk.html",
        ] {
            let (ended, job) = outcome(&house, "member", &house.origin.url(path), more()).await?;
            assert_eq!(ended, "completed", "{way} {path} {job}");
        }
        let url = house.origin.url("/progressive.mp4");
        let (ended, _) = outcome(&house, "stranger", &url, more()).await?;
        assert_eq!(ended, "login_required", "{way}: not the run, nor the result, of who has cookies");
        let look = json!({ "url": url });
        let looks = [("member", "200"), ("stranger", "403 login_required"), ("other", "200"), ("member", "200")];
        for (key, told) in looks {
            assert_eq!(ask(&house, key, "/api/v1/metadata", &look).await?.told(), told, "{way} {key}");
        }
        let pictures = [("/pictured.html", "member", "200"), ("/pictured.html", "stranger", "403 login_required")];
        for (path, key, told) in pictures.into_iter().chain([("/talk.html", "member", "404 not_found")]) {
            let picture = format!("/api/v1/metadata/thumbnail?url={}", house.origin.url(path));
            let answer = patiently(async || ask(&house, key, &picture, &Value::Null).await).await?;
            assert_eq!(answer.told(), told, "{way} {key} {path}");
        }
        let (ended, _) = outcome(&house, "member", &other.url("/progressive.mp4"), more()).await?;
        assert_eq!(ended, "completed", "{way}: without cookies");
        let nowhere = outcome(&house, "member", "http://127.0.0.3:8080/v.mp4", more()).await?;
        assert_eq!(nowhere.0, "login_required", "{way}: a jar that is promised and not there");
        all_gone(&house, &worker).await?;
    }
    assert!(other.all_hits() > 8 && house.origin.door().cookies().iter().any(|it| it == SESSION));
    assert_eq!(other.door().cookies(), [""; 0], "not by a redirect, a segment or a picture");
    assert_eq!(std::fs::read(jars.path().join("127.0.0.1.txt"))?, before);

    let mut told = held_by(&house.redis).await?;
    assert!(told.contains("127.0.0.1"), "the name of the jar");
    for entry in std::fs::read_dir(logs.path())? {
        told += &String::from_utf8_lossy(&std::fs::read(entry?.path())?);
    }
    assert!(told.contains("were left out"), "what is not of the site is told of");
    let line = told.lines().find(|line| line.contains("hush-hush-cookie"));
    assert!(line.is_none(), "{line:?}");
    Ok(())
}

#[tokio::test]
async fn a_person_alone_needs_no_key_and_a_jar_that_was_replaced_counts_from_the_next_job_on() -> Result<()> {
    let jars = tempfile::tempdir()?;
    let dir = jars.path().to_str().context("a temporary path in UTF-8")?;
    let house = House::open(Store::Disk, &[("HAUL_COOKIES_DIR", dir)]).await?;
    let _worker = house.worker(&[("HAUL_MAX_ATTEMPTS", "1")]).await?;
    house.origin.door().wants(SESSION);
    let ordered = async |format: &str| {
        let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({ "format": format }))).await?;
        house.outcome(&job).await
    };
    assert_eq!(ordered("mp4").await?, "login_required");
    put_jar(jars.path(), "127.0.0.1", SESSION)?;
    assert_eq!(ordered("mkv").await?, "completed");
    put_jar(jars.path(), "127.0.0.1", "session=worn-out")?;
    assert_eq!(ordered("original").await?, "login_required");
    Ok(())
}

/// Fault: yt-dlp that saves its jar gives a cookie of the session an end that is over, and asks without it from then on.
#[tokio::test]
async fn what_yt_dlp_downloads_itself_is_asked_for_with_the_cookies_too() -> Result<()> {
    let (origin, jars) = (Origin::start().await, tempfile::tempdir()?);
    put_jar(jars.path(), "127.0.0.1", SESSION)?;
    origin.door().wants(SESSION);
    let url = crate::ytdlp::read(&origin.url("/dash/manifest.mpd"));
    let jar = Jars::in_dir(Some(jars.path().to_owned())).open(&Cookies::Any, &url).await;
    let jar = jar.map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
    for (way, ytdlp) in [("plain", crate::ytdlp::plain()), ("warm", crate::ytdlp::warm(10).await)] {
        let dir = tempfile::tempdir()?;
        let bounds = crate::ytdlp::bounds();
        let (info, session) = ytdlp.with(jar.clone()).extract(&url, 1, dir.path(), &bounds).await.expect(way);
        assert!(!has_jar(dir.path())?, "{way}");
        let ids: Vec<_> = info.formats.iter().map(|format| format.format_id.as_str()).collect();
        let files = session.download(&[ids[0], ids[ids.len() - 1]], &bounds, |_| {}).await.expect(way);
        assert_eq!(files.len(), 2, "{way}");
        assert!(!has_jar(dir.path())?, "{way}: what was downloaded is decoded in this folder");
        let dir = tempfile::tempdir()?;
        ytdlp.extract(&url, 1, dir.path(), &bounds).await.err().expect("without cookies nothing is shown");
    }
    Ok(())
}

/// Is there the copy of a jar in this folder, or below it?
fn has_jar(dir: &Path) -> Result<bool> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let is_folder = entry.file_type()?.is_dir();
        if entry.file_name() == "cookies.txt" || (is_folder && has_jar(&entry.path())?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fault: the jar of Python sends a cookie of one host also to those below it, which may be anybody's.
#[test]
fn a_cookie_of_a_host_goes_to_no_host_below_it_by_both_ways() -> Result<()> {
    world::inside(async || {
        let jars = tempfile::tempdir()?;
        put_jar(jars.path(), "video.example.com", SESSION)?;
        let dir = jars.path().to_str().context("a temporary path in UTF-8")?;
        let world = World::open(&[("HAUL_COOKIES_DIR", dir)]).await?;
        let (own, below) = ("video.example.com", "evil-user.video.example.com");
        for name in [own, below, "evilvideo.example.com"] {
            world.names.set(name, &[world::PUBLIC]);
        }
        let origin = &world.house.origin;
        let to = format!("http://{below}/progressive.mp4");
        origin.answer("/away.mp4", 302, &[(reqwest::header::LOCATION, &to)], "");
        for (warm, format) in [("1", "mp4"), ("0", "mkv")] {
            let worker = world.house.worker(&[("HAUL_WARM_EXTRACTORS", warm)]).await?;
            for url in [
                format!("http://{own}/progressive.mp4"),
                format!("http://{own}/away.mp4"),
                format!("http://{below}/progressive.mp4"),
                "http://evilvideo.example.com/progressive.mp4".to_owned(),
            ] {
                let job = world.house.order(&request(&url, json!({ "format": format }))).await?;
                assert_eq!(world.house.outcome(&job).await?, "completed", "{warm} {url}");
            }
            assert_eq!(Vec::from_iter(origin.door().hosts_with_cookies()), [own], "{warm}");
            drop(worker);
        }
        world.canary.is_silent()
    })
}
