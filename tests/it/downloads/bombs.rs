//! Origins that send too much, too slowly, or something that is small and unpacks to something large: each job ends in its
//! code, and neither the worker nor another job is worse off.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haul_shared::job::FailureKind;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::*;

const MIB: u64 = 1 << 20;
/// Of a medium of at most 8 MiB, what the guard lets pass, and what lies in buffers of the system.
const MOST_TAKEN: u64 = 8 * MIB + 8 * MIB / 10 + 64 * MIB + 8 * MIB;

/// An origin that keeps to nothing, and counts the bytes that were taken from it, by path.
struct Rogue {
    address: std::net::SocketAddr,
    sent: Arc<Mutex<HashMap<String, u64>>>,
    _task: AbortOnDropHandle<()>,
}

impl Rogue {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, sent) = (listener.local_addr()?, Arc::<Mutex<HashMap<String, u64>>>::default());
        let counts = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let counts = Arc::clone(&counts);
                tokio::spawn(async move {
                    // whoever has enough hangs up
                    let _ = answer(socket, &counts).await;
                });
            }
        });
        Ok(Self { address, sent, _task: AbortOnDropHandle::new(task) })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn sent(&self, path: &str) -> u64 {
        self.sent.lock().expect("no holder panics").get(path).copied().unwrap_or_default()
    }
}

async fn answer(mut socket: TcpStream, counts: &Mutex<HashMap<String, u64>>) -> Result<()> {
    let (reader, mut writer) = socket.split();
    let mut lines = BufReader::new(reader).lines();
    let first = lines.next_line().await?.context("a request")?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let video = "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nConnection: close\r\n";
    let medium = std::fs::read(media::file("progressive.mp4"))?;
    let count = |bytes: usize| {
        *counts.lock().expect("no holder panics").entry(path.clone()).or_default() += bytes as u64;
    };
    let drip = async |writer: &mut tokio::net::tcp::WriteHalf<'_>| -> Result<()> {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        loop {
            every.tick().await;
            writer.write_all(b"x").await?;
        }
    };
    let kinds = ["/on-", "/typed/", "/saved/"];
    match kinds.into_iter().find(|kind| path.starts_with(kind)).unwrap_or(&path) {
        // a real beginning, then zeros for ever
        kind @ ("/chunked.mp4" | "/open.mp4" | "/huge.mp4") => {
            let length = match kind {
                "/chunked.mp4" => "Transfer-Encoding: chunked\r\n\r\n",
                "/huge.mp4" => "Content-Length: 1000000000000\r\n\r\n",
                _ => "\r\n",
            };
            writer.write_all(format!("{video}{length}").as_bytes()).await?;
            let zeros = vec![0; 64 << 10];
            for piece in std::iter::once(&medium).chain(std::iter::repeat(&zeros)) {
                if kind == "/chunked.mp4" {
                    writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                }
                writer.write_all(piece).await?;
                if kind == "/chunked.mp4" {
                    writer.write_all(b"\r\n").await?;
                }
                count(piece.len());
            }
        }
        // as large as a film, of which nobody wants more than the beginning
        "/large.mp4" => {
            writer.write_all(format!("{video}Content-Length: 1000000000\r\n\r\n").as_bytes()).await?;
            writer.write_all(&medium).await?;
            std::future::pending::<()>().await;
        }
        // a page without end
        "/page.html" => {
            writer
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<title>x")
                .await?;
            loop {
                writer.write_all(&[b' '; 64 << 10]).await?;
                count(64 << 10);
            }
        }
        // the length of a piece is none
        "/broken.mp4" => {
            writer.write_all(format!("{video}Transfer-Encoding: chunked\r\n\r\nnothing\r\n").as_bytes()).await?;
        }
        // a medium, or a program, by other names
        kind @ ("/typed/" | "/saved/") => {
            let chosen = path.trim_start_matches(kind).split('?').next().unwrap_or_default().replace("%2F", "/");
            let kept = "attachment; filename=\"../../../../../tmp/escaped.desktop\"";
            let named = if kind == "/typed/" {
                format!("Content-Type: video/{chosen}\r\n")
            } else {
                format!("Content-Type: video/mp4\r\nContent-Disposition: {kept}\r\n")
            };
            let body = if path.ends_with("?program") { std::fs::read("/bin/true")? } else { medium };
            let head = format!("HTTP/1.1 200 OK\r\n{named}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            writer.write_all(&[head.as_bytes(), &body].concat()).await?;
        }
        // more is announced than comes, and more comes than was announced
        "/shorter.mp4" => {
            let head = format!("{video}Content-Length: {}\r\n\r\n", medium.len() + 1000);
            writer.write_all(&[head.as_bytes(), &medium].concat()).await?;
        }
        "/longer.mp4" => {
            let head = format!("{video}Content-Length: {}\r\n\r\n", medium.len());
            writer.write_all(&[head.as_bytes(), &medium, &[7; 100_000]].concat()).await?;
        }
        "/silent.mp4" => std::future::pending().await,
        "/head-drips.mp4" => {
            writer.write_all(b"HTTP/1.1 200 OK\r\nX-Drip: ").await?;
            drip(&mut writer).await?;
        }
        "/body-drips.mp4" => {
            writer.write_all(format!("{video}Content-Length: 400000\r\n\r\n").as_bytes()).await?;
            drip(&mut writer).await?;
        }
        "/round" => writer.write_all(b"HTTP/1.1 302 Found\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n").await?,
        "/on-" => {
            let at: u64 = path.trim_start_matches("/on-").parse().unwrap_or_default();
            let head = format!("HTTP/1.1 302 Found\r\nLocation: /on-{}\r\nContent-Length: 0\r\n\r\n", at + 1);
            writer.write_all(head.as_bytes()).await?;
        }
        "/cookies.mp4" => {
            let cookie = format!("Set-Cookie: a={}\r\n", "x".repeat(1 << 20));
            writer.write_all(format!("{video}{cookie}Content-Length: 3\r\n\r\nxyz").as_bytes()).await?;
        }
        "/headers.mp4" => {
            let headers: String = (0..10_000).fold(String::new(), |mut all, at| {
                let _ = write!(all, "X-{at}: y\r\n");
                all
            });
            writer.write_all(format!("{video}{headers}Content-Length: 3\r\n\r\nxyz").as_bytes()).await?;
        }
        _ => writer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?,
    }
    Ok(())
}

