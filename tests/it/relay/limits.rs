//! What a relay may hold, wait for, and ask of a host.

use super::*;

/// Fault: room was counted in pieces, so that of short ones less could be held than is held up to the first part.
#[tokio::test]
async fn of_short_ranges_as_many_bytes_may_be_held_as_of_long_ones() {
    const RANGE: usize = 64 * 1024;
    let content = content(20 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| asked.served(&served, TAG)).await;
    let limits = Limits { range_bytes: Some(RANGE as u64), ..LIMITS };
    let relay = Relay::new(egress(), limits, Patience::default()).unwrap();
    let mut relayed = relay.open(&source(&origin.url("/"))).await.unwrap();
    let mut bytes = Vec::new();
    while bytes.len() < content.len() / RANGE {
        bytes.push(timeout(Duration::from_secs(20), relayed.next()).await.expect("there is room").unwrap().unwrap());
    }
    assert_same((bytes.concat(), relayed.next().await.map(|end| assert_eq!(end, None))), &content);
    assert!(origin.asked().iter().filter_map(|asked| asked.range).all(|(first, last)| last - first < RANGE));
}

/// Fault: one connection that dripped had all others wait for its piece, as long as it pleased.
#[tokio::test]
async fn a_piece_that_everything_waits_for_goes_on_over_another_connection() {
    let content = content(70 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| {
        let answer = asked.served(&served, TAG);
        let is_begun = asked.range.is_some_and(|(first, _)| first == 3 * MIB);
        // what is left of that piece is served at once
        if is_begun { answer.rate(4000) } else { answer }
    });
    let origin = origin.await;
    assert_same(fetch(&origin).await, &content);
}

/// Fault: a relay was begun without a seat, so that all that begin at once were more than a host is to bear.
#[tokio::test]
async fn who_begins_waits_for_a_seat_at_the_host() {
    const SEATS: usize = 32;
    let served = content(MIB);
    // the heads come at once, and the pieces never to their ends
    let origin = RangeOrigin::start(move |asked| asked.served(&served, TAG).rate(1000)).await;
    let relay = Relay::new(egress(), Limits { connections: 1, ..LIMITS }, Patience::default()).unwrap();
    let source = source(&origin.url("/"));
    let mut open = Vec::new();
    for _ in 0..SEATS {
        open.push(relay.open(&source).await.unwrap());
    }
    assert!(timeout(Duration::from_millis(300), relay.open(&source)).await.is_err(), "there is a seat");
    assert_eq!(origin.asked().len(), SEATS);
    open.pop();
    timeout(Duration::from_secs(20), relay.open(&source)).await.expect("there is a seat").unwrap();
}
