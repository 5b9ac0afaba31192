//! Who may call, and what a caller sees.

use std::io::Write as _;

use anyhow::Result;
use haul_shared::job::{Failure, FailureKind};
use haul_tests::processes::until;
use haul_tests::site::{Answer, Site, send};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

const DOWNLOADS: &str = "/api/v1/downloads";

fn entry(name: &str, more: &str) -> String {
    let sha256: String = Sha256::digest(format!("key of {name}")).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[keys]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\n{more}\n")
}

fn keys(entries: &[(&str, &str)]) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    for (name, more) in entries {
        file.write_all(entry(name, more).as_bytes())?;
    }
    Ok(file)
}

async fn guarded(file: &NamedTempFile) -> Result<Site> {
    Site::with(&[("HAUL_API_KEYS_FILE", &file.path().display().to_string())]).await
}

async fn ask(site: &Site, name: &str, method: Method, path: &str) -> Result<Answer> {
    send(site.request(method, path).bearer_auth(format!("key of {name}"))).await
}

async fn submit(site: &Site, name: &str) -> Result<String> {
    let body = json!({ "url": format!("http://127.0.0.1/{name}.mp4") });
    let answer = send(site.request(Method::POST, DOWNLOADS).bearer_auth(format!("key of {name}")).json(&body)).await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    Ok(format!("{DOWNLOADS}/{}", answer.json()["id"].as_str().unwrap()))
}

