//! Who did what, as operators read it afterwards.

use anyhow::{Context as _, Result};
use haul_tests::house::{DOWNLOADS, House, Store, request};
use haul_tests::keys::{Keys, key, text};
use haul_tests::processes::until;
use haul_tests::site::{Answer, send};
use reqwest::Method;
use serde_json::{Value, json};

/// The answer to what the holder of a key asks; `Null` sends no body.
async fn ask(house: &House, name: &str, method: Method, path: &str, body: Value) -> Result<Answer> {
    let request = house.request(&house.api, method, path).bearer_auth(key(name));
    send(if body.is_null() { request } else { request.json(&body) }).await
}

/// The lines of the log, each as `key action ticket outcome status`.
fn lines(log: &str) -> Result<Vec<String>> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line)?;
        let word = |name: &str| match &line[name] {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        assert_eq!(word("target"), "audit", "{line}");
        assert_eq!(line["request_id"].is_null(), line["status"].is_null(), "{line}");
        Ok(["key", "action", "ticket", "outcome", "status"].map(word).join(" "))
    };
    log.lines().map(line).collect()
}

#[tokio::test]
async fn each_change_by_a_key_each_look_of_an_admin_and_each_new_key_is_a_line_of_the_audit() -> Result<()> {
    let keys = Keys::of(&[("admin", "admin = true"), ("user", ""), ("late", "rate_downloads = \"1/m\"")])?;
    let logs = tempfile::tempdir()?;
    let (file, dir) = (keys.path().display().to_string(), logs.path().display().to_string());
    let variables =
        [("HAUL_API_KEYS_FILE", &*file), ("HAUL_LOG_DIR", &*dir), ("HAUL_LOG", "off"), ("HAUL_LOG_FORMAT", "json")];
    let house = House::open(Store::Disk, &variables).await?;
    let url = house.origin.url("/progressive.mp4");
    let order = ask(&house, "user", Method::POST, DOWNLOADS, request(&url, json!({}))).await?.json();
    let id = order["id"].as_str().context("an id")?;
    let (job, start) = (format!("{DOWNLOADS}/{id}"), &id[..8]);
    let metadata = format!("/api/v1/metadata?url={}", url.replace(':', "%3A").replace('/', "%2F"));
    let notes = json!({"notes": "mine"});
    for (name, method, path, body, status) in [
        // what is not theirs, what can't be, and what can
        ("late", Method::DELETE, job.clone(), Value::Null, 404),
        ("user", Method::PATCH, job.clone(), notes, 409),
        ("user", Method::POST, format!("{job}/cancel"), Value::Null, 202),
        ("user", Method::POST, format!("{job}/retry"), Value::Null, 202),
        ("user", Method::DELETE, job.clone(), Value::Null, 202),
        ("user", Method::DELETE, job.clone(), Value::Null, 204),
        ("admin", Method::DELETE, metadata, Value::Null, 204),
        ("admin", Method::POST, format!("{DOWNLOADS}/nonsense/retry"), Value::Null, 404),
        // no line is about what others see as well
        ("admin", Method::GET, DOWNLOADS.to_owned(), Value::Null, 200),
        ("user", Method::GET, "/api/v1/stats".to_owned(), Value::Null, 200),
        ("admin", Method::GET, "/api/v1/stats".to_owned(), Value::Null, 200),
        ("nobody", Method::DELETE, job.clone(), Value::Null, 401),
    ] {
        let answer = ask(&house, name, method, &path, body).await?;
        assert_eq!(answer.status, status, "{name} {path}: {}", answer.told());
    }
    // a form of the page
    let form = house.request(&house.api, Method::POST, "/").header("sec-fetch-site", "same-origin");
    let form = form.header("content-type", "application/x-www-form-urlencoded").body(format!("key={}", key("late")));
    assert_eq!(send(form).await?.status, 422);
    // what a limit refuses had a line each: who asks often enough pushed all others out of the file
    let (again, huge) = (request(&url, json!({})), request(&url, json!({ "filename": "f".repeat(70_000) })));
    for (body, status) in [(again, 429), (huge, 413)] {
        assert_eq!(ask(&house, "late", Method::POST, DOWNLOADS, body).await?.status, status);
    }
    let expected = [
        format!("user order {start} done 202"),
        format!("late delete {start} refused 404"),
        format!("user annotate {start} refused 409"),
        format!("user cancel {start} done 202"),
        format!("user retry {start} done 202"),
        format!("user delete {start} done 202"),
        format!("user delete {start} done 204"),
        "admin forget - done 204".to_owned(),
        "admin retry - refused 404".to_owned(),
        "admin look - done 200".to_owned(),
        "late order - refused 422".to_owned(),
        "new add_key - done -".to_owned(),
        "user change_key - done -".to_owned(),
        "late remove_key - done -".to_owned(),
    ];
    std::fs::write(keys.path(), text(&[("new", ""), ("user", "weight = 2"), ("admin", "admin = true")]))?;
    let log = logs.path().join("haul-api.audit.log");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    until("all was written", async || read().lines().count() >= expected.len()).await?;
    assert_eq!(lines(&read())?, expected);
    assert!(!read().contains(id) && !read().contains(&key("user")) && !read().contains("progressive"), "{}", read());
    // the other file has them too, for who reads but one
    assert_eq!(lines(&std::fs::read_to_string(logs.path().join("haul-api.log"))?)?, expected);
    Ok(())
}
