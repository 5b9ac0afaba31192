//! Which ffmpeg a worker uses: that it works in the sandbox is tried before a job is taken.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use haul_tests::house::{House, Store, request};
use haul_tests::media;
use haul_tests::processes::refusal;
use serde_json::json;

/// Both programs in a place of their own, of which each needs a library that lies beside them, and becomes the system's.
fn put_into(place: &Path) -> Result<[PathBuf; 2]> {
    const LIBRARY: &str = "int beside(void) { return 7; }";
    const PROGRAM: &str = "#include <unistd.h>\n\
        int beside(void);\n\
        int main(int count, char **words) { return beside() == 7 ? execv(REAL, words) : 1; }";
    for folder in ["bin", "lib", "links"] {
        fs::create_dir_all(place.join(folder))?;
    }
    let compile = |text: &str, words: &[&str], place: &Path| -> Result<()> {
        fs::write(place.join("text.c"), text)?;
        let ended =
            Command::new("cc").args(["-o", words[0], "text.c"]).args(&words[1..]).current_dir(place).status()?;
        ensure!(ended.success(), "cc {words:?}: {ended}");
        Ok(())
    };
    compile(LIBRARY, &["lib/libbeside.so", "-shared", "-fPIC"], place)?;
    let mut links = Vec::new();
    for name in ["ffmpeg", "ffprobe"] {
        let real = format!("-DREAL=\"{}\"", media::program(name).display());
        compile(PROGRAM, &[&format!("bin/{name}"), &real, "-Llib", "-lbeside", "-Wl,-rpath,$ORIGIN/../lib"], place)?;
        let link = place.join("links").join(name);
        symlink(place.join("bin").join(name), &link)?;
        links.push(link);
    }
    links.try_into().ok().context("two of them")
}

#[tokio::test]
async fn an_ffmpeg_of_its_own_place_works_with_the_libraries_beside_it_in_each_tier() -> Result<()> {
    let place = tempfile::tempdir()?;
    let [ffmpeg, ffprobe] = put_into(place.path())?.map(|path| path.to_string_lossy().into_owned());
    let house = House::open(Store::Disk, &[]).await?;
    for tier in ["a", "b"] {
        let variables = [("HAUL_SANDBOX", tier), ("HAUL_FFMPEG", &ffmpeg), ("HAUL_FFPROBE", &ffprobe)];
        let _worker = house.worker(&variables).await?;
        let url = house.origin.url(&format!("/progressive.mp4?{tier}"));
        let job = house.order(&request(&url, json!({ "format": "mp3" }))).await?;
        assert_eq!(house.outcome(&job).await?, "completed", "{tier}");
    }
    Ok(())
}

/// Fault: every job that needed it failed, each as if its medium were to blame.
#[tokio::test]
async fn an_ffmpeg_that_cannot_be_run_ends_the_start_and_is_named_with_what_it_said() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let folder = tempfile::tempdir()?;
    let (hidden, stub, data) =
        (folder.path().join("elsewhere"), folder.path().join("stub"), folder.path().join("data"));
    fs::copy("/bin/true", &hidden)?;
    fs::write(&stub, format!("#!/bin/sh\nexec {}\n", hidden.display()))?;
    let broken = folder.path().join("broken");
    fs::write(&broken, "#!/bin/sh\necho no codecs today >&2\nexit 3\n")?;
    for program in [&stub, &broken] {
        fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    }
    let [stub, broken] = [stub, broken].map(|path| path.to_string_lossy().into_owned());
    let (redis, data) = (house.redis.url(), data.to_string_lossy().into_owned());
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", haul_tests::tools().display());
    for (variable, program, tier, said) in [
        ("HAUL_FFMPEG", &stub, "a", "HAUL_FFMPEG cannot be run in the sandbox: it exited with code 126"),
        ("HAUL_FFPROBE", &stub, "b", "HAUL_FFPROBE has to be the program itself"),
        ("HAUL_FFPROBE", &broken, "off", "HAUL_FFPROBE cannot be run: it exited with code 3: no codecs today"),
    ] {
        let variables = [
            (variable, program.as_str()),
            ("HAUL_SANDBOX", tier),
            ("HAUL_REDIS_URL", &redis),
            ("HAUL_DATA_DIR", &data),
            ("PATH", &path),
            ("HAUL_WORKER_LISTEN", "127.0.0.1:0"),
        ];
        let refused = refusal("haul-worker", &variables).await?;
        assert!(refused.contains(said), "{refused}");
    }
    Ok(())
}
