//! Who follows a real download, and is cut off again and again.

use haul_tests::events::{Event, Following, STATES};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// How often who follows is cut off.
const CUTS: usize = 100;

fn check(events: &[Event]) -> Result<()> {
    let states: Vec<&Event> = events.iter().filter(|event| event.name != "progress").collect();
    let places: Vec<_> = states
        .iter()
        .map(|event| STATES.iter().position(|state| event.told() == format!("{} {state}", event.name)))
        .collect();
    ensure!(places.iter().all(Option::is_some) && places.is_sorted_by(|a, b| a < b), "each once, in order: {places:?}");
    ensure!(states.iter().all(|event| event.id.is_some()), "{states:#?}");
    ensure!(states.last().is_some_and(|event| event.name == "completed"), "{states:#?}");
    ensure!(states.len() >= 5, "{places:?}");
    let percent: Vec<f64> = events.iter().map(Event::percent).collect();
    ensure!(percent.is_sorted(), "{percent:?}");
    Ok(())
}

#[tokio::test]
async fn who_is_cut_off_a_hundred_times_and_goes_on_with_another_api_hears_each_state_once() -> Result<()> {
    let house = House::open(Store::Disk, &[]).await?;
    let other = house.another_api(&[]).await?;
    let url = house.origin.spoilt(Fault::Throttle(7000), "/hls-fmp4/master.m3u8");
    let job = house.order(&request(&url, json!({ "quality": "360p" }))).await?;
    let path = format!("{job}/events");
    let steady = house.request(&other, Method::GET, &path);
    let mut steady = Following::begin(steady, None).await?.context("a stream")?;
    let steady = tokio::spawn(async move { steady.rest().await });

    let mut chance = StdRng::seed_from_u64(20);
    let (mut heard, mut cuts) = (Vec::<Event>::new(), 0);
    let mut worker = None;
    loop {
        let api = if chance.random() { &house.api } else { &other };
        let last = heard.iter().rev().find_map(|event| event.id.clone());
        let Some(mut stream) = Following::begin(house.request(api, Method::GET, &path), last.as_deref()).await? else {
            break;
        };
        if worker.is_none() {
            worker = Some(house.worker(&[("HAUL_CONCURRENT_FRAGMENTS", "2")]).await?);
        }
        // mostly cut off before it hears anything new; in the end it hears all that is left
        let most = if cuts >= CUTS { usize::MAX } else { usize::from(heard.is_empty() || chance.random_ratio(1, 10)) };
        for _ in 0..most {
            let Some(event) = stream.event().await? else { break };
            heard.push(event);
        }
        cuts += 1;
    }
    ensure!(cuts > CUTS, "it was over after {cuts} cuts");
    let steady = steady.await??;
    check(&steady).context("who was never cut off")?;
    check(&heard).with_context(|| format!("who was cut off {cuts} times"))?;
    let states = |events: &[Event]| {
        let states = events.iter().filter(|event| event.name != "progress");
        states.map(|event| (event.id.clone(), event.told())).collect::<Vec<_>>()
    };
    assert_eq!(states(&heard), states(&steady));
    Ok(())
}