/// Small things that unpack to large ones.
fn put_bombs(house: &House) {
    let origin = &house.origin;
    let manifest = "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
        mediaPresentationDuration=\"PT1000000H\"><Period><AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate \
        timescale=\"1\" duration=\"1\" media=\"s-$Number$.m4s\" initialization=\"i.mp4\"/><Representation id=\"1\" \
        bandwidth=\"1000\" width=\"640\" height=\"360\" codecs=\"avc1.42c01e\"/></AdaptationSet></Period></MPD>";
    origin.put("/many.mpd", manifest);
    let timeline = "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
        mediaPresentationDuration=\"PT10S\"><Period><AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate timescale=\"1\" \
        media=\"s-$Number$.m4s\" initialization=\"i.mp4\"><SegmentTimeline><S t=\"0\" d=\"1\" r=\"2000000000\"/>\
        </SegmentTimeline></SegmentTemplate><Representation id=\"1\" bandwidth=\"1000\" width=\"640\" height=\"360\" \
        codecs=\"avc1.42c01e\"/></AdaptationSet></Period></MPD>";
    origin.put("/repeated.mpd", timeline);
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
    origin.put("/itself.m3u8", format!("{head}#EXTINF:2,\nitself.m3u8\n#EXT-X-ENDLIST\n"));
    let variant = "#EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\"\n";
    origin.put("/master.m3u8", format!("#EXTM3U\n{variant}master.m3u8\n"));
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let page = |more: &str| format!("<!doctype html><title>x</title>{more}<video src=/progressive.mp4></video>");
    origin.put("/deep.html", page(&format!("<script type=\"application/ld+json\">{deep}</script>")));
    let long = "long ".repeat(400_000);
    let told =
        format!("<meta property=\"og:title\" content=\"{long}\"><meta property=\"og:description\" content=\"{long}\">");
    origin.put("/long.html", page(&told));
    let variants: String = (0..20_000).fold("#EXTM3U\n".to_owned(), |mut all, at| {
        let _ = writeln!(all, "{variant}hls-ts/360p.m3u8?{at}");
        all
    });
    origin.put("/variants.m3u8", variants);
    // of nothing but names, and too long for the fetcher of segments, which leaves it to yt-dlp
    let names = "#EXTINF:2,\nhls-ts/0.ts\n".repeat(500_000);
    origin.put("/million.m3u8", format!("{head}{names}#EXT-X-ENDLIST\n"));
}

