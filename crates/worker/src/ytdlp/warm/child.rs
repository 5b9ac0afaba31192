//! A conversation with one child of a fork server (`server.py` has its protocol).
//!
//! Everything that a child says comes from a process that a stranger's page may have taken over: lines are bounded, what
//! cannot be read is dropped, and whoever talks nonsense for too long is ended. A connection that closes means that
//! nothing of the job is left.

use std::borrow::Cow;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use haul_shared::job::{Failure, FailureKind};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::server::Server;
use crate::guard::Guard;
use crate::process::{Clock, Ended, Lines, STDOUT_LIMIT, Stream, Tail, Watch};
use crate::sandbox::{self, Confinement};
use crate::ytdlp::counts::Why;
use crate::ytdlp::failure::{self, Raised};
use crate::ytdlp::plain::{PROXY_VARIABLES, serve};
use crate::ytdlp::progress::{self, Event};
use crate::ytdlp::value::{Fields, TITLE};

/// From the connection to the first word: two forks. A machine that swaps takes its time.
const GREETED_WITHIN: Duration = Duration::from_secs(5);
/// For a child to take what it is told.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// For the guard to end everything.
const ENDED_WITHIN: Duration = Duration::from_secs(5);
/// Lines of one conversation that say nothing, or only talk; a child of ours says at most a hundred.
const MOST_NONSENSE: u32 = 10_000;

/// Bytes of the first word.
const GREETING: usize = 4096;
/// How the line begins for which an extraction waits.
const INFO: &str = "{\"info\"";

/// What a job is allowed and where it works.
pub(in crate::ytdlp) struct Asked<'a> {
    pub(in crate::ytdlp) argv: Vec<String>,
    pub(in crate::ytdlp) dir: &'a Path,
    pub(in crate::ytdlp) data: u64,
    /// Processor time of a look, and of all.
    pub(in crate::ytdlp) cpu: (Duration, Duration),
    pub(in crate::ytdlp) file_size: Option<u64>,
    /// By what it reaches the net, and where it finds that.
    pub(in crate::ytdlp) guard: (SocketAddr, &'a Guard),
    /// What it may see and do; `None`: it is not confined.
    pub(in crate::ytdlp) confinement: Option<Confinement>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::ytdlp) enum NoAnswer {
    /// The server or the guard died: nobody knows how the job would have ended.
    Broken,
    /// This is how it ended.
    Failed(Failure),
}

/// A child. Dropped, its job is ended with everything that it has started; [`Child::end`] also waits for that.
pub(in crate::ytdlp) struct Child {
    events: Lines<OwnedReadHalf>,
    requests: OwnedWriteHalf,
    asked: Vec<failure::Asked>,
    log: Tail,
    nonsense: u32,
    /// Where it finds its guard, if it has a network of its own.
    listener: Option<TcpListener>,
    /// One that is replaced lives as long as its jobs.
    server: Arc<Server>,
}

/// What ended a part of the conversation.
enum Heard {
    /// What it was waited for.
    Enough,
    /// The job told of its error.
    Raised(Raised),
    /// The job ended without an error, or by one of our clocks.
    Ended(Ended),
    /// It said more than is kept.
    TooMuch,
    /// It said nothing that can be read, for too long.
    Nonsense,
    /// The connection closed without a word.
    Broken,
}

impl Child {
    /// A fresh child that has greeted; `None`: there is none, and the server is to be replaced.
    pub(super) async fn open(server: Arc<Server>) -> Option<Self> {
        let child = Self::greeted(&server).await;
        if child.is_none() {
            // unless it has said why
            server.outdate(Why::Deaf);
        }
        child
    }

    async fn greeted(server: &Arc<Server>) -> Option<Self> {
        let connection = server.connect().await.ok()?;
        let mut greeting = [0; GREETING];
        let greeted = timeout(GREETED_WITHIN, sandbox::receive(&connection, &mut greeting)).await;
        let (length, listener) = greeted.ok()?.ok()?;
        let (name, what) = read(std::str::from_utf8(&greeting[..length]).ok()?.trim_end())?;
        match &*name {
            "hello" => {}
            "unconfined" => {
                server.outdate_for(Why::Unconfined, words_of(what));
                return None;
            }
            _ => return None,
        }
        let (reader, requests) = connection.into_split();
        let events = Lines::new(Stream::Stdout, reader).limit(STDOUT_LIMIT);
        let (asked, log, server) = (Vec::new(), Tail::default(), Arc::clone(server));
        Some(Self { events, requests, asked, log, nonsense: 0, listener, server })
    }

