//! Logs and traces: what is told, how it looks, and where it goes.
//!
//! Logs are text on a terminal and JSON elsewhere, to standard error or to files of bounded size. What operators have to
//! answer for ([`AUDIT`]) is logged whatever else is not, and has a file of its own beside the others. Traces go to a
//! collector, from programs that were built with the cargo feature `otel`. Not here: what may stand in a log line or a span
//! (no link, secret, full source URL or client address: kept by the types that are logged).

mod escape;
mod gaps;
#[cfg(feature = "otel")]
mod losses;
mod rotate;
#[cfg(feature = "otel")]
mod traces;

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogConfig, LogFormat, TraceConfig};
use crate::trace;
use escape::Escaping;
use gaps::{Counted, Gaps, Log};
use rotate::RotatingFile;

/// The target of lines about what was done, asked for or changed by whom. They are logged at every level of `HAUL_LOG`; who
/// does not want them says `audit=off` there.
pub const AUDIT: &str = "audit";

/// Lines that wait for a slow disk or a slow reader; more are dropped and counted ([`gaps`]), for a log must not stop the service.
const LINES_WAITING: usize = 8192;

/// Bytes of lines that are written together when they come faster than one by one. Whoever waits sees each at once: what
/// is there is written as soon as no further line waits.
const WRITTEN_AT_ONCE: usize = 64 * 1024;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The directory cannot be made or written.
    #[error("the log directory cannot be used")]
    Directory(#[source] io::Error),
    /// The filter is none, the way to the collector can't be made, or a log was started before.
    #[error("the log cannot be started")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Who tells.
#[derive(Debug, Clone)]
pub struct Service {
    /// `haul-api` or `haul-worker`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Those that it serves, comma-separated.
    pub regions: String,
    /// Has it lines of [`AUDIT`] to write?
    pub audits: bool,
}

/// Keeps logs and traces going. What of the log waits is written when it is dropped; what of the traces, by
/// [`Telemetry::end`].
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    traces: Option<traces::Traces>,
    gaps: Arc<[Gaps]>,
    _lines: Vec<WorkerGuard>,
}

impl Telemetry {
    /// Sends what waits of the traces, within three seconds, and says what the logs lack. What is told from then on goes to the
    /// log only.
    pub async fn end(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            // the thread that sends is waited for
            let _ = tokio::task::spawn_blocking(move || traces.end()).await;
        }
        self.gaps.iter().for_each(Gaps::tell);
    }
}

/// Starts the log of this process, and its traces. The files are `<name>.log`, then `<name>.log.1` and older, and alike
/// `<name>.audit.log` of who has such lines. To be called on a runtime.
///
/// # Errors
/// [`TelemetryError`].
pub fn start(config: &LogConfig, traces: Option<&TraceConfig>, service: &Service) -> Result<Telemetry, TelemetryError> {
    let is_terminal = config.dir.is_none() && io::stderr().is_terminal();
    let preferred = if is_terminal { LogFormat::Text } else { LogFormat::Json };
    let format = config.format.unwrap_or(preferred);
    let (mut guards, mut gaps) = (Vec::new(), Vec::new());
    let mut written = |log, output: Box<dyn Write + Send>| {
        let (writer, guard, lacks) = buffered(log, LINES_WAITING, output);
        guards.push(guard);
        gaps.push(lacks);
        writer
    };
    let (lines, audit) = match &config.dir {
        None => (written(Log::Whole, Box::new(io::stderr())), None),
        Some(dir) => {
            let open = |name: &str| RotatingFile::open(dir.as_std_path(), name).map_err(TelemetryError::Directory);
            let audit = service.audits.then(|| open(&format!("{}.audit", service.name))).transpose()?;
            let lines = written(Log::Whole, Box::new(open(service.name)?));
            (lines, audit.map(|file| written(Log::Audit, Box::new(file))))
        }
    };
    #[cfg(feature = "otel")]
    let sent = traces.map(|config| traces::Traces::start(config, service)).transpose()?;
    #[cfg(feature = "otel")]
    let spans = sent.as_ref().map(traces::Traces::layer);
    #[cfg(not(feature = "otel"))]
    // the configuration refuses a collector
    let spans = traces.and(None::<tracing_subscriber::layer::Identity>);

    let audit = audit.map(|writer| shown(format, false, writer).with_filter(filter_fn(|what| what.target() == AUDIT)));
    let lines = shown(format, is_terminal, lines).with_filter(filter(&config.filter)?);
    Registry::default().with(spans).with(audit).with(lines).try_init().map_err(|error| start_fault(error.into()))?;
    let gaps: Arc<[Gaps]> = gaps.into();
    tokio::spawn(gaps::look_after(Arc::clone(&gaps)));
    Ok(Telemetry {
        #[cfg(feature = "otel")]
        traces: sent,
        gaps,
        _lines: guards,
    })
}

/// What takes lines without waiting, and a thread that writes them; at most so many wait.
fn buffered(log: Log, most_waiting: usize, output: Box<dyn Write + Send>) -> (NonBlocking, WorkerGuard, Gaps) {
    let unwritten = Arc::new(AtomicU64::new(0));
    let lines = BufWriter::with_capacity(WRITTEN_AT_ONCE, output);
    let lines = Counted { inner: lines, unwritten: Arc::clone(&unwritten) };
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(most_waiting).finish(lines);
    let gaps = Gaps::of(log, writer.error_counter(), unwritten);
    (writer, guard, gaps)
}