/// May a job that has ended like this be tried again?
fn passes(outcome: &str) -> bool {
    FailureKind::of_code(outcome).is_some_and(FailureKind::is_retryable)
}

/// Orders all of them, and says which have not ended in one of their codes, or not after as many attempts as that code gets.
async fn misled(house: &House, table: &[(String, &[&str])], attempts: u64) -> Result<Vec<String>> {
    let mut jobs = Vec::new();
    for (url, codes) in table {
        jobs.push((house.order(&request(url, json!({}))).await?, url, codes));
    }
    let mut told = Vec::new();
    for (job, url, codes) in jobs {
        let (outcome, view) = (house.outcome(&job).await?, house.get(&job).await?.json());
        let expected = if passes(&outcome) { attempts } else { 1 };
        if !codes.contains(&outcome.as_str()) || view["attempt"] != expected {
            told.push(format!("{url}: {outcome} instead of {codes:?}: {}, {}", view["attempt"], view["error"]));
        }
    }
    Ok(told)
}

/// What an origin sends is bounded by what may be kept of it, whatever it says, and what is small on the wire by what it is
/// when it is unpacked. What has ended so is not tried again.
#[tokio::test]
async fn whoever_sends_too_much_ends_his_own_job_and_no_other() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "2")]).await?;
    let worker = house.worker(&[("HAUL_MAX_FILE_SIZE", "8MiB"), ("HAUL_RETRIES", "1")]).await?;
    // of one whose jobs fail in a row everybody's would wait
    let (rogue, second, third) = (Rogue::start().await?, Rogue::start().await?, Rogue::start().await?);
    put_bombs(&house);
    let (own, site) = (|path: &str| rogue.url(path), |path: &str| house.origin.url(path));
    let table: [(String, &[&str]); 18] = [
        (own("/chunked.mp4"), &["too_large"]),
        (own("/open.mp4"), &["too_large"]),
        (own("/huge.mp4"), &["too_large"]),
        (own("/shorter.mp4"), &["corrupt_media", "network"]),
        (own("/longer.mp4"), &["completed"]),
        (own("/broken.mp4"), &["network"]),
        // among them is one that nothing is wrong with
        (site("/progressive.mp4"), &["completed"]),
        (second.url("/round"), &["network", "unsupported_url"]),
        (second.url("/on-1"), &["network", "unsupported_url"]),
        (third.url("/cookies.mp4"), &["network", "extractor_error", "invalid_media"]),
        (third.url("/headers.mp4"), &["network", "extractor_error", "invalid_media"]),
        (site("/many.mpd"), &["invalid_media"]),
        (site("/repeated.mpd"), &["invalid_media"]),
        (site("/itself.m3u8"), &["invalid_media"]),
        (site("/master.m3u8"), &["invalid_media", "corrupt_media", "live_not_supported"]),
        (site("/deep.html"), &["completed", "invalid_media"]),
        (site("/variants.m3u8"), &["completed", "invalid_media"]),
        (site("/million.m3u8"), &["too_large"]),
    ];
    let long = house.order(&request(&site("/long.html"), json!({}))).await?;
    let told = misled(&house, &table, 2).await?;
    assert!(told.is_empty(), "{told:#?}");
    let view = house.end(&long).await?;
    let title = view["media"]["title"].as_str().context("a title")?;
    assert!(title.len() <= 2000 && view["status"] == "completed", "{} bytes, {}", title.len(), view["status"]);
    for path in ["/chunked.mp4", "/open.mp4", "/huge.mp4"] {
        assert!(rogue.sent(path) < MOST_TAKEN, "{path}: {} bytes were taken", rogue.sent(path));
    }
    assert!(worker.peak_memory()? < 128 * MIB, "{} bytes", worker.peak_memory()?);
    all_gone(&house, &worker).await
}

