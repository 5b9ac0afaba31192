//! S04, S05, S12: what a name leads to, also when it changes its mind.

use haul_tests::world::{METADATA, PUBLIC, PUBLIC_V6};

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn one_private_address_among_public_ones_is_one_too_many() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _worker = world.house.worker(&[]).await?;
        let mixed = [
            ("first.example.com", [address("127.0.0.1"), PUBLIC]),
            ("last.example.com", [PUBLIC, address("10.1.1.1")]),
            ("other-family.example.com", [PUBLIC, address("::1")]),
            ("mapped.example.com", [PUBLIC_V6, address("64:ff9b::a9fe:a9fe")]),
        ];
        let mut orders = Vec::new();
        for (name, addresses) in mixed {
            world.names.set(name, &addresses);
            orders.push((request(&format!("http://{name}/progressive.mp4"), json!({})), &["egress_denied"][..]));
            // what yt-dlp fetches itself is judged no otherwise
            orders.push((request(&format!("http://{name}/page.html"), json!({})), &["egress_denied"]));
        }
        // a name that nobody answers for is no reason to wait for ever
        world.names.keep_silent("silent.example.com");
        orders.push((request("http://silent.example.com/progressive.mp4", json!({})), &["network"]));
        let wrong = ended_so(&world, orders).await?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(world.canary.connections_to(PUBLIC)?, 0);
        world.canary.is_silent()
    })
}

#[test]
fn a_name_that_changes_its_mind_gains_nothing() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _worker = world.house.worker(&[("HAUL_SLOTS", "4")]).await?;
        let inside = [address(METADATA), address("127.0.0.1"), address("::1"), address("10.0.0.1")];
        let mut orders = Vec::new();
        for (path, way) in [
            ("/progressive.mp4", "a file"),
            ("/hls-ts/master.m3u8", "segments"),
            ("/dash/manifest.mpd", "segments of two streams"),
            ("/page.html", "a page"),
        ] {
            for (at, private) in inside.into_iter().enumerate() {
                // public when it is looked up first, and private from then on; then the other way round, now and then
                let after = at + 1;
                let name = format!("mind-{at}-{}.example.com", way.replace(' ', "-"));
                world.names.say(&name, move |before| vec![if before < after { PUBLIC } else { private }]);
                orders.push((
                    request(&format!("http://{name}{path}"), json!({})),
                    &["egress_denied", "completed", "unsupported_url"][..],
                ));
                let name = format!("turns-{at}-{}.example.com", way.replace(' ', "-"));
                world.names.say(&name, move |before| vec![if before % 2 == 0 { PUBLIC } else { private }]);
                orders.push((
                    request(&format!("http://{name}{path}"), json!({})),
                    &["egress_denied", "completed", "unsupported_url"][..],
                ));
            }
        }
        let wrong = ended_so(&world, orders).await?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        world.canary.is_silent()
    })
}

/// Each look-up is followed by the connection that it was for, so that there is no second one to lie to.
#[test]
fn every_connection_has_one_look_up_of_its_own() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _worker = world.house.worker(&[]).await?;
        for (name, at, path) in [
            ("one.example.com", "93.184.215.21", "/progressive.mp4"),
            ("two.example.com", "93.184.215.22", "/hls-ts/master.m3u8"),
        ] {
            world.names.set(name, &[address(at)]);
            let job = world.house.order(&request(&format!("http://{name}{path}"), json!({}))).await?;
            assert_eq!(world.house.outcome(&job).await?, "completed");
            let (asked, connections) = (world.names.asked(name), world.canary.connections_to(address(at))?);
            assert!(connections > 0, "{name}");
            assert_eq!(asked, connections, "{name}: look-ups and connections");
        }
        world.canary.is_silent()
    })
}
