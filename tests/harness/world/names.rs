//! The resolver of a world: says of each name what the test wants, as often as it is asked, and counts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Where it is asked.
pub(super) const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), 53);
const LONGEST_QUESTION: usize = 4096;

type Says = Box<dyn Fn(usize) -> Vec<IpAddr> + Send>;

/// The names of a world. A name that nobody has set does not exist.
#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<HashMap<String, Name>>>);

struct Name {
    /// The addresses, by how often it has been asked before.
    says: Option<Says>,
    /// Questions for addresses of the first family, of which each look-up has one.
    asked: usize,
    /// Questions for addresses of the second family.
    asked_v6: usize,
}

impl Names {
    pub(super) async fn serve() -> Result<Self> {
        let names = Self::default();
        let (udp, tcp) = (UdpSocket::bind(ADDRESS).await?, TcpListener::bind(ADDRESS).await?);
        tokio::spawn(names.clone().over_udp(udp));
        tokio::spawn(names.clone().over_tcp(tcp));
        Ok(names)
    }

    /// This name leads to these addresses, always.
    pub fn set(&self, name: &str, addresses: &[IpAddr]) {
        let addresses = addresses.to_vec();
        self.say(name, move |_| addresses.clone());
    }

    /// This name leads to what the function makes of the number of look-ups before.
    pub fn say(&self, name: &str, says: impl Fn(usize) -> Vec<IpAddr> + Send + 'static) {
        self.put(name, Some(Box::new(says)));
    }

    /// Nobody ever answers for this name.
    pub fn keep_silent(&self, name: &str) {
        self.put(name, None);
    }

    /// How often a name was looked up.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.0.lock().expect("no holder panics").get(name).map_or(0, |name| name.asked)
    }

    fn put(&self, name: &str, says: Option<Says>) {
        let name_of = Name { says, asked: 0, asked_v6: 0 };
        self.0.lock().expect("no holder panics").insert(name.to_owned(), name_of);
    }

    async fn over_udp(self, socket: UdpSocket) {
        let mut question = [0; LONGEST_QUESTION];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            if let Some(answer) = self.answer(&question[..length]) {
                // who asked may be gone
                let _ = socket.send_to(&answer, from).await;
            }
        }
    }

    async fn over_tcp(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().converse(stream));
        }
    }

    /// RFC 1035, 4.2.2: each message after its length.
    async fn converse(self, mut stream: TcpStream) -> Result<()> {
        loop {
            let mut question = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut question).await?;
            let Some(answer) = self.answer(&question) else { return std::future::pending().await };
            stream.write_u16(u16::try_from(answer.len())?).await?;
            stream.write_all(&answer).await?;
        }
    }

    /// The answer to a question; none to what is no question, and where silence is the answer.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let question = Packet::parse(question).ok()?;
        let asked = question.questions.first()?.clone();
        let name = asked.qname.clone();
        let found = self.addresses(&name.to_string(), asked.qtype)?;
        let mut answer = Packet::new_reply(question.id());
        answer.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE);
        answer.questions.push(asked);
        match found {
            None => *answer.rcode_mut() = RCODE::NameError,
            Some(addresses) => answer.answers.extend(addresses.into_iter().map(|address| {
                let data = match address {
                    IpAddr::V4(address) => RData::A(address.into()),
                    IpAddr::V6(address) => RData::AAAA(address.into()),
                };
                ResourceRecord::new(name.clone(), CLASS::IN, 0, data)
            })),
        }
        answer.build_bytes_vec().ok()
    }

    /// `None`: silence; `Some(None)`: there is no such name.
    fn addresses(&self, name: &str, kind: QTYPE) -> Option<Option<Vec<IpAddr>>> {
        let mut names = self.0.lock().expect("no holder panics");
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let Some(name) = names.get_mut(&name) else { return Some(None) };
        let asked = match kind {
            QTYPE::TYPE(TYPE::A) => &mut name.asked,
            QTYPE::TYPE(TYPE::AAAA) => &mut name.asked_v6,
            _ => return Some(Some(Vec::new())),
        };
        let is_v4 = kind == QTYPE::TYPE(TYPE::A);
        let nth = *asked;
        *asked += 1;
        let of_kind = |address: &IpAddr| address.is_ipv4() == is_v4;
        let all = name.says.as_ref()?(nth);
        Some(Some(all.into_iter().filter(of_kind).collect()))
    }
}