/// What a site has taken over: it writes far more than anybody needs, or hides what it writes, behind a path that is too long
/// or by putting another folder into its place, and stays.
const GREEDY: &str = "
import os, time
real = yt_dlp.YoutubeDL.extract_info

def greedy(self, url, *args, **kwargs):
    what = url.rsplit('/', 1)[-1]
    if what in ('fills', 'moves'):
        os.mkdir('a')
        for number in range(80):
            with open(f'a/{number}.part', 'wb') as file:
                os.posix_fallocate(file.fileno(), 0, 4 << 20)
            while what == 'moves' and number == 79:
                os.rename('a', 'b')
                os.mkdir('a')
                os.rmdir('a')
                os.rename('b', 'a')
    if what == 'hides':
        for _ in range(3000):
            os.mkdir('d')
            os.chdir('d')
    while what in ('fills', 'hides'):
        time.sleep(1)
    return real(self, url, *args, **kwargs)

yt_dlp.YoutubeDL.extract_info = greedy
";

#[tokio::test]
async fn a_program_that_fills_its_scratch_or_hides_what_is_in_it_ends_its_own_job_and_no_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = crate::warm::program(folder.path(), &format!("{}{GREEDY}", crate::warm::gives_way()));
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "2")]).await?;
    let ytdlp = program.to_str().context("it is UTF-8")?;
    let worker = house.worker(&[("HAUL_YTDLP", ytdlp), ("HAUL_MAX_FILE_SIZE", "8MiB")]).await?;
    let mut jobs = Vec::new();
    for path in ["/fills", "/hides", "/moves", "/progressive.mp4"] {
        jobs.push(house.order(&request(&house.origin.url(path), json!({}))).await?);
    }
    for job in &jobs[..3] {
        let view = house.end(job).await?;
        assert_eq!((&view["error"]["code"], &view["attempt"]), (&json!("too_large"), &json!(1)), "{view}");
    }
    proven(&house, &jobs[3]).await?;
    all_gone(&house, &worker).await
}

#[tokio::test]
async fn without_a_warm_extractor_the_same_bounds_hold() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "2")]).await?;
    let variables = [("HAUL_MAX_FILE_SIZE", "8MiB"), ("HAUL_RETRIES", "1"), ("HAUL_WARM_EXTRACTORS", "0")];
    let worker = house.worker(&variables).await?;
    let rogue = Rogue::start().await?;
    put_bombs(&house);
    let table: [(String, &[&str]); 6] = [
        (rogue.url("/chunked.mp4"), &["too_large"]),
        (rogue.url("/huge.mp4"), &["too_large"]),
        (rogue.url("/cookies.mp4"), &["network", "extractor_error", "invalid_media"]),
        (house.origin.url("/many.mpd"), &["invalid_media"]),
        (house.origin.url("/progressive.mp4"), &["completed"]),
        (house.origin.url("/million.m3u8"), &["too_large"]),
    ];
    let told = misled(&house, &table, 2).await?;
    assert!(told.is_empty(), "{told:#?}");
    assert!(rogue.sent("/chunked.mp4") < MOST_TAKEN, "{} bytes were taken", rogue.sent("/chunked.mp4"));
    assert!(worker.peak_memory()? < 128 * MIB, "{} bytes", worker.peak_memory()?);
    all_gone(&house, &worker).await
}

