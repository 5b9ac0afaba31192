//! Secrets that are changed while the service runs: what they opened goes on to open.
//!
//! Not here: the secrets of webhooks (`webhooks::secrets`).

use haul_tests::house::{House, Store, request};
use haul_tests::keys::{Keys, key, text};
use haul_tests::processes::{Process, until};
use haul_tests::site::send;
use reqwest::Method;
use serde_json::json;
use url::Url;

use super::*;

/// What an API answers to a link that another made: behind one address, clients meet any of them.
async fn opened(house: &House, api: &Process, link: &Url) -> Result<u16> {
    let path = format!("{}?{}", link.path(), link.query().context("a signature")?);
    Ok(send(house.request(api, Method::GET, &path)).await?.status.as_u16())
}

#[tokio::test]
async fn every_link_opens_on_every_api_while_the_signing_key_is_changed_in_two_steps() -> Result<()> {
    let (last, next) = ("the key that was, of 32 characters", "the key that comes, of 32 characters");
    let house = House::open(Store::Disk, &[("HAUL_SIGNING_KEY", last)]).await?;
    let _worker = house.quick_worker(&[]).await?;
    let both = [("HAUL_SIGNING_KEY", last), ("HAUL_SIGNING_KEY_OTHER", next)];
    let first = house.another_api(&both).await?;
    let both = [("HAUL_SIGNING_KEY", next), ("HAUL_SIGNING_KEY_OTHER", last)];
    let second = house.another_api(&both).await?;
    let end = house.another_api(&[("HAUL_SIGNING_KEY", next)]).await?;

    let job = house.order(&request(&house.origin.url("/progressive.mp4"), json!({}))).await?;
    assert_eq!(house.outcome(&job).await?, "completed");
    let mut links = Vec::new();
    for api in [&house.api, &first, &second, &end] {
        let link = send(house.request(api, Method::GET, &format!("{job}/link"))).await?.json();
        links.push(link["url"].as_str().context("a link")?.parse::<Url>()?);
    }
    let [before, of_first, of_second, of_end] = links.try_into().expect("one of each");
    // in each step the APIs of two neighbours run beside each other
    for (api, links) in [
        (&house.api, [&before, &of_first]),
        (&first, [&before, &of_first]),
        (&first, [&of_second, &of_end]),
        (&second, [&before, &of_first]),
        (&second, [&of_second, &of_end]),
        (&end, [&of_second, &of_end]),
    ] {
        for link in links {
            assert_eq!(opened(&house, api, link).await?, 200, "{link} at {}", api.address());
        }
    }
    // and at its end the last key opens nothing
    assert_eq!([opened(&house, &end, &before).await?, opened(&house, &house.api, &of_end).await?], [403; 2]);
    Ok(())
}

#[tokio::test]
async fn who_is_given_another_key_under_the_same_name_keeps_downloads_and_the_old_key_is_refused() -> Result<()> {
    let keys = Keys::of(&[("studio", "")])?;
    let site = keys.site(&[]).await?;
    let job = site.submit_as("studio", "https://media.example/a.mp4").await?;
    // what `haul-api key new` prints, under the name that is there
    let other = text(&[("another", "")]).replace("name = \"another\"", "name = \"studio\"");
    std::fs::write(keys.path(), other)?;
    let is_refused =
        async || site.ask("studio", Method::GET, &job).await.is_ok_and(|answer| answer.told() == "401 unauthorized");
    until(&format!("{} opens nothing", key("studio")), is_refused).await?;
    let listed = site.ask("another", Method::GET, "/api/v1/downloads").await?.json();
    let its_own = listed["downloads"][0]["id"].as_str().context("what was ordered with the old key")?;
    assert!(job.ends_with(its_own), "{listed}");
    assert_eq!(site.ask("another", Method::GET, &job).await?.status, 200);
    Ok(())
}