    /// Asks for what is at an address: the dictionary of yt-dlp. The child then waits to be told more. One that is not
    /// confined is not told of the address.
    pub(in crate::ytdlp) async fn extract(
        &mut self,
        asked: &Asked<'_>,
        watch: &Watch,
    ) -> Result<Box<RawValue>, NoAnswer> {
        self.confine(asked, watch).await?;
        self.tell(&json!({"argv": asked.argv})).await?;
        let mut found = None;
        let heard = self.listen(watch, |name, what| match name {
            "info" => {
                found = Some(what.to_owned());
                true
            }
            _ => false,
        });
        match (heard.await, found) {
            (Heard::Enough, Some(found)) => Ok(found),
            (heard, _) => Err(self.no_answer(heard).await),
        }
    }

    /// Has it give up what it is not allowed, and waits until it has. One that can't is lost, and so is its server; one that
    /// ends meanwhile is lost alone.
    async fn confine(&mut self, asked: &Asked<'_>, watch: &Watch) -> Result<(), NoAnswer> {
        let Asked { dir, data, cpu, file_size, guard: (proxy, guard), confinement, .. } = asked;
        let rules = confinement.as_ref().map(|confinement| &confinement.rules);
        let space = confinement.as_ref().and_then(|confinement| confinement.space);
        match (self.listener.take(), space) {
            (Some(listener), Some(_)) => serve(guard, listener),
            (None, None) => {}
            // it is not apart as it should be, or is and should not be
            (Some(_), None) | (None, Some(_)) => return Err(NoAnswer::Broken),
        }
        let Some(dir) = dir.to_str() else { return Err(NoAnswer::Broken) };
        let cpu = [cpu.0.as_secs().max(1), cpu.1.as_secs().max(2)];
        let processes = space.map(|space| space.processes);
        let limits = json!({"data": data, "file_size": file_size, "processes": processes, "cpu": cpu});
        let proxies: Map<_, _> =
            PROXY_VARIABLES.into_iter().map(|name| (name.to_owned(), format!("http://{proxy}").into())).collect();
        self.tell(&json!({"dir": dir, "limits": limits, "rules": rules, "environment": proxies})).await?;
        let mut refused = None;
        let heard = self.listen(watch, |name, what| {
            refused = (name == "unconfined").then(|| words_of(what));
            matches!(name, "confined" | "unconfined")
        });
        match (heard.await, refused) {
            (Heard::Enough, None) => Ok(()),
            (_, Some(words)) => {
                self.server.outdate_for(Why::Unconfined, words);
                Err(self.is_lost().await)
            }
            // by no clock of ours and no cancel
            (Heard::Ended(Ended::Exited(_) | Ended::Signalled(_)), None) => Err(self.is_lost().await),
            (heard, None) => Err(self.no_answer(heard).await),
        }
    }

    /// The folder is that of the plain command line now.
    async fn is_lost(&mut self) -> NoAnswer {
        self.stop().await;
        NoAnswer::Broken
    }

    /// Tells it to download what it has found, by these command lines in these folders, all at once, and waits until it
    /// has.
    pub(in crate::ytdlp) async fn download(
        &mut self,
        lines: &[(PathBuf, Vec<String>)],
        watch: &Watch,
        mut on_event: impl FnMut(Event),
    ) -> Result<(), NoAnswer> {
        let downloads: Vec<_> = lines.iter().map(|(dir, argv)| json!({"dir": dir, "argv": argv})).collect();
        self.tell(&json!({ "downloads": downloads })).await?;
        let heard = self.listen(watch, |name, what| {
            if let Some(event) = Fields::of(what).and_then(|fields| progress::told(name, &fields)) {
                on_event(event);
            }
            name == "done"
        });
        match heard.await {
            Heard::Enough => Ok(()),
            heard => Err(self.no_answer(heard).await),
        }
    }