/// A look is cheap to order: it takes as much as pages have, not as much as a medium may have.
#[tokio::test]
async fn a_page_without_end_is_too_large_for_a_look_long_before_it_is_for_a_download() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let worker = house.worker(&[]).await?;
    let rogue = Rogue::start().await?;
    let asked = house.ask(Method::POST, "/api/v1/metadata", &json!({ "url": rogue.url("/page.html") })).await?;
    assert_eq!(asked.told(), "422 too_large");
    // of a medium only the beginning is looked at, whatever it announces
    let asked = house.ask(Method::POST, "/api/v1/metadata", &json!({ "url": rogue.url("/large.mp4") })).await?;
    assert_eq!(asked.status, 200, "{}", asked.told());
    assert!(rogue.sent("/page.html") < 160 * MIB, "{} bytes were taken", rogue.sent("/page.html"));
    all_gone(&house, &worker).await
}

/// What a medium is called by its site, in its type or in the name that it is to be saved by, makes no file of that name, and no
/// medium of something else.
#[tokio::test]
async fn no_extension_that_a_site_chooses_reaches_a_file() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4")]).await?;
    let rogue = Rogue::start().await?;
    let table: [(String, &[&str]); 8] = [
        (rogue.url("/typed/exe"), &["invalid_media"]),
        (rogue.url("/typed/desktop"), &["invalid_media"]),
        (rogue.url("/typed/so"), &["invalid_media"]),
        (rogue.url("/typed/..%2F..%2F..%2F..%2F..%2Ftmp%2Fescaped"), &["invalid_media"]),
        (rogue.url("/saved/x.exe"), &["invalid_media"]),
        (rogue.url("/saved/x.mp4%00.so"), &["invalid_media"]),
        (rogue.url("/typed/mp4?program"), &["invalid_media"]),
        (rogue.url("/saved/x.mp4?program"), &["invalid_media"]),
    ];
    for warm in ["1", "0"] {
        let worker = house.worker(&[("HAUL_WARM_EXTRACTORS", warm)]).await?;
        let told = misled(&house, &table, 1).await?;
        assert!(told.is_empty(), "{told:#?}");
        let fine = house.order(&request(&rogue.url(&format!("/saved/fine.mp4?{warm}")), json!({}))).await?;
        let view = house.end(&fine).await?;
        assert_eq!((&view["status"], &view["result"]["filename"]), (&json!("completed"), &json!("fine.mp4")), "{view}");
        all_gone(&house, &worker).await?;
    }
    assert_eq!(house.stored(), 2);
    assert!(!Path::new("/tmp/escaped").exists() && !Path::new("/tmp/escaped.desktop").exists());
    Ok(())
}

#[tokio::test]
async fn whoever_sends_too_slowly_is_not_waited_for() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_SLOTS", "4"), ("HAUL_MAX_ATTEMPTS", "1")]).await?;
    let worker = house.worker(&[("HAUL_SILENCE_TIMEOUT", "8s"), ("HAUL_RETRIES", "1")]).await?;
    let rogue = Rogue::start().await?;
    let mut jobs = Vec::new();
    for path in ["/silent.mp4", "/head-drips.mp4", "/body-drips.mp4"] {
        jobs.push((path, house.order(&request(&rogue.url(path), json!({}))).await?));
    }
    let fine = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    proven(&house, &fine).await?;
    for (path, job) in jobs {
        let view = house.end(&job).await?;
        assert_eq!(view["error"]["code"], "stalled", "{path}: {view}");
    }
    all_gone(&house, &worker).await
}
