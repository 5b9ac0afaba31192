//! TLS for the servers of a test: an authority of the test's own, which whoever is told to trusts, and nobody else.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Who vouches for servers.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// One with a key of its own.
    #[must_use]
    pub fn generate() -> Self {
        let mut params = CertificateParams::new([]).expect("no names are names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key()).expect("a key signs"))
    }

    /// A server with a certificate for this host, a name or an address.
    #[must_use]
    pub fn certify(&self, host: &str) -> ServerConfig {
        self.sign(params(host))
    }

    /// The same with a certificate whose time is over.
    #[must_use]
    pub fn certify_expired(&self, host: &str) -> ServerConfig {
        let mut params = params(host);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> ServerConfig {
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("an authority signs");
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let server = ServerConfig::builder().with_no_client_auth();
        server.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate and its key")
    }

    /// A client that trusts this authority and no other.
    #[must_use]
    pub fn trusting(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a certificate");
        ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }

    /// What a process trusts it by, in the file that `SSL_CERT_FILE` names.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }
}

fn params(host: &str) -> CertificateParams {
    CertificateParams::new([host.to_owned()]).expect("a host")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("there is randomness")
}
