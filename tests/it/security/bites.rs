//! The canary itself: that it sees what is sent inside, whoever sends it, and minds nothing else.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::*;

#[test]
fn the_canary_sees_each_connection_and_datagram_inside_and_minds_no_public_one() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        // whether or not somebody listens there
        let connect = |to: SocketAddr| drop(TcpStream::connect_timeout(&to, Duration::from_secs(5)));
        for to in ["93.184.215.14:80", "93.184.215.14:31337", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:80"] {
            connect(to.parse()?);
        }
        world.canary.is_silent()?;
        let mut all = Vec::new();
        for to in ["169.254.169.254:80", "10.0.0.1:31337", "127.0.0.1:6379", "[fd00:ec2::254]:80", "[::1]:22"] {
            connect(to.parse()?);
            all.push(format!("a connection to {to}"));
        }
        // of these there is no public one either: names are asked of the world's own resolver
        for to in ["10.0.0.1:53", "[fd00::1]:443", "8.8.8.8:53"] {
            let to: SocketAddr = to.parse()?;
            UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?.send_to(b"x", to)?;
            all.push(format!("a datagram to {to}"));
        }
        let told = world.canary.is_silent().map_err(|fault| fault.to_string());
        let told = told.expect_err("the canary has seen nothing");
        let missed: Vec<_> = all.iter().filter(|one| !told.contains(*one)).collect();
        assert!(missed.is_empty(), "{missed:?} not in {told}");
        Ok(())
    })
}
