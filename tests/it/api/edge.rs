//! What strangers try at the door: other addresses, other ids, other hosts.

use std::collections::BTreeSet;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use haul_shared::ids::Ticket;
use haul_tests::site::{Answer, Site, send};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};

const DOWNLOADS: &str = "/api/v1/downloads";

/// How many of these requests are let in.
async fn let_in(site: &Site, headers: impl Iterator<Item = Vec<(&str, Vec<u8>)>>) -> Result<usize> {
    let mut count = 0;
    for headers in headers {
        let request = site.request(Method::GET, &format!("{DOWNLOADS}/x"));
        let told =
            send(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))).await?;
        assert!(matches!(told.status.as_u16(), 404 | 429), "{}", told.told());
        count += usize::from(told.status == 404);
    }
    Ok(count)
}

/// The left-most address is the client's own word, and whoever believes it gives each request a limit of its own.
#[tokio::test]
async fn whatever_address_a_client_claims_it_has_one_limit() -> Result<()> {
    let rate = ("HAUL_RATE_READS", "10/h");
    let forwarded = |text: String| vec![("x-forwarded-for", text.into_bytes())];

    let direct = Site::with(&[rate]).await?;
    let claims = (0..1000).map(|n: u32| {
        let address = std::net::Ipv4Addr::from(0x0800_0000 + n);
        vec![
            ("x-forwarded-for", address.to_string().into_bytes()),
            ("forwarded", format!("for={address}").into_bytes()),
        ]
    });
    assert_eq!(let_in(&direct, claims).await?, 10, "nobody vouches for it");

    let behind = Site::with(&[rate, ("HAUL_TRUSTED_PROXIES", "127.0.0.1/32")]).await?;
    let claims =
        (0..1000).map(|n: u32| forwarded(format!("{}, 203.0.113.9", std::net::Ipv4Addr::from(0x0800_0000 + n))));
    assert_eq!(let_in(&behind, claims).await?, 10, "behind a proxy the right-most counts");
    let of_one_customer = (0..1000).map(|n| forwarded(format!("2001:db8:1:2:{:x}::{n:x}", n % 7)));
    assert_eq!(let_in(&behind, of_one_customer).await?, 10, "a /64 is one client");
    let mapped =
        (0..20).map(|n| forwarded(if n % 2 == 0 { "::ffff:203.0.113.77".into() } else { "203.0.113.77".into() }));
    assert_eq!(let_in(&behind, mapped).await?, 10, "an address has two spellings and one limit");

    // what can't be read is no address: it is the proxy that asks then, and that has a limit too
    let unreadable: [&[u8]; 8] = [
        b"",
        b"\xff\xfe",
        b"unknown",
        b"1.2.3",
        b"[::1",
        b"999.1.1.1",
        b",,,,",
        "1.2.3.4 and more ".repeat(400).leak().as_bytes(),
    ];
    let claims = (0..40).map(|n: usize| vec![("x-forwarded-for", unreadable[n % unreadable.len()].to_vec())]);
    assert_eq!(let_in(&behind, claims).await?, 10);
    let two_words = (0..40).map(|n| {
        let other = format!("for=8.8.{n}.1").into_bytes();
        vec![("x-forwarded-for", format!("8.8.{n}.2").into_bytes()), ("forwarded", other)]
    });
    assert_eq!(let_in(&behind, two_words).await?, 0, "of two that disagree none is believed");
    Ok(())
}

/// Everything of an answer that does not differ from request to request by itself.
fn seen(answer: &Answer) -> String {
    let mut headers: BTreeSet<String> = answer.headers.keys().map(ToString::to_string).collect();
    headers.remove("date");
    let mut problem = answer.json();
    if let Some(problem) = problem.as_object_mut() {
        problem.remove("request_id");
    }
    let length = answer.header("content-length");
    format!("{} {headers:?} {length} {problem}", answer.status)
}

