//! Ways to the site that are processes of their own, as they are for a program: through a guard, and over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::roles::{Orders, say};

/// Passed on at once of an answer: what a record of TLS holds, several times.
const PIECE_BYTES: usize = 128 << 10;

/// A guard that lets pass what is on loopback; says where it is, and ends with the benchmark.
///
/// # Errors
/// When no port is free.
pub async fn guard() -> Result<()> {
    let guard = haul_tests::guard();
    stay(guard.address()?).await
}

/// The site over TLS, whose certificate nobody vouches for; says where it is, and ends with the benchmark.
///
/// # Errors
/// When no port is free.
pub async fn secure(site: SocketAddr) -> Result<()> {
    let certified = rcgen::generate_simple_self_signed([site.ip().to_string()])?;
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certified.cert.into()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind((site.ip(), 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(socket).await?;
                let mut plain = TcpStream::connect(site).await?;
                copy_bidirectional_with_sizes(&mut client, &mut plain, PIECE_BYTES, PIECE_BYTES).await
            });
        }
    });
    stay(address).await
}

async fn stay(address: SocketAddr) -> Result<()> {
    say("ready");
    say(&address.to_string());
    let mut orders = Orders::listen();
    while orders.go_on().await {}
    Ok(())
}
