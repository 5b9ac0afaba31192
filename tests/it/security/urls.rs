//! S01 to S03, S16: what may be asked for at all. The cases are those of the URL standard (Web Platform Tests, which
//! travel inside the `url` crate) and a catalogue of our own, `tests/data/ssrf.json`, each group with where it is from.

use std::path::PathBuf;
use std::process::Command;

use haul_shared::egress::EgressPolicy;
use haul_shared::source::SourceUrl;
use haul_tests::house::DOWNLOADS;
use haul_tests::site::Site;
use haul_tests::world::{METADATA, PUBLIC};
use serde_json::Value;

use super::*;

const CATALOGUE: &str = include_str!("../../data/ssrf.json");

fn public() -> EgressPolicy {
    EgressPolicy { allow: Vec::new(), ports: vec![80, 443, 8080, 8443] }
}

/// Every URL of the catalogue, with what is to come of it.
fn catalogue() -> Vec<(String, String)> {
    let groups: Vec<Value> = serde_json::from_str(CATALOGUE).expect("the catalogue is JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let of_group = |group: &Value| -> Vec<_> {
        let urls = group["urls"].as_array().expect("a list");
        urls.iter().map(|url| (text(url), text(&group["expect"]))).collect()
    };
    groups.iter().flat_map(of_group).collect()
}

/// The cases of the URL standard, in the sources of the `url` crate that this was built with.
fn standard_cases() -> Result<Vec<Value>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--manifest-path", manifest])
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let url = packages.iter().find(|package| package["name"] == "url").context("the url crate")?;
    let manifest = PathBuf::from(url["manifest_path"].as_str().context("a path")?);
    let cases: Value = serde_json::from_slice(&std::fs::read(manifest.with_file_name("tests/urltestdata.json"))?)?;
    Ok(cases.as_array().context("a list")?.iter().filter(|case| case.is_object()).cloned().collect())
}

#[test]
fn whatever_the_url_standard_tests_is_refused_or_read_the_same_twice() -> Result<()> {
    let cases = standard_cases()?;
    let (mut accepted, mut refused) = (0, 0);
    for case in &cases {
        // of an input that stands for half a character there is no text
        let Some(input) = case["input"].as_str() else { continue };
        for text in [input, case["href"].as_str().unwrap_or_default()] {
            let Ok(url) = SourceUrl::parse(text, &public()) else {
                refused += 1;
                continue;
            };
            accepted += 1;
            let again = SourceUrl::parse(url.expose(), &public()).map(|again| again.expose().to_owned());
            assert_eq!(again.as_deref(), Ok(url.expose()), "{text:?}");
            assert!(url.expose().starts_with("http://") || url.expose().starts_with("https://"), "{text:?}");
            assert!(!url.expose().chars().any(char::is_control), "{text:?}");
        }
    }
    assert!(cases.len() > 700 && accepted > 100 && refused > 400, "{} {accepted} {refused}", cases.len());
    Ok(())
}

#[tokio::test]
async fn no_case_of_the_url_standard_is_a_fault_of_the_service() -> Result<()> {
    let site =
        Site::with(&[("HAUL_EGRESS_ALLOW", ""), ("HAUL_QUEUE_LIMIT", "off"), ("HAUL_CLIENT_QUEUE_LIMIT", "off")])
            .await?;
    for case in standard_cases()? {
        let Some(input) = case["input"].as_str() else { continue };
        let answer = site.post(DOWNLOADS, &json!({ "url": input })).await?;
        let told = answer.told();
        let known = ["202", "422 invalid_request", "422 unsupported_url", "422 egress_denied"];
        assert!(known.contains(&told.as_str()), "{input:?}: {told}");
    }
    Ok(())
}

/// Whatever is private in the catalogue by its text is refused at once, by each route that takes a URL; whatever only
/// a resolver can tell is a job that ends so, tried once.
#[test]
fn every_payload_of_the_catalogue_is_refused_with_its_reason_and_nothing_is_sent() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _worker = world.house.worker(&[("HAUL_SLOTS", "4")]).await?;
        for (name, addresses) in [
            ("127.0.0.1.nip.io", "127.0.0.1"),
            ("169-254-169-254.sslip.io", METADATA),
            ("localtest.me", "127.0.0.1 ::1"),
            ("spoofed.burpcollaborator.net", "127.0.0.1"),
            ("www.localhost.example.com", "10.0.0.7"),
            ("ec2.example.com", "fd00:ec2::254"),
            ("mapped.example.com", "::ffff:169.254.169.254"),
            ("nat64.example.com", "64:ff9b::a9fe:a9fe"),
            ("sixtofour.example.com", "2002:a9fe:a9fe::1"),
            ("unspecified.example.com", "0.0.0.0 ::"),
            ("both.example.com", "93.184.215.14 127.0.0.1"),
            ("many.example.com", "93.184.215.14 93.184.215.15 2606:2800:21f:cb07:6820:80da:af6b:8b2c fd00::1"),
            ("azure.example.com", "168.63.129.16"),
            ("alibaba.example.com", "100.100.100.200"),
            ("oracle.example.com", "192.0.0.192"),
            ("unique.example.com", "fd12:3456:789a::1"),
            ("linklocal.example.com", "fe80::1"),
            ("teredo.example.com", "2001:0:808:808::1"),
            ("xn--bcher-kva.example.com", "192.168.1.1"),
            ("upper.example.com", "172.16.3.4"),
        ] {
            let addresses: Vec<IpAddr> = addresses.split(' ').map(|address| address.parse().expect("one")).collect();
            world.names.set(name, &addresses);
        }
        let (mut jobs, mut wrong) = (Vec::new(), Vec::new());
        for (url, expected) in catalogue() {
            if expected == "resolves" {
                jobs.push((world.house.order(&request(&url, json!({}))).await?, url));
                continue;
            }
            for path in [DOWNLOADS, "/api/v1/metadata"] {
                let told = world.house.ask(Method::POST, path, &json!({ "url": url })).await?.told();
                if told != format!("422 {expected}") {
                    wrong.push(format!("{path} {url:?}: {told} instead of {expected}"));
                }
            }
        }
        for (job, url) in jobs {
            let view = world.house.end(&job).await?;
            if view["error"]["code"] != "egress_denied" || view["attempt"] != 1 {
                wrong.push(format!("{url}: {view}"));
            }
            let told = world.house.ask(Method::POST, "/api/v1/metadata", &json!({ "url": url })).await?.told();
            if told != "422 egress_denied" {
                wrong.push(format!("metadata of {url}: {told}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(world.house.stored(), 0);
        world.canary.is_silent()
    })
}

#[test]
fn what_is_fetched_is_the_address_as_we_spell_it() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _worker = world.house.worker(&[]).await?;
        world.names.set("example.com", &[PUBLIC]);
        // another parser reads 127.0.0.1 here
        for (written, path) in [
            ("http://example.com\\@127.0.0.1/progressive.mp4", "/@127.0.0.1/progressive.mp4"),
            ("http:example.com:80\\.127.0.0.1/progressive.mp4", "/.127.0.0.1/progressive.mp4"),
        ] {
            world.house.origin.put(path, std::fs::read(media::file("progressive.mp4"))?);
            let job = world.house.order(&request(written, json!({}))).await?;
            assert_eq!(world.house.outcome(&job).await?, "completed", "{written}");
            assert!(world.house.origin.hits(path) > 0, "{written}");
        }
        world.canary.is_silent()
    })
}
