//! Which yt-dlp a worker uses, and which of its extractors.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use haul_tests::house::{House, Store, request};
use haul_tests::origin::Fault;
use haul_tests::processes::{alive, refusal, until};
use haul_tests::site::send;
use serde_json::json;

/// A yt-dlp in this place that says it is of this version, or the real one.
fn put(place: &Path, version: Option<&str>) -> Result<()> {
    match version {
        Some(version) => put_script(place, &format!("echo {version}")),
        // a script that says which Python it is for, and so what the sandbox has to show it
        None => put_text(place, &fs::read_to_string(haul_tests::tools().join("yt-dlp"))?),
    }
}

fn put_script(place: &Path, does: &str) -> Result<()> {
    put_text(place, &format!("#!/bin/sh\n{does}\n"))
}

fn put_text(place: &Path, text: &str) -> Result<()> {
    let fresh = place.with_extension("new");
    fs::write(&fresh, text)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
    Ok(fs::rename(fresh, place)?)
}

#[tokio::test]
async fn a_yt_dlp_with_known_holes_meets_no_stranger() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("yt-dlp");
    let path = program.to_string_lossy().into_owned();
    let redis = house.redis.url();
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let public = [("HAUL_MODE", "public"), ("HAUL_ADMIN_LISTEN", "127.0.0.1:0"), ("HAUL_YTDLP", path.as_str())];
    let alone = [("PATH", "/usr/bin:/bin"), ("HAUL_REDIS_URL", &redis), ("HAUL_DATA_DIR", &data)];
    let variables: Vec<_> = public.into_iter().chain(alone).collect();
    for (version, said) in [("2026.07.03", "yt-dlp 2026.07.03 has known holes"), ("soon", "which version it is")] {
        put(&program, Some(version))?;
        let refused = refusal("haul-worker", &variables).await?;
        assert!(refused.contains(said) && refused.contains("2026.07.04 or newer"), "{refused}");
    }
    // among friends it is used, and the metrics tell which it is
    put(&program, Some("2026.07.03"))?;
    let private = house.worker(&[("HAUL_YTDLP", path.as_str())]).await?;
    assert_eq!(house.metric(&private, "haul_build_info").await?, 1.0);
    let told = async |version: &str| {
        let answer = send(house.request(&private, reqwest::Method::GET, "/metrics")).await;
        answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.body).contains(&format!("ytdlp=\"{version}\"")))
    };
    assert!(told("2026.07.03").await);
    put(&program, Some("2026.08.01"))?;
    until("the new one is told", async || told("2026.08.01").await).await?;
    drop(private);

    // an older one in its place ends the worker: whoever starts it again is told why it may not be used
    put(&program, None)?;
    let mut worker = house.worker(&public[..1].iter().chain(&public[2..]).copied().collect::<Vec<_>>()).await?;
    put(&program, Some("2026.07.03"))?;
    assert!(!worker.ended().await?.success());
    Ok(())
}

/// Faults: the sign of life waited until the new one had said what it is; and an extractor that the new one calls otherwise
/// was open again.
#[tokio::test]
async fn a_replaced_yt_dlp_holds_up_no_sign_of_life_and_has_to_know_the_extractors_that_are_left_out() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("yt-dlp");
    let path = program.to_string_lossy().into_owned();
    put(&program, None)?;
    let mut worker = house.worker(&[("HAUL_YTDLP", path.as_str()), ("HAUL_EXTRACTORS", "-vimeo")]).await?;
    let running = async || {
        let stats = house.get("/api/v1/stats").await;
        stats.is_ok_and(|stats| stats.json()["workers"][0]["running"] == 1)
    };
    let held = house.origin.spoilt(Fault::Hang, "/progressive.mp4");
    let job = house.order(&request(&held, json!({}))).await?;
    house.until(&job, |view| view["status"] == "running").await?;
    until("it is told to run", async || running().await).await?;
    put_script(&program, "exec sleep 12")?;
    let sleeps = || worker.programs().into_iter().filter(|seen| seen.runs("sleep")).collect::<BTreeSet<_>>();
    until("somebody looks at the new one", async || !sleeps().is_empty()).await?;
    let looking = sleeps();
    assert_eq!(house.ask(reqwest::Method::DELETE, &job, &json!(null)).await?.status, 202);
    until("it is told not to run", async || !running().await).await?;
    assert!(!alive(&looking).is_empty(), "the sign of life waited for the look");

    put_script(&program, "case \"$*\" in *--list-extractors*) echo generic;; *) echo 2026.08.01;; esac")?;
    assert!(!worker.ended().await?.success());
    Ok(())
}

