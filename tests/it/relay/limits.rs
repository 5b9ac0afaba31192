//! What a relay may hold, wait for, and ask of a host.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use haul_shared::egress::EgressPolicy;
use haul_worker::guard::Caps;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Fault: room was counted in pieces, so that of short ones less could be held than is held up to the first part.
#[tokio::test]
async fn of_short_ranges_as_many_bytes_may_be_held_as_of_long_ones() {
    const RANGE: usize = 64 * 1024;
    let content = content(20 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| asked.served(&served, TAG)).await;
    let limits = Limits { range_bytes: Some(RANGE as u64), ..LIMITS };
    let relay = relay_with(limits);
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
    let relay = relay_with(Limits { connections: 1, ..LIMITS });
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

/// Fault: what our own questions might have taken and did not was free to programs.
#[tokio::test]
async fn what_is_asked_by_ourselves_lets_no_program_send_more() {
    let content = content(3 * MIB);
    let served = content.clone();
    let origin = RangeOrigin::start(move |asked| asked.served(&served, TAG)).await;
    let policy = EgressPolicy { allow: vec!["127.0.0.1/32".parse().unwrap()], ports: vec![] };
    let caps = Caps { sent_bytes: 1000, ..Caps::for_files_of(1 << 30) };
    let guard = Guards::new(policy, caps).unwrap().attempt(&CancellationToken::new());
    let limits = Limits { range_bytes: Some(64 * 1024), ..LIMITS };
    let relay = Relays::new(limits, Patience::default()).for_job(&guard);
    let mut relayed = relay.open(&source(&origin.url("/"))).await.unwrap();
    assert_same(rest(&mut relayed).await, &content);
    assert!(guard.tally().sent_bytes > 2 * caps.sent_bytes && guard.refused().is_none(), "{:?}", guard.tally());
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut program = TcpStream::connect(guard.address().unwrap()).await.unwrap();
    let question = format!("CONNECT {} HTTP/1.1\r\n\r\n{}", silent.local_addr().unwrap(), "x".repeat(2000));
    program.write_all(question.as_bytes()).await.unwrap();
    timeout(Duration::from_secs(20), guard.stop_token().cancelled()).await.expect("it ends");
}

/// Fault: who waited for a connection of its own guard sat at the host meanwhile, and kept the relays of other jobs waiting.
#[tokio::test]
async fn a_job_that_has_no_connection_left_keeps_no_other_job_from_the_host() {
    const SEATS: usize = 32;
    let served = content(MIB);
    let origin = RangeOrigin::start(move |asked| asked.served(&served, TAG)).await;
    let (relays, source) = (Relays::new(LIMITS, Patience::default()), source(&origin.url("/")));
    let policy = EgressPolicy { allow: vec!["127.0.0.1/32".parse().unwrap()], ports: vec![] };
    let caps = Caps { connections: 1, ..Caps::for_files_of(1 << 30) };
    let crowded = Guards::new(policy, caps).unwrap().attempt(&CancellationToken::new());
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let mut program = TcpStream::connect(crowded.address().unwrap()).await.unwrap();
    program.write_all(format!("CONNECT {address} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    timeout(Duration::from_secs(20), silent.accept()).await.expect("it has the only connection").unwrap();
    let mut waiting = FuturesUnordered::new();
    for _ in 0..SEATS {
        let relay = relays.for_job(&crowded);
        let source = &source;
        waiting.push(async move { relay.open(source).await.map(drop) });
    }
    let none_came = timeout(Duration::from_millis(300), waiting.next()).await;
    assert!(none_came.is_err(), "each waits for a connection");
    let other = relays.for_job(&guards().attempt(&CancellationToken::new()));
    timeout(Duration::from_secs(20), other.open(&source)).await.expect("there is a seat").unwrap();
    assert_eq!(origin.asked().len(), 1);
}
