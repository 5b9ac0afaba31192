//! A file fetched by ranges in parallel: the origin's bytes in order, or the reason why not.

mod limits;
mod tls;

use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use haul_tests::ranges::{Answer, Asked, RangeOrigin, TAG};
use haul_worker::guard::Guards;
use haul_worker::origin::{Cookies, Patience, Unfit};
use haul_worker::relay::{Limits, NotHere, Relay, Relayed, Relays, Source, Trouble};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const MIB: usize = 1024 * 1024;

fn content(size: usize) -> Bytes {
    // no period that a piece could be a multiple of
    (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect::<Vec<_>>().into()
}

fn relay() -> Relay {
    relay_with_retries(LIMITS.retries)
}

fn relay_with_retries(retries: u32) -> Relay {
    relay_with(Limits { retries, ..LIMITS })
}

fn relay_with(limits: Limits) -> Relay {
    Relays::new(limits, Patience::default()).for_job(&guards().attempt(&CancellationToken::new()))
}

const LIMITS: Limits = Limits { connections: 16, retries: 10, range_bytes: None, bytes_per_second: None };

const REACHED: [&str; 2] = ["127.0.0.1/32", "127.0.0.3/32"];

fn guards() -> Guards {
    haul_tests::guards(&REACHED)
}

fn source(url: &str) -> Source {
    Source { url: url.parse().unwrap(), headers: HeaderMap::new(), cookies: Cookies::default() }
}

/// What came, and how it ended.
async fn rest(relayed: &mut Relayed) -> (Vec<u8>, Result<(), Trouble>) {
    let mut bytes = Vec::new();
    loop {
        match timeout(Duration::from_secs(60), relayed.next()).await.expect("it ends") {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => return (bytes, Ok(())),
            Err(trouble) => return (bytes, Err(trouble)),
        }
    }
}

async fn fetch(origin: &RangeOrigin) -> (Vec<u8>, Result<(), Trouble>) {
    match relay().open(&source(&origin.url("/video.mp4"))).await {
        Ok(mut relayed) => rest(&mut relayed).await,
        Err(trouble) => (Vec::new(), Err(trouble)),
    }
}

#[track_caller]
fn assert_same((bytes, end): (Vec<u8>, Result<(), Trouble>), content: &Bytes) {
    assert_eq!(end, Ok(()));
    assert_eq!(bytes.len(), content.len());
    assert_eq!(Sha256::digest(bytes), Sha256::digest(content));
}

#[tokio::test]
async fn a_file_is_fetched_by_ranges_and_each_byte_once() {
    for size in [1, MIB, MIB + 1, 9 * MIB + 7] {
        let content = content(size);
        let served = content.clone();
        let origin = RangeOrigin::start(move |asked| asked.served(&served, TAG)).await;
        assert_same(fetch(&origin).await, &content);
        let asked = origin.asked();
        assert_eq!(asked.len(), size.div_ceil(MIB));
        assert!(asked[1..].iter().all(|asked| asked.if_range.as_deref() == Some(TAG)), "{asked:?}");
        let mut firsts: Vec<_> = asked.iter().map(|asked| asked.range.unwrap().0).collect();
        firsts.sort_unstable();
        assert_eq!(firsts, (0..size).step_by(MIB).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_file_without_a_tag_is_pinned_by_when_it_was_changed() {
    const MODIFIED: &str = "Fri, 20 Nov 2026 06:00:00 GMT";
    let content = content(3 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| {
        let dated = asked.served(&served, asked.if_range.as_deref().unwrap_or_default()).without("ETag");
        dated.with("Last-Modified", MODIFIED).with("Date", "Sat, 21 Nov 2026 06:00:00 GMT")
    });
    let origin = origin.await;
    assert_same(fetch(&origin).await, &content);
    assert!(origin.asked()[1..].iter().all(|asked| asked.if_range.as_deref() == Some(MODIFIED)));
}

#[tokio::test]
async fn a_cut_connection_goes_on_at_the_byte_behind_the_cut() {
    const CUT: usize = 300_000;
    let content = content(4 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| match asked.served(&served, TAG) {
        whole if whole.body.len() > CUT => whole.cut(CUT),
        whole => whole,
    });
    let origin = origin.await;
    assert_same(fetch(&origin).await, &content);
    let mut firsts: Vec<_> = origin.asked().iter().map(|asked| asked.range.unwrap().0).collect();
    firsts.sort_unstable();
    let expected: Vec<_> = (0..4).flat_map(|piece| (0..4).map(move |cut| piece * MIB + cut * CUT)).collect();
    assert_eq!(firsts, expected);
}

#[tokio::test]
async fn an_origin_that_sends_less_than_it_announces_ends_the_relay() {
    let served = content(3 * MIB);
    let origin = RangeOrigin::start(move |asked| {
        let answer = asked.served(&served, TAG);
        // the last half of the file does not exist
        let sent = (3 * MIB / 2).saturating_sub(asked.range.unwrap().0).min(answer.body.len());
        answer.cut(sent)
    });
    let origin = origin.await;
    let mut relayed = relay_with_retries(2).open(&source(&origin.url("/"))).await.unwrap();
    let (bytes, end) = rest(&mut relayed).await;
    assert_eq!((bytes.len(), end), (MIB, Err(Trouble::Broken)));
}

#[tokio::test]
async fn another_version_is_never_mixed_with_the_first() {
    let (old, new) = (content(8 * MIB), content(8 * MIB + 1));
    // whether or not the origin heeds `If-Range`
    for heeds in [true, false] {
        let (old, new) = (old.clone(), new.slice(1..));
        let before = old.clone();
        let origin = RangeOrigin::start(move |asked| {
            let mut asked = asked.clone();
            if asked.number < 3 {
                return asked.served(&old, TAG);
            }
            asked.if_range = asked.if_range.filter(|_| heeds);
            asked.served(&new, "\"second\"")
        });
        let (bytes, end) = fetch(&origin.await).await;
        assert_eq!(end, Err(Trouble::Changed));
        assert!(before.starts_with(&bytes));
    }
}

#[tokio::test]
async fn what_is_not_safe_to_relay_is_told_with_its_reason() {
    type Spoil = fn(Answer) -> Answer;
    let cases: [(NotHere, Spoil); 7] = [
        (NotHere::NoRanges, |answer| Answer { status: 200, ..answer }.without("Content-Range")),
        (Unfit::WrongRange.into(), |answer| answer.with("Content-Range", "bytes 5-104/100000")),
        (Unfit::WrongRange.into(), |answer| answer.without("Content-Range")),
        (Unfit::NoLength.into(), |answer| answer.with("Content-Range", "bytes 0-1048575/*")),
        (NotHere::NoValidator, |answer| answer.with("ETag", "W/\"weak\"")),
        (Unfit::Encoded.into(), |answer| answer.with("Content-Encoding", "gzip")),
        (Unfit::Status.into(), |_| Answer::status(404)),
    ];
    for (reason, spoil) in cases {
        let served = content(3 * MIB);
        let origin = RangeOrigin::start(move |asked| spoil(asked.served(&served, TAG))).await;
        assert_eq!(fetch(&origin).await, (vec![], Err(Trouble::NotHere(reason))));
        assert_eq!(origin.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_not_taken() {
    let content = content(4 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| {
        let shifted =
            asked.range.map(|(first, last)| if asked.number == 0 { (first, last) } else { (first + 1, last) });
        Asked { range: shifted, ..asked.clone() }.served(&served, TAG)
    });
    let (bytes, end) = fetch(&origin.await).await;
    assert_eq!(end, Err(Unfit::WrongRange.into()));
    assert!(content.starts_with(&bytes));
}

#[tokio::test]
async fn a_shorter_range_than_was_asked_for_is_taken_for_what_it_is() {
    let content = content(3 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| {
        let shorter = asked.range.map(|(first, last)| (first, last.min(first + 400_000)));
        Asked { range: shorter, ..asked.clone() }.served(&served, TAG)
    });
    assert_same(fetch(&origin.await).await, &content);
}

#[tokio::test]
async fn an_origin_that_closes_after_each_answer_costs_no_retry() {
    let content = content(12 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| {
        let answer = asked.served(&served, TAG);
        let whole = answer.body.len();
        answer.cut(whole)
    });
    let origin = origin.await;
    let mut relayed = relay_with_retries(0).open(&source(&origin.url("/"))).await.unwrap();
    assert_same(rest(&mut relayed).await, &content);
}

#[tokio::test]
async fn an_origin_that_takes_no_fourth_connection_is_fetched_by_fewer() {
    let refusals = [
        |_: Answer| Answer::status(429).with("Retry-After", "0"),
        // or says no, as it would to an address that is used up
        |_: Answer| Answer::status(403),
        // or hangs up without a word
        |answer: Answer| answer.cut(0),
    ];
    for refuse in refusals {
        let content = content(16 * MIB);
        let served = content.clone();
        let origin = RangeOrigin::start(move |asked| {
            let answer = asked.served(&served, TAG);
            if asked.open > 3 { refuse(answer) } else { answer.rate(4 * MIB) }
        });
        let origin = origin.await;
        assert_same(fetch(&origin).await, &content);
        assert!(origin.asked().iter().any(|asked| asked.open > 3), "it never tried more");
        assert!(origin.asked().iter().all(|asked| asked.open <= 5), "it went on growing");
    }
}

#[tokio::test]
async fn an_origin_that_names_a_time_is_left_alone_until_then() {
    let content = content(6 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| match asked.number {
        2 => Answer::status(503).with("Retry-After", "2"),
        _ => asked.served(&served, TAG),
    });
    let origin = origin.await;
    assert_same(fetch(&origin).await, &content);
    let asked = origin.asked();
    let refused = &asked[2];
    let again = asked[3..].iter().find(|asked| asked.range == refused.range).expect("it was asked again");
    assert!(again.when.duration_since(refused.when) >= Duration::from_secs(2));
}

#[tokio::test]
async fn an_origin_that_wants_more_than_ten_seconds_is_not_waited_for() {
    let served = content(3 * MIB);
    for refused in [0, 1] {
        let served = served.clone();
        let origin = RangeOrigin::start(move |asked| match asked.number {
            number if number == refused => Answer::status(429).with("Retry-After", "11"),
            _ => asked.served(&served, TAG),
        });
        let busy = Trouble::Busy { status: 429, retry_after: Some(Duration::from_secs(11)) };
        assert_eq!(fetch(&origin.await).await.1, Err(busy));
    }
}

#[tokio::test]
async fn a_redirect_is_followed_without_the_cookies_of_another_host_and_not_where_nothing_may_be_dialled() {
    let content = content(2 * MIB);
    let served = content.clone();
    let target = RangeOrigin::start_on("127.0.0.3:0", move |asked| asked.served(&served, TAG)).await;
    let hidden = RangeOrigin::start_on("127.0.0.2:0", |_| Answer::status(404)).await;
    let (to, into) = (target.url("/there"), hidden.url("/secret"));
    let origin = RangeOrigin::start(move |asked| {
        let place = if asked.path == "/public" { &to } else { &into };
        Answer::status(302).with("Location", place)
    });
    let origin = origin.await;
    let mut source = source(&origin.url("/public"));
    source.cookies = Cookies::read("session=1; Domain=127.0.0.1; Path=/").expect("one");
    let mut relayed = relay().open(&source).await.unwrap();
    assert_same(rest(&mut relayed).await, &content);
    assert_eq!(origin.asked()[0].cookie.as_deref(), Some("session=1"));
    assert!(target.asked().iter().all(|asked| asked.cookie.is_none()));

    source.url.set_path("/private");
    let refused = relay().open(&source).await.unwrap_err();
    assert!(matches!(refused, Trouble::Denied(_)), "{refused:?}");
    assert!(hidden.asked().is_empty());
}

#[tokio::test]
async fn an_expired_address_is_told_and_a_fresh_one_goes_on_at_the_byte() {
    for status in [403, 410] {
        let content = content(6 * MIB);
        let served = content.clone();
        let origin = RangeOrigin::start(move |asked| match asked.path.as_str() {
            "/old" if asked.number >= 3 => Answer::status(status),
            _ => asked.served(&served, TAG),
        });
        let origin = origin.await;
        let mut relayed = relay().open(&source(&origin.url("/old"))).await.unwrap();
        let (mut bytes, end) = rest(&mut relayed).await;
        assert_eq!(end, Err(Trouble::Expired));
        assert_eq!(relayed.at(), bytes.len() as u64);
        let fresh = source(&origin.url("/fresh"));
        let mut relayed = relay().resume(&fresh, relayed.version(), relayed.at()).await.unwrap();
        let (more, end) = rest(&mut relayed).await;
        bytes.extend(more);
        assert_same((bytes, end), &content);
    }
}

#[tokio::test]
async fn a_fresh_address_with_another_version_is_not_gone_on_with() {
    let origin = RangeOrigin::start(|asked| {
        let tag = if asked.path == "/old" { TAG } else { "\"second\"" };
        asked.served(&content(2 * MIB), tag)
    });
    let origin = origin.await;
    let relayed = relay().open(&source(&origin.url("/old"))).await.unwrap();
    let resumed = relay().resume(&source(&origin.url("/fresh")), relayed.version(), MIB as u64).await;
    assert_eq!(resumed.unwrap_err(), Trouble::Changed);
}

#[tokio::test]
async fn no_more_is_fetched_than_may_be_held() {
    const OWN: usize = 30 * MIB;
    const SHARED: usize = 28 * MIB;
    // large enough for longer pieces at its beginning
    let content = content(160 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| asked.served(&served, TAG)).await;
    let relay = relay();
    // the first one has taken what all share, the second has its own
    let mut first = relay.open(&source(&origin.url("/first"))).await.unwrap();
    let first_held = hold(&mut first, OWN + SHARED).await;
    let mut second = relay.open(&source(&origin.url("/second"))).await.unwrap();
    let second_held = hold(&mut second, OWN).await;
    let longest = origin.asked().iter().filter_map(|asked| asked.range).map(|(first, last)| last - first + 1).max();
    assert_eq!(longest, Some(2 * MIB));
    for (mut relayed, held) in [(first, first_held), (second, second_held)] {
        let mut bytes: Vec<_> = held.into_iter().flatten().collect();
        let (more, end) = rest(&mut relayed).await;
        bytes.extend(more);
        assert_same((bytes, end), &content);
    }
}

/// Takes all that it gives out while nothing is dropped: so many bytes.
async fn hold(relayed: &mut Relayed, most: usize) -> Vec<Bytes> {
    let mut held: Vec<Bytes> = Vec::new();
    while held.iter().map(Bytes::len).sum::<usize>() < most {
        held.push(timeout(Duration::from_secs(60), relayed.next()).await.expect("there is room").unwrap().unwrap());
    }
    assert_eq!(relayed.arrived_bytes(), most as u64);
    assert!(timeout(Duration::from_millis(300), relayed.next()).await.is_err(), "there is no room");
    assert_eq!(relayed.arrived_bytes(), most as u64);
    held
}

/// Fault: the last piece of a file came over one slow connection while all others had nothing to do.
#[tokio::test]
async fn the_last_piece_of_a_slow_connection_is_shared_among_those_that_are_done() {
    let content = content(3 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| {
        let answer = asked.served(&served, TAG);
        let is_whole = asked.range.is_some_and(|(first, last)| last - first + 1 == MIB);
        // a piece that was cut in two is served at once
        if is_whole && asked.range.is_some_and(|(first, _)| first == 2 * MIB) { answer.rate(100_000) } else { answer }
    });
    let origin = origin.await;
    assert_same(fetch(&origin).await, &content);
    let ranges: Vec<_> = origin.asked().iter().filter_map(|asked| asked.range).collect();
    let in_the_last: Vec<_> = ranges.iter().filter(|(first, _)| *first > 2 * MIB).collect();
    assert!(in_the_last.len() >= 2, "{ranges:?}");
}
