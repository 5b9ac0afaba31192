//! Faults of a worker's machine and of its programs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use haul_tests::redis::Redis;

use super::*;

fn script(folder: &Path, name: &str, text: &str) -> Result<String> {
    let file = folder.join(name);
    fs::write(&file, text)?;
    fs::set_permissions(&file, Permissions::from_mode(0o755))?;
    Ok(file.to_str().context("a path")?.to_owned())
}

#[tokio::test]
async fn a_worker_with_faults_of_its_machine_is_told_each_with_its_remedy() -> Result<()> {
    let (redis, folder) = (Redis::start().await?, tempfile::tempdir()?);
    let memory = tempfile::tempdir_in("/dev/shm")?;
    // the real one, with no deno beside it
    let ytdlp = script(folder.path(), "yt-dlp", &fs::read_to_string(haul_tests::tools().join("yt-dlp"))?)?;
    // the real one again, of a build that lacks one of each kind
    let without = "libmp3lame|subrip|libdav1d|libaom-av1|webp_pipe|setsar|vp9_superframe$";
    let without = format!("#!/bin/sh\n/usr/bin/ffmpeg \"$@\" | grep -vE '{without}'\n");
    let ffmpeg = script(folder.path(), "ffmpeg", &without)?;
    let jars = folder.path().join("secret-jars");
    fs::create_dir(&jars)?;
    let cookie = "video.example\tFALSE\t/\tTRUE\t0\tsession\thunter2\n";
    fs::write(jars.join("video.example.txt"), cookie)?;
    fs::write(jars.join("notes"), cookie)?;
    fs::set_permissions(jars.join("video.example.txt"), Permissions::from_mode(0o644))?;

    let (url, listen) = (redis.url(), redis.address().to_string());
    let variables = [
        ("PATH", "/usr/bin:/bin"),
        ("HAUL_REDIS_URL", url.as_str()),
        ("HAUL_WORKER_LISTEN", &listen),
        ("HAUL_DATA_DIR", "/proc/haul"),
        ("HAUL_WORK_DIR", memory.path().to_str().context("a path")?),
        ("HAUL_MIN_FREE_DISK", "900TiB"),
        ("HAUL_YTDLP", &ytdlp),
        ("HAUL_FFMPEG", &ffmpeg),
        ("HAUL_COOKIES_DIR", jars.to_str().context("a path")?),
        ("HAUL_PROXY", "http://user:hunter2@127.0.0.1:1"),
        ("HAUL_SANDBOX", "off"),
        ("HAUL_EGRESS_ALLOW", "0.0.0.0/0"),
        ("HAUL_SLOTS", "256"),
        ("HAUL_WARM_EXTRACTORS", "yes please"),
    ];
    let told = doctor("haul-worker", &variables).await?;
    told.finds(&[
        ("worker.address", "fail", "taken by another program", "HAUL_WORKER_LISTEN"),
        ("store.directory", "fail", "/proc/haul cannot be written", "HAUL_DATA_DIR"),
        ("scratch.space", "fail", "are needed", "HAUL_WORK_DIR"),
        ("scratch.memory", "warn", "tmpfs", "set HAUL_WORK_DIR to a folder on a disk"),
        ("sandbox.tier", "warn", "no sandbox, as it is wanted", "leave HAUL_SANDBOX out"),
        ("programs.javascript", "warn", "no deno beside yt-dlp", "pip install deno"),
        // Fault: of subtitles, frames and filters nothing was asked
        (
            "programs.ffmpeg_build",
            "fail",
            "ffmpeg was built without encoder libmp3lame, encoder subrip, decoder libdav1d or libaom-av1, decoder subrip, \
             demuxer webp_pipe, filter setsar, bitstream filter vp9_superframe",
            "apt-get install ffmpeg",
        ),
        ("cookies.jars", "warn", "notes is not called after a site", "SITE.txt"),
        ("cookies.rights", "warn", "2 jars", "chmod 600"),
        ("network.proxy", "fail", "takes no connection", "HAUL_PROXY"),
        ("network.egress", "warn", "clients may reach everything", "HAUL_EGRESS_ALLOW"),
    ]);
    let names = told.names();
    assert!(
        names.contains(&"programs.ytdlp") && !names.contains(&"programs.python"),
        "whether it is kept warm: {names:?}"
    );
    assert!(!told.text.contains("hunter2") && !told.text.contains("secret-jars"), "{}", told.text);
    assert_eq!(told.code, Some(1));
    assert_eq!(fs::read_dir(memory.path())?.count(), 0, "its scratch is gone");
    Ok(())
}

#[tokio::test]
async fn programs_that_are_missing_or_too_old_for_strangers_are_found_with_what_to_install() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().to_str().context("a path")?;
    let old = script(folder.path(), "yt-dlp", "#!/bin/sh\necho 2025.01.01\n")?;
    let elderly = script(folder.path(), "ffmpeg", "#!/bin/sh\necho ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright\n")?;
    let gone = ("HAUL_REDIS_URL", "redis://127.0.0.1:1");
    fs::create_dir_all(folder.path().join("objects"))?;
    fs::create_dir_all(folder.path().join("work"))?;
    let missing = [
        gone,
        ("PATH", "/nowhere"),
        ("TMPDIR", "/nowhere"),
        ("HAUL_DATA_DIR", dir),
        ("HAUL_EGRESS_ALLOW", "10.0.0.0/99"),
        ("HAUL_SLOTS", "some"),
    ];
    let stale = [
        gone,
        ("PATH", "/usr/bin:/bin"),
        ("HAUL_DATA_DIR", dir),
        ("HAUL_YTDLP", &old),
        ("HAUL_FFMPEG", &elderly),
        ("HAUL_MODE", "public"),
        ("HAUL_EXTRACTORS", "a site"),
        ("HAUL_SANDBOX", "strong"),
    ];
    let (missing, stale) = tokio::try_join!(doctor("haul-worker", &missing), doctor("haul-worker", &stale))?;
    missing.finds(&[
        ("config.variables", "fail", "HAUL_YTDLP: there is no program", "pip install 'yt-dlp[default]' deno"),
        ("config.variables", "fail", "HAUL_FFMPEG: there is no program", "apt-get install ffmpeg"),
        ("config.variables", "fail", "HAUL_FFPROBE: there is no program", "apt-get install ffmpeg"),
        ("config.variables", "fail", "HAUL_EGRESS_ALLOW: expected", "HAUL_EGRESS_ALLOW"),
        ("config.variables", "fail", "HAUL_SLOTS: expected", "then it is 2"),
        ("redis.reach", "fail", "refuses connections", "start redis-server"),
        ("store.write", "fail", "no temporary file", "TMPDIR"),
    ]);
    // Fault: what a faulty variable leaves unknown was judged by its default
    let names = missing.names();
    assert!(names.contains(&"sandbox.tier"), "{names:?}");
    for group in ["worker.regions", "scratch.", "limits.", "network."] {
        assert!(!names.iter().any(|name| name.starts_with(group)), "{group} {names:?}");
    }
    stale.finds(&[
        ("programs.ytdlp", "fail", "yt-dlp 2025.01.01 has known holes", "pip install --upgrade"),
        ("programs.ffmpeg", "fail", "4.4.2", "5.1 or newer"),
    ]);
    // Fault: neither was found beside a fault in the list of extractors
    assert!(!stale.names().contains(&"sandbox.tier"), "it hangs on HAUL_SANDBOX: {:?}", stale.names());
    Ok(())
}