/// The layer of a log.
fn shown<S, W>(format: LogFormat, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let writer = Escaping { inner: writer, format, colours };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

/// What is logged: as it was asked for, and [`AUDIT`] and what the log lacks whatever was. Spans of traces are none of the log's.
fn filter(asked: &str) -> Result<EnvFilter, TelemetryError> {
    // of two directives for one target the last counts
    let directives = format!("{AUDIT}=info,{}=warn,{asked}", gaps::TARGET);
    let filter = EnvFilter::builder().parse(directives).map_err(|error| start_fault(error.into()))?;
    let spans = format!("{}=off", trace::TARGET).parse().map_err(|error| start_fault(Box::new(error)))?;
    Ok(filter.add_directive(spans))
}

fn start_fault(error: Box<dyn std::error::Error + Send + Sync>) -> TelemetryError {
    TelemetryError::Start(error)
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(asked: &str, format: LogFormat, colours: bool, tell: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let lines = shown(format, colours, move || writer.clone()).with_filter(filter(asked).unwrap());
        tracing::subscriber::with_default(Registry::default().with(lines), tell);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_has_the_format_that_was_asked_for_and_nothing_of_the_traces() {
        let tell = || {
            let of_a_trace = tracing::error_span!(target: trace::TARGET, "of a trace", secret = 1);
            tracing::info_span!("request", id = 3).in_scope(|| {
                of_a_trace.in_scope(|| tracing::info!(job.id = 7, "job {} done", 7));
            });
            tracing::debug!("not asked for");
        };
        let line = logged("info", LogFormat::Json, false, tell);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&json["message"], &json["job.id"], &json["span"]["id"]),
            (&"job 7 done".into(), &7.into(), &3.into())
        );
        assert!(!line.contains("trace"), "{line}");
        let text = logged("info", LogFormat::Text, false, tell);
        assert!(text.contains("job 7 done") && !text.contains("not asked for") && !text.contains("trace"), "{text}");
    }

    #[test]
    fn who_did_what_is_logged_at_every_level_unless_it_is_not_wanted() {
        for (asked, is_there) in [("error", true), ("off", true), ("haul_api=debug", true), ("info,audit=off", false)] {
            let line = logged(asked, LogFormat::Text, false, || tracing::info!(target: AUDIT, "studio deleted it"));
            assert_eq!(line.contains("studio deleted it"), is_there, "{asked}");
        }
    }

    /// Says that it has begun with a line, waits until it may go on, and writes nothing.
    struct Stuck(mpsc::SyncSender<()>, mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_takes_or_that_cannot_be_written_are_told_in_the_log_that_lacks_them() {
        let logs = [
            (Log::Whole, "this log", "error"),
            (Log::Whole, "this log", "haul_api=debug"),
            (Log::Audit, "the audit", "off"),
        ];
        for (log, name, asked) in logs {
            let ((began, has_begun), (go_on, may_go_on)) = (mpsc::sync_channel(8), mpsc::sync_channel(8));
            let (mut lines, guard, gaps) = buffered(log, 1, Box::new(Stuck(began, may_go_on)));
            let told = || logged(asked, LogFormat::Text, false, || gaps.tell());
            let long = vec![b'a'; WRITTEN_AT_ONCE];
            lines.write_all(&long).unwrap();
            has_begun.recv().unwrap();
            assert_eq!(told(), "");
            for _ in 0..4 {
                lines.write_all(&long).unwrap();
            }
            assert!(told().contains(&format!("3 lines of {name} were lost")), "one waits");
            assert_eq!(told(), "", "nothing new");
            go_on.send(()).unwrap();
            // the one that waited has its turn
            has_begun.recv().unwrap();
            assert!(told().contains(&format!("4 lines of {name} were lost")), "the first could not be written");
            drop(go_on);
            drop(guard);
        }
    }

    #[test]
    fn what_an_origin_sends_cannot_forge_a_line() {
        let titles = [
            "a\nb\u{1b}[31m\r\0\u{7f}",
            "c1 \u{85}\u{9b}31m \u{2028}\u{2029}",
            "\u{202e}gpj.exe \u{2066}x\u{2069} \u{200f}\u{61c}\u{feff}\u{e0001}",
        ];
        for (format, colours) in [(LogFormat::Json, false), (LogFormat::Text, false), (LogFormat::Text, true)] {
            for title in titles {
                let line = logged("info", format, colours, || tracing::info!(title, "title {title}"));
                let inner = line.strip_suffix('\n').unwrap();
                let forged = |c: char| crate::unseen::is_unseen(c) && !(colours && c == '\u{1b}');
                assert!(!inner.contains(forged), "{line:?}");
                if format == LogFormat::Json {
                    let told: serde_json::Value = serde_json::from_str(inner).unwrap();
                    assert_eq!(told["title"], title, "nothing is lost");
                }
            }
        }
    }
}
