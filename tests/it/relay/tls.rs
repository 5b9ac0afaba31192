//! An origin that speaks TLS: its certificate decides whether it is asked.

use haul_shared::egress::EgressPolicy;
use haul_tests::tls::Authority;
use haul_worker::guard::Caps;
use tokio_rustls::rustls::ClientConfig;

use super::*;

#[tokio::test]
async fn an_origin_is_asked_over_tls_if_its_certificate_is_trusted_and_not_otherwise() {
    let content = content(5 * MIB + 3);
    let served = content.clone();
    let (authority, another) = (Authority::generate(), Authority::generate());
    let origin = RangeOrigin::start_tls(authority.certify("127.0.0.1"), move |asked| asked.served(&served, TAG)).await;
    let open = async |trust| {
        let relay = trusting_relay(trust);
        relay.open(&source(&origin.url("/video.mp4"))).await
    };
    let mut relayed = open(authority.trusting()).await.unwrap();
    assert_same(rest(&mut relayed).await, &content);
    let asked = origin.asked().len();
    // of another authority, and of the right one for another host
    assert_eq!(open(another.trusting()).await.unwrap_err(), Trouble::NotHere(Unfit::Unanswered.into()));
    assert_eq!(origin.asked().len(), asked);
    let elsewhere = RangeOrigin::start_tls(authority.certify("127.0.0.3"), |_| Answer::status(404)).await;
    let relay = trusting_relay(authority.trusting());
    let refused = relay.open(&source(&elsewhere.url("/video.mp4"))).await.unwrap_err();
    assert_eq!((refused, elsewhere.asked().len()), (Trouble::NotHere(Unfit::Unanswered.into()), 0));
}

fn trusting_relay(tls: ClientConfig) -> Relay {
    let policy = EgressPolicy { allow: REACHED.map(|block| block.parse().unwrap()).to_vec(), ports: vec![] };
    let guards = Guards::trusting(policy, Caps::for_files_of(1 << 30), tls);
    Relays::new(LIMITS, Patience::default()).for_job(&guards.attempt(&CancellationToken::new()))
}
