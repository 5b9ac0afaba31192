//! Where a webhook may lead: nowhere that a download may not, by whatever name, and whenever the name is asked for.

use std::net::{IpAddr, Ipv6Addr};

use haul_tests::world::{self, METADATA, PUBLIC, PUBLIC_V6, World};
use tokio::net::TcpListener;

use super::*;

/// A port that the policy allows and on which the world's site is not.
const PORT: u16 = 8443;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn an_address_that_may_not_be_reached_is_told_nothing_whatever_it_is_called() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[("HAUL_WEBHOOK_SECRETS", SECRET)]).await?;
        // it answers at every address there is, and nobody may find it at most of them
        let receiver = Receiver::over(TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).await?)?;
        let hook = |host: &str| {
            let url = format!("http://{host}:{PORT}/hook?of=mine");
            request(&world.url("/progressive.mp4"), json!({ "webhook": { "url": url } }))
        };
        for host in [METADATA, "localhost", "[fd00:ec2::254]", "0x7f.1", "printer.local"] {
            let answer = world.house.ask(Method::POST, DOWNLOADS, &hook(host)).await?;
            assert_eq!(answer.told(), "422 egress_denied", "{host}");
            assert_eq!(answer.json()["errors"][0]["pointer"], "/webhook/url");
        }

        world.names.set("public.example.com", &[PUBLIC]);
        world.names.set("inner.example.com", &[address(METADATA)]);
        world.names.set("mixed.example.com", &[PUBLIC, address("10.1.1.1")]);
        world.names.set("mapped.example.com", &[PUBLIC_V6, address("64:ff9b::a9fe:a9fe")]);
        // public when it is asked for first, and private from then on
        world.names.say("turns.example.com", |before| vec![if before == 0 { PUBLIC } else { address(METADATA) }]);
        let mut jobs = Vec::new();
        for (name, words) in [
            ("inner", &["egress_denied", "egress_denied"][..]),
            ("mixed", &["egress_denied", "egress_denied"]),
            ("mapped", &["egress_denied", "egress_denied"]),
            ("nobody", &["unresolved", "unresolved"]),
        ] {
            jobs.push((world.house.order(&hook(&format!("{name}.example.com"))).await?, words));
        }
        let public = world.house.order(&hook("public.example.com")).await?;
        let _worker = world.house.worker(&[]).await?;
        assert_eq!(said(&receiver.has(1).await?[0])?["data"]["id"], public.rsplit('/').next().context("an id")?);
        // each attempt asks for the name anew, once, and dials what was judged
        receiver.will([Reply::Status(500)]);
        jobs.push((world.house.order(&hook("turns.example.com")).await?, &["status", "egress_denied"]));
        for (job, words) in jobs {
            let shown = async || Ok::<_, anyhow::Error>(world.house.get(&format!("{job}/webhook")).await?.json());
            until("it was tried twice", async || shown().await.is_ok_and(|shown| errors(&shown).len() >= 2)).await?;
            let shown = shown().await?;
            assert!(errors(&shown).starts_with(words) && shown["state"] == "pending", "{words:?}: {shown}");
        }
        assert_eq!(receiver.received().len(), 2);
        world.canary.is_silent()
    })
}