/// Fault: until the idle warm extractor was looked at, the old version was shown again.
#[tokio::test]
async fn the_version_of_a_replaced_yt_dlp_is_shown_once_and_for_all() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("yt-dlp");
    put_zip(&program, "2026.08.01")?;
    let path = program.to_string_lossy().into_owned();
    let worker = house.worker(&[("HAUL_YTDLP", path.as_str()), ("HAUL_WARM_EXTRACTORS", "1")]).await?;
    let metrics = async || {
        let answer = send(house.request(&worker, reqwest::Method::GET, "/metrics")).await;
        answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).unwrap_or_default()
    };
    until("a warm one is up", async || metrics().await.contains("\nhaul_extractors 1\n")).await?;
    assert!(metrics().await.contains("ytdlp=\"2026.08.01\""));
    put_zip(&program, "2026.08.02")?;
    until("the new one is told", async || metrics().await.contains("ytdlp=\"2026.08.02\"")).await?;
    let mut was_back = false;
    let is_settled = async || {
        let told = metrics().await;
        was_back |= told.contains("ytdlp=\"2026.08.01\"");
        told.contains("{reason=\"changed\"} 1\n") && told.contains("\nhaul_extractors 1\n")
    };
    until("a warm one has loaded the new one", is_settled).await?;
    assert!(!was_back, "the old version was shown again");
    assert!(metrics().await.contains("ytdlp=\"2026.08.02\""));
    Ok(())
}

/// The real one as a zip file of this version.
fn put_zip(place: &Path, version: &str) -> Result<()> {
    let makes = "import sys, zipfile, yt_dlp\n\
        place, version = sys.argv[1:]\n\
        with open(place + '.new', 'wb') as file:\n\
        \x20   file.write(f'#!{sys.executable}\\n'.encode())\n\
        \x20   with zipfile.ZipFile(file, 'w') as made:\n\
        \x20       made.writestr('__main__.py', 'import sys, yt_dlp\\nsys.exit(yt_dlp.main())\\n')\n\
        \x20       made.writestr('yt_dlp/__init__.py', f'__path__ = {list(yt_dlp.__path__)!r}\\n'\n\
        \x20           f'from yt_dlp import version\\nversion.__version__ = {version!r}\\n'\n\
        \x20           f'exec(compile(open({yt_dlp.__file__!r}).read(), {yt_dlp.__file__!r}, \"exec\"))\\n')\n";
    let path = place.to_string_lossy().into_owned();
    let mut python = std::process::Command::new(haul_tests::tools().join("python3"));
    anyhow::ensure!(python.args(["-c", makes, &path, version]).status()?.success(), "no zip file was made");
    let fresh = format!("{path}.new");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
    Ok(fs::rename(fresh, place)?)
}

#[tokio::test]
async fn an_extractor_that_is_left_out_is_used_by_no_way() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_MAX_ATTEMPTS", "3")]).await?;
    let address = house.origin.url("/progressive.mp4");
    for (list, warm) in [("all,-generic", "1"), ("-generic", "0"), ("youtube,vimeo", "1")] {
        let worker = house.worker(&[("HAUL_EXTRACTORS", list), ("HAUL_WARM_EXTRACTORS", warm)]).await?;
        let job = house.order(&request(&format!("{address}?{list}"), json!({}))).await?;
        let view = house.end(&job).await?;
        assert_eq!(
            (&view["error"]["code"], &view["attempt"]),
            (&json!("unsupported_url"), &json!(1)),
            "{list}: {view}"
        );
        let body = json!({ "url": format!("{address}?of={list}") });
        let asked = house.ask(reqwest::Method::POST, "/api/v1/metadata", &body).await?;
        assert_eq!(asked.told(), "422 unsupported_url", "{list}");
        assert_eq!(house.origin.all_hits(), 0, "{list}: the site was asked");
        drop(worker);
    }
    let _worker = house.worker(&[("HAUL_EXTRACTORS", "generic,youtube")]).await?;
    let job = house.order(&request(&address, json!({}))).await?;
    assert_eq!(house.outcome(&job).await?, "completed");

    let path = format!("{}:/usr/bin:/bin", haul_tests::tools().display());
    let redis = house.redis.url();
    let data = house.scratch()?.to_string_lossy().into_owned();
    let wrong = [("HAUL_EXTRACTORS", "-gneric"), ("PATH", &path), ("HAUL_REDIS_URL", &redis), ("HAUL_DATA_DIR", &data)];
    let refused = refusal("haul-worker", &wrong).await?;
    assert!(refused.contains("HAUL_EXTRACTORS: no extractor is called gneric"), "{refused}");
    Ok(())
}