    /// Ends the job, and waits until nothing of it is left.
    pub(in crate::ytdlp) async fn end(mut self) {
        self.stop().await;
    }

    async fn stop(&mut self) {
        let gone = async {
            let _ = self.requests.shutdown().await;
            while self.events.next().await.is_some() {}
        };
        if timeout(ENDED_WITHIN, gone).await.is_err() {
            tracing::warn!("a child of a warm extractor has not ended in time");
        }
    }

    async fn tell(&mut self, what: &Value) -> Result<(), NoAnswer> {
        let line = format!("{what}\n");
        match timeout(TOLD_WITHIN, self.requests.write_all(line.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Broken),
        }
    }

    /// Reads until `hear`, which is given the name of each event and what is told, has what it waits for.
    async fn listen(&mut self, watch: &Watch, mut hear: impl FnMut(&str, &RawValue) -> bool) -> Heard {
        let mut clock = Clock::new(watch);
        loop {
            let line = tokio::select! {
                biased;
                turn = clock.turn() => match clock.judge(turn).await {
                    Some(cause) => return Heard::Ended(cause),
                    None => continue,
                },
                line = self.events.next() => line,
            };
            let Some(line) = line else { return Heard::Broken };
            if line.cut {
                return Heard::TooMuch;
            }
            if self.nonsense > MOST_NONSENSE {
                return Heard::Nonsense;
            }
            let Some((name, what)) = read(&line.text) else {
                if line.text.starts_with(INFO) {
                    return Heard::Nonsense; // it would be waited for in vain
                }
                self.nonsense += 1;
                continue;
            };
            clock.sign_of_life();
            match (&*name, Fields::of(what)) {
                ("error", Some(fields)) => return Heard::Raised(Raised::of(&fields)),
                ("end", Some(fields)) => return Heard::Ended(ended(&fields)),
                ("asked", Some(fields)) => self.was_asked(&fields),
                ("log", Some(fields)) => self.logged(&fields),
                (name, _) => {
                    if hear(name, what) {
                        return Heard::Enough;
                    }
                }
            }
        }
    }

    fn was_asked(&mut self, fields: &Fields<'_>) {
        let status = fields.whole("status").and_then(|status| u16::try_from(status).ok());
        if let Some(asked) = status.zip(fields.whole("seconds")).filter(|_| self.asked.len() < 1000) {
            self.asked.push(asked);
        }
    }

    /// Kept for a job that ends without telling why.
    fn logged(&mut self, fields: &Fields<'_>) {
        self.nonsense += 1;
        if let Some(text) = fields.text("text", TITLE) {
            self.log.push(&text.replace('\n', " "));
        }
    }

    async fn no_answer(&mut self, heard: Heard) -> NoAnswer {
        // also after an error: the folder is the caller's again only when nobody is left to write into it
        self.stop().await;
        NoAnswer::Failed(match heard {
            Heard::Broken => return NoAnswer::Broken,
            Heard::Raised(raised) => failure::raised(&raised, &self.asked),
            Heard::Ended(ended) => failure::failure(ended, self.log.as_str(), false),
            Heard::TooMuch => Failure::new(FailureKind::InvalidMedia, "the metadata is too large"),
            Heard::Nonsense => Failure::new(FailureKind::ExtractorError, "the extractor talked nonsense"),
            Heard::Enough => Failure::new(FailureKind::Internal, "the extractor ended a conversation early"),
        })
    }
}

/// The name of an event, and what it tells; `None`: it is none.
fn read(line: &str) -> Option<(Cow<'_, str>, &RawValue)> {
    serde_json::from_str::<Fields<'_>>(line).ok()?.only()
}

/// Why a child is not confined.
fn words_of(what: &RawValue) -> String {
    Fields::of(what).and_then(|fields| fields.text("why", TITLE)).unwrap_or_default().replace('\n', " ")
}

fn ended(fields: &Fields<'_>) -> Ended {
    let number = |name| fields.whole(name).and_then(|number| i32::try_from(number).ok());
    number("signal").map_or(Ended::Exited(number("code").unwrap_or(1)), Ended::Signalled)
}
