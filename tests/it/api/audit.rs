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
    let variables = [
        ("HAUL_API_KEYS_FILE", &*file),
        ("HAUL_LOG_DIR", &*dir),
        ("HAUL_LOG", "off"),
        ("HAUL_LOG_FORMAT", "json"),
        ("HAUL_COMPAT_METUBE", "/metube"),
        ("HAUL_COMPAT_COBALT", "/cobalt"),
    ];
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
    // clients of other programs, one of them with its key in the address
    let in_path = format!("/metube/key/{}/add", key("user").replace(' ', "%20"));
    let add = house.request(&house.api, Method::POST, &in_path).json(&json!({ "url": url }));
    let added = send(add).await?.json();
    let added = added["id"].as_str().context("an id")?;
    let order = house.request(&house.api, Method::POST, "/cobalt").header("accept", "application/json");
    let order = order.header("authorization", format!("Api-Key {}", key("user"))).json(&json!({ "url": url }));
    assert_eq!(send(order).await?.json()["status"], "tunnel");
    let queue = ask(&house, "user", Method::GET, "/metube/history", Value::Null).await?.json()["queue"].clone();
    let [_, ordered] = queue.as_array().map(Vec::as_slice).unwrap_or_default() else { anyhow::bail!("{queue}") };
    let ordered = ordered["id"].as_str().context("an id")?;
    for (path, body) in [
        ("/metube/retry", json!({ "id": url })),
        ("/metube/start", json!({ "ids": [url] })),
        ("/metube/delete", json!({ "ids": [url], "where": "queue" })),
    ] {
        ask(&house, "user", Method::POST, path, body).await?;
    }
    let (added_start, ordered_start) = (&added[..8], &ordered[..8]);
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
        format!("user order {added_start} done 200"),
        format!("user order {ordered_start} done 200"),
        "user retry - refused 400".to_owned(),
        format!("user delete {ordered_start} {added_start} done 200"),
        "late order - refused 422".to_owned(),
        "new add_key - done -".to_owned(),
        "user change_key - done -".to_owned(),
        "late remove_key - done -".to_owned(),
    ];
    std::fs::write(keys.path(), text(&[("new", ""), ("user", "weight = 2"), ("admin", "admin = true")]))?;
    // the log itself has them too, for who reads but one file
    for file in ["haul-api.audit.log", "haul-api.log"] {
        let log = logs.path().join(file);
        let read = || std::fs::read_to_string(&log).unwrap_or_default();
        until("all was written", async || read().lines().count() >= expected.len()).await?;
        assert_eq!(lines(&read())?, expected, "{file}");
        for kept_back in [id, added, ordered, &key("user"), "key%20of", "progressive"] {
            assert!(!read().contains(kept_back), "{kept_back}: {}", read());
        }
    }
    Ok(())
}
