//! Pictures of metadata when there is too much of them; the test plays the worker that makes them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use haul_api::shares::PICTURES;
use haul_shared::cookies::Cookies;
use haul_shared::ids::WorkerId;
use haul_shared::job::JobSpec;
use haul_shared::metadata::{Finding, Look, Metadata, MetadataCache};
use haul_shared::source::SourceUrl;
use haul_shared::store::{Kind, Leased};
use haul_tests::keys::{Keys, key};
use haul_tests::processes::PATIENCE;
use haul_tests::site::send;
use reqwest::Method;
use tokio::task::JoinSet;
use tokio::time::timeout;

fn media(n: usize) -> String {
    format!("http://127.0.0.1/{n}.mp4")
}

fn thumbnail(n: usize) -> String {
    format!("/api/v1/metadata/thumbnail?url={}", media(n))
}

/// Fault: of 256 places one client could have all, and whoever was turned away for want of one had paid for a look.
#[tokio::test]
async fn one_client_who_asks_for_many_pictures_keeps_nobody_else_from_having_one() -> Result<()> {
    let keys = Keys::of(&[("many", "max_running = 100\nrate_metadata = \"1/h\""), ("other", "")])?;
    let site = keys.site(&[("HAUL_RATE_READS", "off")]).await?;
    let cache = MetadataCache::new(site.redis.server(2)?, Duration::from_secs(3600));
    for n in 0..=PICTURES {
        let look = Look { url: SourceUrl::read(&media(n))?, cookies: Cookies::None, first: 1 };
        let thumbnail_url = Some(format!("http://127.0.0.1/{n}.jpg"));
        cache.put(&look, &Finding::Found(Box::new(Metadata { thumbnail_url, ..Metadata::default() }))).await?;
    }
    let mut claims = site.jobs.claims(&WorkerId::on_host("site"), Kind::Metadata, &["default".parse()?]);
    let mut picture = async || {
        loop {
            let Some(Leased { spec: Some(JobSpec::Picture(order)), lease, .. }) = claims.take(1).await?.pop() else {
                continue;
            };
            return anyhow::Ok((order, lease));
        }
    };

    let mut asking = JoinSet::new();
    for n in 0..PICTURES {
        asking.spawn(send(site.request(Method::GET, &thumbnail(n)).bearer_auth(key("many"))));
    }
    let mut begun = BTreeSet::new();
    while begun.len() < PICTURES {
        begun.insert(timeout(PATIENCE, picture()).await??.0.medium.expose().to_owned());
    }
    for _ in 0..2 {
        // nothing is known of it: were it charged, the second would be refused for its rate
        let refused = site.ask("many", Method::GET, &thumbnail(PICTURES + 1)).await?;
        assert_eq!(refused.told(), "409 not_ready");
        assert!(refused.header("retry-after").parse::<u64>()? >= 1);
    }

    let made = async {
        let (order, lease) = timeout(PATIENCE, picture()).await??;
        cache.put_picture(&Look { url: order.medium, cookies: order.cookies, first: 1 }, Ok(b"jpeg")).await?;
        site.jobs.found(&lease).await?;
        anyhow::Ok(())
    };
    let wanted = thumbnail(PICTURES);
    let (shown, made) = tokio::join!(site.ask("other", Method::GET, &wanted), made);
    made?;
    let shown = shown?;
    assert_eq!((shown.told(), &*shown.body), ("200".to_owned(), &b"jpeg"[..]));
    Ok(())
}
