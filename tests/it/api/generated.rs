//! The API asked everything that its description allows, and much that it does not, by a program that knows nothing else of it.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use haul_tests::checks;
use haul_tests::house::{DOWNLOADS, House, Store, request};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Cases of each operation, beside those that come of its examples and of each bound of its schema.
const CASES: u32 = 15;

/// What schemathesis is told.
fn settings(ids: &[&str], urls: &[String]) -> String {
    format!(
        r#"
color = false
continue-on-failure = true
request-timeout = 80
seed = 7

[generation]
max-examples = {CASES}
database = "none"

[dictionaries.ids]
values = {ids:?}
[dictionaries.urls]
values = {urls:?}

[parameters]
"path.id" = {{ dictionary = "ids" }}
"body.url" = {{ dictionary = "urls" }}
"query.url" = {{ dictionary = "urls" }}

[checks]
# whether an address may be fetched, and a cursor is one, no schema can say
positive_data_acceptance.enabled = false
# what a site or its worker answers is one of these, each of them described
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "502", "503", "504"]

# they last as long as their job, and are held against their schema where they are tested
[[operations]]
include-path = "/api/v1/downloads/{{id}}/events"
enabled = false

[[operations]]
include-path = "/api/v1/downloads/batch"
# each item is refused for itself
checks.negative_data_rejection.expected-statuses = ["207", "400", "413", "415", "422"]
"#
    )
}

async fn schemathesis(house: &House, settings: &str) -> Result<Output> {
    let folder = TempDir::new()?;
    let file = folder.path().join("schemathesis.toml");
    std::fs::write(&file, settings)?;
    let program = checks().with_file_name("schemathesis");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(&file).arg("run").arg(format!("http://{}/openapi.json", house.api.address()));
    // one worker: with several, Python 3.11 now and then loses its way in `ast`
    command.args(["--phases", "examples,coverage,fuzzing", "--workers", "1", "--warnings", "off"]);
    command.current_dir(folder.path()).kill_on_drop(true);
    command.output().await.context("tests/run installs schemathesis")
}

#[tokio::test]
async fn whatever_is_asked_no_answer_is_a_fault_of_ours_and_each_is_as_described() -> Result<()> {
    let house = House::open(Store::Disk, &[("HAUL_WEBHOOK_SECRETS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]).await?;
    let _worker = house.worker(&[]).await?;
    let missing = house.origin.url("/no-such-file.mp4");
    let there = house.origin.url("/progressive.mp4");
    let told = json!({ "webhook": { "url": missing }, "tags": ["talks"], "external_id": "order-17" });
    let done = house.order(&request(&there, told)).await?;
    let failed = house.order(&request(&missing, json!({}))).await?;
    assert_eq!(
        (house.outcome(&done).await?.as_str(), house.outcome(&failed).await?.as_str()),
        ("completed", "unavailable")
    );

    let id = |job: &str| job.rsplit('/').next().unwrap_or_default().to_owned();
    let (done, failed) = (id(&done), id(&failed));
    let ids = [done.as_str(), done.as_str(), failed.as_str(), "5b0c1f0e-6d2f-4a54-9e0b-4a1a2d0f9d11", "no-id"];
    let urls = [there, missing, "http://10.0.0.1/".to_owned(), "ftp://127.0.0.1/a".to_owned(), "no address".to_owned()];
    let output = schemathesis(&house, &settings(&ids, &urls)).await?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));

    let document: Value = house.get("/openapi.json").await?.json();
    let operations: usize = document["paths"]
        .as_object()
        .context("paths")?
        .values()
        .map(|path| {
            let methods = ["get", "post", "patch", "delete"];
            methods.into_iter().filter(|method| path.get(method).is_some()).count()
        })
        .sum();
    assert!(told.contains(&format!("Tested: {}", operations - 1)), "all operations but the events: {told}");
    assert!(house.get(DOWNLOADS).await?.status.is_success(), "it serves after all that");
    Ok(())
}