#[tokio::test]
async fn ids_that_are_none_unknown_or_somebody_elses_are_answered_alike_by_every_route() -> Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    for name in ["a", "b"] {
        let sha256: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(file, "[[keys]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nadmin = true")?;
    }
    let site = Site::with(&[("HAUL_API_KEYS_FILE", &file.path().display().to_string())]).await?;
    let ask = async |key: &str, method: Method, path: &str| {
        let is_patch = method == Method::PATCH;
        let request = site.request(method, path).bearer_auth(key);
        send(if is_patch { request.json(&json!({ "rating": 1 })) } else { request }).await
    };
    let order = async |url: &str| {
        let request = site.request(Method::POST, DOWNLOADS).bearer_auth("a").json(&json!({ "url": url }));
        anyhow::Ok(send(request).await?.json()["id"].as_str().context("an id")?.to_owned())
    };
    let completed = order("http://127.0.0.1/1.mp4").await?;
    site.complete(b"film").await?;
    let queued = order("http://127.0.0.1/2.mp4").await?;

    let unknown = Ticket::new().to_string();
    let simple = completed.replace('-', "");
    let mut ids = vec![
        unknown.as_str(),
        &completed,
        &queued,
        &simple,
        &completed[..35],
        "7",
        "00000000-0000-0000-0000-000000000000",
    ];
    ids.extend(["%00", "..%2f..", "'%20or%201=1--", "5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c1%31", "{id}", "%F0%9F%98%80"]);
    for (method, rest) in [
        (Method::GET, ""),
        (Method::GET, "?wait=1"),
        (Method::DELETE, ""),
        (Method::PATCH, ""),
        (Method::POST, "/cancel"),
        (Method::POST, "/retry"),
        (Method::GET, "/link"),
        (Method::GET, "/link?redirect=true"),
        (Method::GET, "/content"),
        (Method::HEAD, "/content"),
        (Method::GET, "/thumbnail"),
        (Method::GET, "/events"),
        (Method::GET, "/subtitles/en"),
        (Method::GET, "/events"),
    ] {
        let expected = seen(&ask("b", method.clone(), &format!("{DOWNLOADS}/{unknown}{rest}")).await?);
        assert!(expected.starts_with("404"), "{expected}");
        for id in &ids {
            let told = ask("b", method.clone(), &format!("{DOWNLOADS}/{id}{rest}")).await?;
            assert_eq!(seen(&told), expected, "{method} {id}{rest}");
        }
    }
    for id in [&completed, &queued] {
        let job = ask("a", Method::GET, &format!("{DOWNLOADS}/{id}")).await?;
        assert_eq!(job.status, 200, "what others tried has changed nothing");
    }

    // a place in a list names an id: somebody else's leads to nothing that an unknown one does not
    let list = ask("a", Method::GET, &format!("{DOWNLOADS}?limit=1")).await?.json();
    let cursor = list["next_cursor"].as_str().context("a second page")?;
    let foreign = ask("b", Method::GET, &format!("{DOWNLOADS}?cursor={cursor}")).await?;
    let nothing = json!({ "downloads": [], "next_cursor": null, "sorted_among": null });
    assert_eq!((foreign.told(), foreign.json()), ("200".to_owned(), nothing));
    Ok(())
}

#[tokio::test]
async fn thousands_of_hosts_make_no_new_series_and_no_name_of_theirs_is_told() -> Result<()> {
    let site = Site::with(&[("HAUL_QUEUE_LIMIT", "off"), ("HAUL_CLIENT_QUEUE_LIMIT", "off")]).await?;
    let series = async || {
        let text = String::from_utf8(site.get("/metrics").await?.body)?;
        let names = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        anyhow::Ok(names.map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>())
    };
    let batch = |from: usize| {
        let item = |n: usize| json!({ "url": format!("https://host-{n}.example/{n}"), "tags": [format!("tag-{n}")] });
        json!({ "downloads": (from..from + 10).map(item).collect::<Vec<_>>() })
    };
    let path = format!("{DOWNLOADS}/batch");
    assert_eq!(site.post(&path, &batch(0)).await?.status, 207);
    site.get("/nowhere").await?;
    series().await?; // is a request itself
    let before = series().await?;
    for from in (10..2000).step_by(10) {
        assert_eq!(site.post(&path, &batch(from)).await?.status, 207);
        site.get(&format!("/nowhere-{from}")).await?;
    }
    let after = series().await?;
    // what Redis is asked in the background begins when it does
    let in_front = |names: &BTreeSet<String>| {
        names.iter().filter(|name| !name.starts_with("haul_redis_call_duration_seconds")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(in_front(&before), in_front(&after));
    assert!(!after.iter().any(|name| name.contains("host-") || name.contains("nowhere")), "{after:?}");
    Ok(())
}