/// Fault (of yt-dlp): an extractor that asked for another one by its name had it join those that may be used.
#[test]
fn an_extractor_that_is_lent_to_another_takes_no_addresses() -> Result<()> {
    let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/worker/src/ytdlp/plugin.py");
    let asks = "import runpy, sys, yt_dlp\n\
        runpy.run_path(sys.argv[1])\n\
        ydl = yt_dlp.YoutubeDL({'allowed_extractors': ['default', '-generic(:.*)?'], 'quiet': True})\n\
        assert ydl.get_info_extractor('Generic')._downloader is ydl and 'Generic' not in ydl._ies\n\
        assert ydl.get_info_extractor('Youtube') and 'Youtube' in ydl._ies\n\
        for asked in ({}, {'ie_key': 'Generic'}):\n\
        \x20   try: ydl.extract_info('http://127.0.0.1:1/x', **asked)\n\
        \x20   except yt_dlp.DownloadError as error: assert 'No suitable extractor' in str(error), error\n\
        \x20   else: sys.exit('it was used')\n\
        try: ydl.get_info_extractor('Generic').extract('http://127.0.0.1:1/x')\n\
        except yt_dlp.utils.UnsupportedError: pass\n\
        ordered = yt_dlp.YoutubeDL({'allowed_extractors': ['generic', 'youtube'], 'quiet': True})\n\
        assert list(ordered._ies) == ['Youtube', 'Generic'], list(ordered._ies)\n";
    let mut python = std::process::Command::new(haul_tests::tools().join("python3"));
    let output = python.args(["-c", asks, plugin]).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Fault: whoever owned domains spoke for all sites when a new yt-dlp was judged.
#[test]
fn a_site_has_an_extractor_to_itself_only_where_no_other_host_would_be_taken_by_it() -> Result<()> {
    let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/worker/src/ytdlp/plugin.py");
    let asks = "import runpy, sys, yt_dlp\n\
        from yt_dlp.extractor.common import InfoExtractor\n\
        InfoExtractor.extract = lambda extractor, url: {'id': '1', 'title': '1', 'url': 'http://127.0.0.1:1/x', 'ext': 'mp4'}\n\
        for url in sys.argv[2:]:\n\
        \x20   plugin = runpy.run_path(sys.argv[1])\n\
        \x20   ydl = yt_dlp.YoutubeDL({'quiet': True, 'allowed_extractors': ['default']})\n\
        \x20   print(ydl.sanitize_info(ydl.extract_info(url, download=False))['own_extractor'])\n";
    let of = [
        ("https://www.youtube.com/watch?v=BaW_jenozKc", "youtube"),
        ("https://youtu.be/BaW_jenozKc", "youtube"),
        ("https://vimeo.com/76979871", "vimeo"),
        ("https://stranger.example/video.mp4", "None"),
        ("https://stranger.example/?https://www.youtube.com/watch?v=BaW_jenozKc", "None"),
        // one of those that take the software of a site for the site
        ("https://stranger.example/Mediasite/Play/6ebcf6dbd5ea45a8b2fa4dd4dd5d4fe21d", "None"),
    ];
    let mut python = std::process::Command::new(haul_tests::tools().join("python3"));
    let output = python.args(["-c", asks, plugin]).args(of.map(|(url, _)| url)).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout)?;
    assert_eq!(told.lines().collect::<Vec<_>>(), of.map(|(_, own)| own));
    Ok(())
}

/// Fault: where whoever starts a worker ignores the deaths of its children, programs were taken for killed, and no sandbox for
/// one that holds.
#[tokio::test]
async fn a_worker_whose_starter_ignores_the_deaths_of_children_hears_how_its_programs_end() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let folder = tempfile::tempdir()?;
    let (starter, us) = (folder.path().join("starter"), std::env::current_exe()?);
    let worker = us.ancestors().nth(2).context("test binaries lie in target/<profile>/deps")?.join("haul-worker");
    let ignores = "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)";
    put_text(&starter, &format!("#!/usr/bin/python3\n{ignores}\nos.execv('{0}', ['{0}'])\n", worker.display()))?;
    let _worker = house.worker_like(&starter.to_string_lossy(), &[("HAUL_SANDBOX", "a")]).await?;
    let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({"format": "mp3"}))).await?;
    let view = house.end(&job).await?;
    assert_eq!((&view["status"], &view["attempt"]), (&json!("completed"), &json!(1)), "{view}");
    Ok(())
}
