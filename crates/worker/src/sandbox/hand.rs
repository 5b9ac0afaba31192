//! The worker's end of a socket over which another one is handed out.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Reads one message of at most `text`, and the listener that came along, if one did. `Ok((0, None))`: the other end is
/// closed.
///
/// # Errors
/// As the system says.
pub(crate) async fn receive(from: &UnixStream, text: &mut [u8]) -> io::Result<(usize, Option<TcpListener>)> {
    loop {
        from.readable().await?;
        let received = from.try_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut rights = RecvAncillaryBuffer::new(&mut space);
            let message = recvmsg(from, &mut [IoSliceMut::new(text)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
            let handed = rights.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut handed) => handed.next(),
                _ => None,
            });
            Ok((message.bytes, handed))
        });
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok((bytes, None)) => return Ok((bytes, None)),
            Ok((bytes, Some(socket))) => {
                let listener = TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                return Ok((bytes, Some(listener)));
            }
        }
    }
}
