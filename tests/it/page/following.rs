//! Who follows a download with a browser that is cut off: by its own `EventSource`, and by the page.

use haul_tests::events::{Event, STATES};
use haul_tests::proxy::Proxy;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;

use super::*;

/// How often.
const CUTS: usize = 5;

/// What the browser has heard so far.
async fn heard(browser: &Browser) -> Result<Vec<Event>> {
    let heard: Vec<(String, String, String)> = serde_json::from_value(browser.run("return heard", &[]).await?)?;
    let event = |(name, id, data): (String, String, String)| {
        Ok(Event { id: Some(id), name, job: serde_json::from_str(&data)? })
    };
    heard.into_iter().map(event).collect()
}

fn check(events: &[Event]) -> Result<()> {
    let states: Vec<String> = events.iter().filter(|event| event.name != "progress").map(Event::told).collect();
    let place =
        |told: &String| STATES.iter().position(|state| told.split_once(' ').is_some_and(|(_, it)| it == *state));
    let places: Vec<_> = states.iter().map(place).collect();
    ensure!(places.iter().all(Option::is_some) && places.is_sorted_by(|a, b| a < b), "each once, in order: {states:?}");
    ensure!(states.len() >= 4 && states.last().is_some_and(|told| told == "completed completed -"), "{states:?}");
    let percent: Vec<f64> = events.iter().map(Event::percent).collect();
    ensure!(percent.is_sorted(), "{percent:?}");
    Ok(())
}

#[tokio::test]
async fn a_browser_that_is_cut_off_hears_each_state_once_and_stops_by_itself_and_so_does_the_page() -> Result<()> {
    let home = Home::open(&[]).await?;
    let wire = Proxy::to(home.house.api.address()).await;
    let url = format!("http://{}", wire.address());
    let slow = home.house.origin.spoilt(Fault::Throttle(15_000), "/progressive.mp4");
    let follow = "const names = ['progress', 'stage', 'completed', 'failed', 'cancelled']; \
        window.heard = []; window.broken = 0; window.percents = []; \
        window.source = new EventSource(arguments[0]); \
        source.addEventListener('error', () => (broken += 1)); \
        names.forEach((name) => source.addEventListener(name, ({ type, lastEventId, data }) => heard.push([type, lastEventId, data]))); \
        new MutationObserver(() => document.querySelectorAll('#jobs [role=progressbar]').forEach((bar) => \
            percents.push(Number(bar.getAttribute('aria-valuenow'))))).observe(document.querySelector('#jobs'), { subtree: true, attributes: true })";
    let visit = Visit { brought_about: &["net::ERR_"], ..Visit::to(&url) };
    visit
        .goes(async |browser| {
            browser.go(&url).await?;
            browser.until("the list has come", "!document.querySelector('#jobs').ariaBusy").await?;
            let job = home.house.order(&request(&slow, json!({}))).await?;
            browser.run(follow, &[json!(format!("{job}/events"))]).await?;
            browser.run("document.dispatchEvent(new Event('visibilitychange'))", &[]).await?;
            let mut chance = StdRng::seed_from_u64(6);
            for cut in 1..=CUTS {
                // somewhere in what comes: an event takes its time on this wire
                wire.crawl(chance.random_range(6_000..60_000));
                let more = heard(browser).await?.len() + chance.random_range(1..=2);
                browser
                    .until("something is heard", &format!("heard.length >= {more} || source.readyState === 2"))
                    .await?;
                ensure!(browser.run("return source.readyState", &[]).await? != 2, "it was over after {cut} cuts");
                wire.cut();
                browser.until("that is noticed", "source.readyState !== 1").await?;
                wire.pass();
                browser.until("it comes back", "source.readyState === 1").await?;
            }
            browser.find(COMPLETED).await?;
            browser.until("it comes back no more", "source.readyState === 2").await?;
            check(&heard(browser).await?)?;
            let percents: Vec<f64> = serde_json::from_value(browser.run("return percents", &[]).await?)?;
            assert!(percents.is_sorted(), "{percents:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_page_whose_api_stops_goes_on_with_the_next_without_being_loaded_again() -> Result<()> {
    let home = Home::open(&[]).await?;
    let (wire, next) = (Proxy::to(home.house.api.address()).await, home.house.another_api(&[]).await?);
    let url = format!("http://{}", wire.address());
    let slow = home.house.origin.spoilt(Fault::Throttle(60_000), "/progressive.mp4");
    let visit = Visit { brought_about: &["net::ERR_", "status of 503"], ..Visit::to(&url) };
    visit
        .goes(async |browser| {
            browser.go(&url).await?;
            browser.run("window.isTheSame = true", &[]).await?;
            paste(browser, "#urls", &slow).await?;
            browser.press("button", "Download").await?;
            let percent = "Number(document.querySelector('#jobs [role=progressbar]').getAttribute('aria-valuenow'))";
            browser.until("it gets on", &format!("{percent} > 0")).await?;
            wire.lead_to(next.address());
            home.house.api.signal(Signal::TERM)?;
            browser.find(COMPLETED).await?;
            assert_eq!(browser.run("return isTheSame", &[]).await?, true);
            Ok(())
        })
        .await
}
