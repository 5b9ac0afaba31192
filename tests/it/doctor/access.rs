//! Faults of what an API is told: its variables, its keys, its address, its folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use haul_tests::processes::said;
use haul_tests::redis::Redis;

use super::*;

#[tokio::test]
async fn an_api_with_faults_of_its_own_is_told_each_with_its_remedy() -> Result<()> {
    let (redis, data) = (Redis::start().await?, tempfile::tempdir()?);
    let keys = data.path().join("secret-place.toml");
    fs::write(&keys, "[[keys]]\nname = \"a\"\nsha256 = \"hunter2\"\n")?;
    fs::set_permissions(&keys, Permissions::from_mode(0o666))?;
    let (url, listen) = (redis.url(), redis.address().to_string());
    let variables = [
        ("HAUL_REDIS_URL", url.as_str()),
        ("HAUL_LISTEN", &listen),
        // no rights of root make a folder there
        ("HAUL_DATA_DIR", "/proc/haul"),
        ("HAUL_LOG_DIR", "/proc/haul"),
        ("HAUL_API_KEYS_FILE", keys.to_str().context("a path")?),
        ("HAUL_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("HAUL_SIGNING_KEY", "short"),
        ("HAUL_SLOTS", "2"),
        ("HAUL_LISTENS", "2"),
        ("HAUL_REGIONS", "here there"),
    ];
    let told = doctor("haul-api", &variables).await?;
    told.finds(&[
        ("config.variables", "warn", "HAUL_LISTENS is no variable", "rename HAUL_LISTENS to HAUL_LISTEN"),
        ("config.variables", "warn", "HAUL_SIGNING_KEY is shorter", "openssl rand"),
        ("api.address", "fail", "taken by another program", "ss -ltnp"),
        ("api.keys", "fail", "sha256 must be 64 hex digits", "haul-api key new"),
        ("api.keys_file", "fail", "can be written by other users", "chmod 600"),
        ("api.proxies", "fail", "may claim to be any other", "HAUL_TRUSTED_PROXIES"),
        ("store.directory", "fail", "/proc/haul cannot be written", "HAUL_DATA_DIR"),
        ("log.directory", "fail", "/proc/haul cannot be written", "HAUL_LOG_DIR"),
        ("config.variables", "fail", "HAUL_REGIONS: expected", "HAUL_REGIONS"),
    ]);
    let names = told.names();
    assert!(names.contains(&"redis.reach") && !names.contains(&"workers.live"), "of which regions? {names:?}");
    assert!(!told.text.contains("hunter2") && !told.text.contains("secret-place"), "{}", told.text);
    assert_eq!(told.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_configuration_at_fault_is_the_first_finding_and_the_rest_is_looked_at_all_the_same() -> Result<()> {
    let (redis, data) = (Redis::start().await?, tempfile::tempdir()?);
    let url = redis.url();
    let dir = ("HAUL_DATA_DIR", data.path().to_str().context("a path")?);
    let told = doctor(
        "haul-api",
        &[
            ("HAUL_REDIS_URL", url.as_str()),
            ("HAUL_RATE_READS", "fast"),
            ("HAUL_JOB_TTL", "1h"),
            ("HAUL_LISTEN", "here"),
            dir,
        ],
    )
    .await?;
    told.finds(&[
        ("config.variables", "fail", "HAUL_RATE_READS: expected a rate", "then it is 60/s"),
        ("config.variables", "fail", "HAUL_JOB_TTL: 1h is less than HAUL_RESULT_TTL", "HAUL_JOB_TTL"),
        ("config.variables", "fail", "HAUL_LISTEN: expected an address", "then it is 127.0.0.1:8080"),
    ]);
    let names = told.names();
    assert_eq!(names[..3], ["config.variables"; 3]);
    assert!(names.contains(&"store.directory") && !names.contains(&"api.address"), "{names:?}");
    Ok(())
}

#[tokio::test]
async fn both_programs_tell_of_their_doctor_and_how_it_is_asked() -> Result<()> {
    for program in ["haul-api", "haul-worker"] {
        let help = said(program, &["doctor", "--help"]).await?;
        let text = String::from_utf8(help.stdout)?;
        assert!(help.status.success() && text.contains("--json") && text.contains("--strict"), "{text}");
        assert!(String::from_utf8(said(program, &["--help"]).await?.stdout)?.contains("doctor"));
    }
    Ok(())
}
