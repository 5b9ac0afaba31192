//! Originals that come as quickly as this machine can.

use haul_tests::ranges::{RangeOrigin, TAG};
use haul_tests::s3::{Call, Fault as Refusal};

use super::relay::large;
use super::*;

/// Whether one call is tried is a matter of how quick this machine is: it ends in the same.
#[tokio::test]
async fn what_comes_quickly_is_stored_in_one_call_or_in_parts_and_only_when_it_is_proven() -> Result<()> {
    let house = House::open(Store::S3, &[("HAUL_MAX_ATTEMPTS", "2")]).await?;
    let _worker = house.worker(&[]).await?;
    let (content, twice) = (large(50)?, large(100)?);
    let halved = twice.slice(..twice.len() / 2);
    assert!(content.len() > 17 << 20 && halved.len() > 17 << 20, "{} and {} bytes", content.len(), halved.len());
    let (served, spoilt) = (content.clone(), halved);
    let origin = RangeOrigin::start(move |asked| {
        let content = if asked.path == "/halved.mp4" { &spoilt } else { &served };
        asked.served(content, TAG).with("Content-Type", "video/mp4")
    });
    let origin = origin.await;
    let s3 = house.s3.as_ref().context("a bucket")?;
    let order = async |name: &str| {
        let order = request(&origin.url(&format!("/{name}.mp4")), json!({ "format": "original" }));
        house.order(&order).await
    };
    assert_eq!(house.outcome(&order("halved").await?).await?, "corrupt_media");
    assert_eq!(house.stored(), 0);
    for refused in [false, true] {
        if refused {
            // the next attempt sends it in parts, as a slow machine does the first
            s3.fail(Call::Put, usize::MAX, Refusal::Refused(503));
        }
        let job = order(&format!("whole-{refused}")).await?;
        if refused {
            house.until(&job, |view| !view["next_attempt_at"].is_null() || view["status"] == "completed").await?;
            s3.recover();
        }
        let view = house.end(&job).await?;
        assert_eq!((&view["status"], &view["result"]["delivery"]), (&json!("completed"), &json!("relay")), "{view}");
        assert!(house.fetch(&job).await?.answer.body == content);
    }
    assert!(s3.counts().done(Call::CompleteMultipart) > 0);
    processes::until("nothing is left over", async || s3.orphans().is_empty() && house.scratch_files() == 0).await?;
    assert_eq!(house.stored(), 2);
    Ok(())
}
