//! An origin that speaks TLS: its certificate decides whether it is asked.

use haul_shared::egress::EgressPolicy;
use haul_worker::guard::Caps;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::*;

#[tokio::test]
async fn an_origin_is_asked_over_tls_if_its_certificate_is_trusted_and_not_otherwise() {
    let content = content(5 * MIB + 3);
    let served = content.clone();
    let (server, trusted) = certified("127.0.0.1");
    let origin = RangeOrigin::start_tls(server, move |asked| asked.served(&served, TAG)).await;
    let open = async |trust| {
        let relay = trusting_relay(trust);
        relay.open(&source(&origin.url("/video.mp4"))).await
    };
    let mut relayed = open(trusted).await.unwrap();
    assert_same(rest(&mut relayed).await, &content);
    let asked = origin.asked().len();
    // of another authority, and of the right one for another host
    let (other_host, trusting) = certified("127.0.0.3");
    assert_eq!(open(trusting.clone()).await.unwrap_err(), Trouble::NotHere(Unfit::Unanswered.into()));
    assert_eq!(origin.asked().len(), asked);
    let elsewhere = RangeOrigin::start_tls(other_host, |_| Answer::status(404)).await;
    let relay = trusting_relay(trusting);
    let refused = relay.open(&source(&elsewhere.url("/video.mp4"))).await.unwrap_err();
    assert_eq!((refused, elsewhere.asked().len()), (Trouble::NotHere(Unfit::Unanswered.into()), 0));
}

fn trusting_relay(tls: ClientConfig) -> Relay {
    let policy = EgressPolicy { allow: REACHED.map(|block| block.parse().unwrap()).to_vec(), ports: vec![] };
    let guards = Guards::trusting(policy, Caps::for_files_of(1 << 30), tls);
    Relays::new(LIMITS, Patience::default()).for_job(&guards.attempt(&CancellationToken::new()))
}

/// A server with this address in its certificate, and a client that trusts the authority behind it and no other.
fn certified(address: &str) -> (ServerConfig, ClientConfig) {
    let mut of_authority = CertificateParams::new([]).unwrap();
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(of_authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([address.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    (server, ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