#[tokio::test]
async fn with_keys_every_route_of_the_api_wants_one() -> Result<()> {
    let site = guarded(&keys(&[("studio", "")])?).await?;
    for (method, path) in [
        (Method::POST, DOWNLOADS),
        (Method::POST, "/api/v1/downloads/batch"),
        (Method::GET, DOWNLOADS),
        (Method::GET, "/api/v1/stats"),
        (Method::POST, "/api/v1/playlists"),
        (Method::POST, "/api/v1/metadata"),
        (Method::GET, "/api/v1/metadata/thumbnail"),
    ] {
        let answer = send(site.request(method.clone(), path)).await?;
        assert_eq!(
            (answer.told().as_str(), answer.header("www-authenticate")),
            ("401 unauthorized", "Bearer"),
            "{path}"
        );
        assert_eq!(ask(&site, "nobody", method, path).await?.told(), "401 unauthorized", "{path}");
    }
    for path in ["/metrics", "/healthz", "/readyz", "/openapi.json", "/docs/"] {
        assert_eq!(site.get(path).await?.status, 200, "{path}");
    }
    assert_eq!(ask(&site, "studio", Method::GET, DOWNLOADS).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_caller_sees_only_its_own() -> Result<()> {
    let site = guarded(&keys(&[("a", ""), ("b", "admin = true")])?).await?;
    let job = submit(&site, "a").await?;
    let unknown = format!("{DOWNLOADS}/5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11");
    for (method, rest) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/cancel"),
        (Method::POST, "/retry"),
        (Method::GET, "/link"),
    ] {
        let foreign = ask(&site, "b", method.clone(), &format!("{job}{rest}")).await?;
        let none = ask(&site, "b", method, &format!("{unknown}{rest}")).await?;
        assert_eq!(foreign.told(), "404 not_found");
        let without_id = |answer: &Answer| {
            let mut problem = answer.json();
            problem["request_id"] = json!(null);
            problem
        };
        assert_eq!(without_id(&foreign), without_id(&none));
    }
    assert_eq!(ask(&site, "b", Method::GET, DOWNLOADS).await?.json()["downloads"], json!([]));
    assert_eq!(ask(&site, "a", Method::GET, DOWNLOADS).await?.json()["downloads"][0]["status"], "queued");
    Ok(())
}

#[tokio::test]
async fn only_an_admin_reads_what_a_program_said() -> Result<()> {
    let site = guarded(&keys(&[("a", ""), ("b", "admin = true")])?).await?;
    for (name, detail) in [("a", None), ("b", Some(json!("said so")))] {
        let job = submit(&site, name).await?;
        site.fail(&Failure::new(FailureKind::Private, "said so")).await?;
        let error = ask(&site, name, Method::GET, &job).await?.json()["error"].clone();
        assert_eq!((&error["code"], error.get("detail").cloned()), (&json!("private"), detail));
    }
    Ok(())
}

#[tokio::test]
async fn a_key_has_limits_of_its_own() -> Result<()> {
    let site = guarded(&keys(&[("a", "rate_reads = \"1/h\"\nmax_queued = 1"), ("b", "")])?).await?;
    submit(&site, "a").await?;
    let body = json!({ "url": "http://127.0.0.1/other.mp4" });
    let second = send(site.request(Method::POST, DOWNLOADS).bearer_auth("key of a").json(&body)).await?;
    assert_eq!(second.told(), "429 client_queue_full");
    assert_eq!(ask(&site, "a", Method::GET, DOWNLOADS).await?.status, 200);
    assert_eq!(ask(&site, "a", Method::GET, DOWNLOADS).await?.told(), "429 rate_limited");
    assert_eq!(ask(&site, "b", Method::GET, DOWNLOADS).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_keys_file_is_followed_and_a_broken_one_changes_nothing() -> Result<()> {
    let file = keys(&[("a", "")])?;
    let site = guarded(&file).await?;
    let is_answered = async |name: &str, status: u16| {
        let mut asked = Ok(());
        let is_so = async || match ask(&site, name, Method::GET, DOWNLOADS).await {
            Ok(answer) => answer.status == status,
            Err(error) => {
                asked = Err(error);
                true
            }
        };
        until("the file is followed", is_so).await?;
        asked
    };
    std::fs::write(file.path(), "[[keys]]\nname = ")?;
    std::fs::write(file.path(), entry("a", "") + &entry("late", ""))?;
    is_answered("late", 200).await?;
    std::fs::write(file.path(), entry("late", ""))?;
    is_answered("a", 401).await?;
    std::fs::write(file.path(), "this is no keys file")?;
    assert_eq!(ask(&site, "late", Method::GET, DOWNLOADS).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_public_service_lists_nothing_and_keeps_its_numbers_apart() -> Result<()> {
    let site = Site::with(&[("HAUL_MODE", "public"), ("HAUL_ADMIN_LISTEN", "127.0.0.1:0")]).await?;
    let job = site.submit("http://127.0.0.1/v.mp4").await?;
    assert_eq!(site.get(&job).await?.status, 200);
    assert_eq!(site.get(DOWNLOADS).await?.told(), "403 forbidden");
    let admin = site.admin_url.clone().expect("it was asked for");
    for path in ["/metrics", "/api/v1/stats"] {
        assert_eq!(site.get(path).await?.told(), "404 not_found", "{path}");
        assert_eq!(send(site.request_to(Method::GET, &format!("{admin}{path}"))).await?.status, 200, "{path}");
    }
    assert_eq!(send(site.request_to(Method::GET, &format!("{admin}{DOWNLOADS}"))).await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_only_when_named() -> Result<()> {
    let preflight = async |site: &Site| {
        let request = site.request(Method::OPTIONS, DOWNLOADS).header("origin", "https://app.example");
        let answer = send(request.header("access-control-request-method", "POST")).await?;
        anyhow::Ok(answer.header("access-control-allow-origin").to_owned())
    };
    assert_eq!(preflight(&Site::start().await?).await?, "");
    let open = Site::with(&[("HAUL_CORS_ORIGINS", "https://app.example")]).await?;
    assert_eq!(preflight(&open).await?, "https://app.example");
    // a page could not change what it showed
    let asked = open.request(Method::OPTIONS, DOWNLOADS).header("origin", "https://app.example");
    let allowed = send(asked.header("access-control-request-method", "PATCH")).await?;
    for method in ["GET", "HEAD", "POST", "PATCH", "DELETE"] {
        assert!(allowed.header("access-control-allow-methods").contains(method), "{method}: {allowed:?}");
    }
    Ok(())
}
