//! What messages are signed with: the key's own secrets or the service's, all that are valid, and those of now.

use std::fmt::Write as _;

use haul_tests::redis::Redis;
use haul_tests::site::send;
use sha2::{Digest as _, Sha256};

use super::*;

/// A keys file: each key is `key of NAME`.
pub(super) fn keys(entries: &[(&str, &[&str])]) -> String {
    entries.iter().fold(String::new(), |mut text, (name, secrets)| {
        let sha256: String = Sha256::digest(format!("key of {name}")).iter().map(|b| format!("{b:02x}")).collect();
        writeln!(text, "[[keys]]\nname = {name:?}\nsha256 = {sha256:?}\nwebhook_secrets = {secrets:?}")
            .expect("memory");
        text
    })
}

/// Asks by one of those keys.
pub(super) async fn ask(house: &House, who: &str, method: Method, path: &str, body: &Value) -> Result<Answer> {
    let request = house.request(&house.api, method, path).bearer_auth(format!("key of {who}"));
    send(if body.is_null() { request } else { request.json(body) }).await
}

#[tokio::test]
async fn every_valid_secret_has_its_signature_and_no_other_verifies() -> Result<()> {
    let both = format!("{SECRET}, {OLDER}");
    let house = House::open(Store::Disk, &[("HAUL_WEBHOOK_SECRETS", &both)]).await?;
    let (_worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    house.order(&told_to(&receiver, &house.origin.url("/progressive.mp4"))).await?;
    let message = receiver.has(1).await?.remove(0);
    for secret in [SECRET, OLDER] {
        verified(&message, secret)?;
        message.verified_in_python(secret)?;
    }
    assert!(verified(&message, OTHER).is_err() && message.verified_in_python(OTHER).is_err());
    let signatures = message.header("webhook-signature");
    assert!(
        signatures.split(' ').count() == 2 && signatures.split(' ').all(|one| one.starts_with("v1,")),
        "{signatures}"
    );
    Ok(())
}

#[tokio::test]
async fn a_change_of_secrets_counts_at_once_also_for_what_is_still_to_be_sent() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("keys.toml");
    std::fs::write(&file, keys(&[("a", &[OLDER]), ("b", &[])]))?;
    let variables = [("HAUL_API_KEYS_FILE", file.to_str().context("a path")?), ("HAUL_WEBHOOK_SECRETS", SECRET)];
    let house =
        House::over(Redis::start().await?, haul_tests::origin::Origin::start().await, Store::Disk, &variables).await?;
    let (_worker, own, common) = (house.worker(&[]).await?, Receiver::start().await?, Receiver::start().await?);
    own.will(std::iter::repeat_n(Reply::Status(500), 1000));
    let url = house.origin.url("/progressive.mp4");
    assert_eq!(ask(&house, "a", Method::POST, DOWNLOADS, &told_to(&own, &url)).await?.status, 202);
    assert_eq!(ask(&house, "b", Method::POST, DOWNLOADS, &told_to(&common, &url)).await?.status, 202);
    verified(&common.has(1).await?[0], SECRET)?;
    let first = own.has(1).await?.remove(0);
    verified(&first, OLDER)?;
    assert!(verified(&first, SECRET).is_err(), "a key's own secrets take the place of the service's");

    let signed = async |secrets: &[&str], by: &[&str]| {
        std::fs::write(&file, keys(&[("a", secrets), ("b", &[])]))?;
        let newest = || own.received().pop();
        let is_so = |message: &Received| by.iter().all(|secret| verified(message, secret).is_ok());
        until("messages are signed anew", async || newest().is_some_and(|message| is_so(&message))).await?;
        anyhow::Ok(newest().context("a message")?)
    };
    signed(&[OTHER, OLDER], &[OTHER, OLDER]).await?;
    let newest = signed(&[OTHER], &[OTHER]).await?;
    assert_eq!(newest.header("webhook-id"), first.header("webhook-id"));
    // without any of its own, the service's
    signed(&[], &[SECRET]).await?;
    Ok(())
}

/// Fault: a service that had no secret any more left the old ones where they were, and everything went on being signed.
#[tokio::test]
async fn a_service_that_has_no_secret_any_more_signs_nothing_that_is_still_to_be_sent() -> Result<()> {
    let mut house = House::open(Store::Disk, &[]).await?;
    let mut with_secret = house.another_api(&[("HAUL_WEBHOOK_SECRETS", SECRET)]).await?;
    let (_worker, receiver) = (house.worker(&[]).await?, Receiver::start().await?);
    receiver.will(std::iter::repeat_n(Reply::Status(500), 1000));
    let order = told_to(&receiver, &house.origin.url("/progressive.mp4"));
    let answer = send(house.request(&with_secret, Method::POST, DOWNLOADS).json(&order)).await?;
    assert_eq!(answer.status, 202);
    let job = format!("{DOWNLOADS}/{}", answer.json()["id"].as_str().context("an id")?);
    verified(&receiver.has(1).await?[0], SECRET)?;
    with_secret.kill()?;
    house.replace_api().await?;
    let is_unsigned = async || {
        let shown = house.get(&format!("{job}/webhook")).await.map(|answer| answer.json());
        shown.is_ok_and(|shown| errors(&shown).last() == Some(&"unsigned"))
    };
    until("nothing is signed", is_unsigned).await?;
    stays_at(&receiver, receiver.received().len()).await
}
