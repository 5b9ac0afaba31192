//! Faults of a bucket, and of what it is allowed there.

use haul_tests::s3::{ACCESS_KEY_ID, BUCKET, Call, Fault, S3, SECRET_ACCESS_KEY};

use super::*;

/// A doctor of this program over the bucket, told more, or otherwise, by these variables. There is no Redis, and a worker
/// has no programs: of that it tells too.
async fn look(program: &str, s3: &S3, more: &[(&str, &str)]) -> Result<Told> {
    let data = tempfile::tempdir()?;
    let (endpoint, dir) = (s3.endpoint.to_string(), data.path().to_str().context("a path")?.to_owned());
    let mut variables = vec![
        ("PATH", "/nowhere"),
        ("HAUL_REDIS_URL", "redis://127.0.0.1:1"),
        ("HAUL_DATA_DIR", &dir),
        ("HAUL_STORAGE", "s3"),
        ("HAUL_S3_BUCKET", BUCKET),
        ("HAUL_S3_ENDPOINT", &endpoint),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    variables.extend(more);
    doctor(program, &variables).await
}

/// What stands with the store, and with its clock.
fn of_store(told: &Told) -> Vec<(&str, &str)> {
    let fields = told.checks.iter().filter_map(|check| Some((check["name"].as_str()?, check["status"].as_str()?)));
    fields.filter(|(name, _)| name.starts_with("store.") || *name == "clock.store").collect()
}

#[tokio::test]
async fn a_bucket_that_allows_everything_is_well_and_nothing_is_left_in_it() -> Result<()> {
    let s3 = S3::start().await;
    let (worker, api) = tokio::try_join!(look("haul-worker", &s3, &[]), look("haul-api", &s3, &[]))?;
    let names = |told: &Told| {
        of_store(told).into_iter().map(|(name, status)| format!("{name} {status}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        names(&worker),
        "store.credentials ok, store.bucket ok, store.put ok, store.head ok, store.get ok, store.link ok, store.list ok, \
         store.delete ok, store.multipart ok, store.abort ok, store.uploads ok, store.lifecycle ok, clock.store ok",
        "{}",
        worker.text
    );
    assert_eq!(
        names(&api),
        "store.credentials ok, store.bucket ok, store.get ok, store.link ok, store.list ok, clock.store ok",
        "{}",
        api.text
    );
    assert_eq!(objects(&s3), 0);
    assert_eq!(s3.orphans(), Vec::<std::path::PathBuf>::new());
    assert_eq!(s3.counts().seen(Call::Put), 1, "an API writes nothing");
    Ok(())
}

/// Files below the bucket.
fn objects(s3: &S3) -> usize {
    let (mut files, mut folders) = (0, vec![s3.bucket()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { files += 1 }
        }
    }
    files
}

#[tokio::test]
async fn a_bucket_that_is_missing_and_credentials_that_are_wrong_are_told_apart() -> Result<()> {
    let s3 = S3::start().await;
    let (missing, none, wrong, away, proxied) = tokio::try_join!(
        look("haul-api", &s3, &[("HAUL_S3_BUCKET", "elsewhere")]),
        look("haul-api", &s3, &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]),
        look("haul-api", &s3, &[("AWS_SECRET_ACCESS_KEY", "hunter2")]),
        look("haul-api", &s3, &[("HAUL_S3_ENDPOINT", "http://127.0.0.1:1")]),
        look("haul-api", &s3, &[("HTTP_PROXY", "http://127.0.0.1:1")]),
    )?;
    missing.finds(&[("store.bucket", "fail", "there is no bucket elsewhere", "aws s3 mb s3://elsewhere")]);
    none.finds(&[("store.credentials", "fail", "no credentials", "AWS_ACCESS_KEY_ID")]);
    wrong.finds(&[("store.bucket", "fail", "signature", "set AWS_SECRET_ACCESS_KEY")]);
    away.finds(&[("store.bucket", "fail", "cannot be reached", "HAUL_S3_ENDPOINT")]);
    // the SDK goes through the proxy of the machine
    proxied.finds(&[("store.bucket", "fail", "cannot be reached", "HTTP_PROXY")]);
    assert!(!wrong.text.contains("hunter2"), "{}", wrong.text);
    Ok(())
}

#[tokio::test]
async fn each_right_that_is_missing_is_found_and_what_was_written_is_removed_all_the_same() -> Result<()> {
    let (reads, writes, silent) = tokio::join!(S3::start(), S3::start(), S3::start());
    for call in [Call::Put, Call::AbortMultipart, Call::List] {
        reads.fail(call, usize::MAX, Fault::Refused(403));
    }
    for call in [Call::Get, Call::Head, Call::CreateMultipart, Call::ListUploads] {
        writes.fail(call, usize::MAX, Fault::Refused(403));
    }
    silent.fail(Call::Get, usize::MAX, Fault::Silence);
    let (reads_told, writes_told, api_told, silent_told) = tokio::try_join!(
        look("haul-worker", &reads, &[]),
        look("haul-worker", &writes, &[]),
        look("haul-api", &writes, &[]),
        look("haul-worker", &silent, &[]),
    )?;
    reads_told.finds(&[
        ("store.put", "fail", "it is not allowed", "s3:PutObject on arn:aws:s3:::media/m/*"),
        ("store.abort", "warn", "it is not allowed", "s3:AbortMultipartUpload"),
        ("store.list", "warn", "it is not allowed", "s3:ListBucket on arn:aws:s3:::media"),
    ]);
    writes_told.finds(&[
        ("store.head", "fail", "it is not allowed", "s3:GetObject on arn:aws:s3:::media/m/*"),
        ("store.get", "warn", "it is not allowed", "s3:GetObject"),
        ("store.link", "warn", "it is not allowed", "s3:GetObject"),
        ("store.multipart", "fail", "it is not allowed", "s3:PutObject"),
        ("store.uploads", "warn", "it is not allowed", "s3:ListBucketMultipartUploads"),
    ]);
    api_told.finds(&[("store.get", "fail", "it is not allowed", "or allow s3:ListBucket on arn:aws:s3:::media")]);
    silent_told.finds(&[("store.get", "warn", "no answer in time", "HAUL_S3_ENDPOINT")]);
    assert_eq!([&reads, &writes, &silent].map(objects), [0; 3]);
    Ok(())
}

/// Fault: the doctor called well an API that may read what is there, and takes all that is lost for forbidden.
#[tokio::test]
async fn an_api_that_is_not_told_what_is_missing_finds_the_right_that_it_lacks() -> Result<()> {
    let s3 = S3::start().await;
    // as a worker leaves it at its start
    std::fs::create_dir_all(s3.bucket().join("m"))?;
    std::fs::write(s3.bucket().join("m/ready"), "")?;
    s3.fail(Call::Get, usize::MAX, Fault::MissingIsForbidden);
    s3.fail(Call::List, usize::MAX, Fault::Refused(403));
    let told = look("haul-api", &s3, &[]).await?;
    told.finds(&[("store.list", "warn", "lost is not told from", "s3:ListBucket on arn:aws:s3:::media")]);
    assert_eq!(of_store(&told).into_iter().filter(|(_, status)| *status != "ok").count(), 1, "{}", told.text);
    Ok(())
}
