//! Jars on a real file system.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

const LINE: &str = ".video.example\tTRUE\t/\tTRUE\t1999999999\tsession\thush";

fn jars(dir: &Path) -> Jars {
    Jars::in_dir(Some(dir.to_owned()))
}

fn write(dir: &Path, name: &str, text: &str, mode: u32) {
    let file = dir.join(name);
    fs::write(&file, text).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("our own");
}

async fn open(jars: &Jars, cookies: &str, url: &str) -> Result<Option<String>, String> {
    let cookies = Cookies::try_from(cookies.to_owned()).expect("a name");
    let jar = jars.open(&cookies, &SourceUrl::read(url).expect("an address")).await;
    jar.map(|jar| jar.map(|jar| jar.0.expose_secret().to_owned()))
        .map_err(|failure| format!("{} {}", failure.kind.code(), failure.detail))
}

#[test]
fn only_the_lines_of_the_site_are_taken_and_each_is_spelled_anew() {
    let site: SiteName = "video.example".parse().expect("a site");
    let table = [
        (LINE, Some(".video.example\tTRUE\t/\tTRUE\t1999999999\tsession\thush")),
        ("#HttpOnly_video.example\tTRUE\t/a\tfalse\t12.5\tb\t", Some("video.example\tFALSE\t/a\tFALSE\t12\tb\t")),
        ("WWW.Video.Example\tx\t/\tx\t-1\ta\tb=c; d", Some("www.video.example\tFALSE\t/\tFALSE\t0\ta\tb=c; d")),
        (".evilvideo.example\tTRUE\t/\tTRUE\t0\ta\tb", None),
        (".example\tTRUE\t/\tTRUE\t0\ta\tb", None),
        ("..video.example\tTRUE\t/\tTRUE\t0\ta\tb", None),
        ("video.example.evil.example\tTRUE\t/\tTRUE\t0\ta\tb", None),
        ("video.example\tTRUE\t/\tTRUE\t0\ta", None),
        ("video.example\tTRUE\t/\tTRUE\t0\ta\tb\tc", None),
        ("video.example\tTRUE\t\tTRUE\t0\ta\tb", None),
        ("video.example\tTRUE\t/\tTRUE\t0\t\tb", None),
        ("video.example\tTRUE\t/\tTRUE\t0\ta\tb\u{85}c", None),
        ("[{\"domain\": \"video.example\"}]", None),
        ("video.example\tTRUE\t/\tTRUE\t0\ta\tbücher", None),
        ("# a comment", Some("")),
        ("   ", Some("")),
    ];
    for (line, expected) in table {
        let (kept, dropped) = of_site(line, &site);
        assert_eq!(dropped, usize::from(expected.is_none()), "{line}");
        assert_eq!(
            kept.strip_prefix(HEADER).map(str::trim_end),
            Some(expected.unwrap_or_default().trim_end()),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_jar_that_is_named_has_to_be_there_and_fit_and_any_other_only_where_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let (jars, url) = (jars(dir.path()), "https://www.video.example/x");
    assert_eq!(open(&jars, "", url).await, Ok(None));
    assert_eq!(open(&jars, "any", url).await, Ok(None));
    let absent = Err("login_required the jar of video.example is not there".to_owned());
    assert_eq!(open(&jars, "video.example", url).await, absent);
    assert!(open(&Jars::default(), "video.example", url).await.is_err_and(|why| why.contains("HAUL_COOKIES_DIR")));
    assert_eq!(open(&Jars::default(), "any", url).await, Ok(None));
    let longest = format!("https://{}/", ["a"; 127].join("."));
    assert_eq!(open(&jars, "any", &longest).await, Ok(None), "no file can have its name");

    write(dir.path(), "video.example.txt", LINE, 0o600);
    let kept = Ok(Some(format!("{HEADER}{LINE}\n")));
    assert_eq!(open(&jars, "video.example", url).await, kept);
    assert_eq!(open(&jars, "any", url).await, kept);
    assert_eq!(open(&jars, "any", "https://evilvideo.example/").await, Ok(None));
    assert_eq!(open(&jars, "", url).await, Ok(None));
    let foreign = open(&jars, "video.example", "https://evil.example/").await;
    assert!(foreign.is_err_and(|why| why.contains("another site")), "whatever Redis says");

    for (text, mode, why) in [
        (LINE, 0o660, "written by others"),
        (LINE, 0o606, "written by others"),
        ("# nothing", 0o600, "has no cookie of its site"),
        (&"#".repeat((1 << 20) + 1), 0o600, "more than"),
    ] {
        write(dir.path(), "video.example.txt", text, mode);
        for cookies in ["video.example", "any"] {
            let refusal = open(&jars, cookies, url).await.expect_err(why);
            assert!(refusal.starts_with("login_required") && refusal.contains(why), "{refusal}");
        }
    }
    fs::remove_file(dir.path().join("video.example.txt")).expect("there");
    fs::create_dir(dir.path().join("video.example.txt")).expect("a directory");
    assert!(open(&jars, "any", url).await.is_err_and(|why| why.contains("is no file")));
}

#[tokio::test]
async fn the_copy_of_a_jar_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "video.example.txt", LINE, 0o644);
    let url = SourceUrl::read("https://video.example/").expect("an address");
    let jar = jars(dir.path()).open(&Cookies::Any, &url).await.expect("fit").expect("there");
    assert_eq!(format!("{jar:?}"), "Jar");
    let copy = dir.path().join("copy");
    jar.put(copy.clone()).await.expect("written");
    assert_eq!(fs::metadata(&copy).expect("there").permissions().mode() & 0o777, 0o600);

    let elsewhere = dir.path().join("elsewhere");
    fs::remove_file(&copy).expect("there");
    std::os::unix::fs::symlink(&elsewhere, &copy).expect("a link");
    jar.put(copy.clone()).await.expect("in its place");
    assert!(!elsewhere.exists() && fs::read_to_string(copy).expect("there").contains("hush"));
}
