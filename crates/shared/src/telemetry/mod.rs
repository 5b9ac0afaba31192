//! Logs: what is logged, how it looks, and where it goes.
//!
//! Text on a terminal and JSON elsewhere, to standard error or to files of bounded size. Not here: what may stand
//! in a log line (no link, secret, full source URL or client address: kept by the types that are logged).

mod escape;
mod rotate;

use std::io::{self, BufWriter, IsTerminal as _, Write};

use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogConfig, LogFormat};
use escape::Escaping;
use rotate::RotatingFile;

/// Lines that wait for a slow disk or a slow reader; more are dropped, for a log must not stop the service.
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
    /// The filter is none, or a log was started before.
    #[error("the log cannot be started")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keeps the log going; lines that wait are written when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Telemetry(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// Starts the log of this process. `name` is that of its files: `<name>.log`, then `<name>.log.1` and older.
///
/// # Errors
/// [`TelemetryError`].
pub fn start(config: &LogConfig, name: &str) -> Result<Telemetry, TelemetryError> {
    let is_terminal = config.dir.is_none() && io::stderr().is_terminal();
    let preferred = if is_terminal { LogFormat::Text } else { LogFormat::Json };
    let output: Box<dyn Write + Send> = match &config.dir {
        None => Box::new(io::stderr()),
        Some(dir) => Box::new(RotatingFile::open(dir.as_std_path(), name).map_err(TelemetryError::Directory)?),
    };
    let lines = BufWriter::with_capacity(WRITTEN_AT_ONCE, output);
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LINES_WAITING).finish(lines);
    subscriber(config, preferred, is_terminal, writer)?.try_init().map_err(|error| start_fault(error.into()))?;
    Ok(Telemetry(guard))
}

type AnySubscriber = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(
    config: &LogConfig,
    preferred: LogFormat,
    colours: bool,
    writer: W,
) -> Result<AnySubscriber, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&config.filter).map_err(|error| start_fault(error.into()))?;
    let format = config.format.unwrap_or(preferred);
    let writer = Escaping { inner: writer, format, colours };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    Ok(match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

fn start_fault(error: Box<dyn std::error::Error + Send + Sync>) -> TelemetryError {
    TelemetryError::Start(error)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

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

    fn logged(config: &LogConfig, preferred: LogFormat) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = subscriber(config, preferred, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(job.id = 7, "job {} done", 7);
            tracing::debug!("not asked for");
        });
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_format_is_the_one_asked_for_else_the_fitting_one() {
        let config = |format| LogConfig { filter: "info".to_owned(), format, dir: None };
        let json: serde_json::Value = serde_json::from_str(&logged(&config(None), LogFormat::Json)).unwrap();
        assert_eq!((&json["message"], &json["job.id"]), (&"job 7 done".into(), &7.into()));
        let text = logged(&config(Some(LogFormat::Text)), LogFormat::Json);
        assert!(text.contains("job 7 done") && !text.contains("not asked for"), "{text}");
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
                let config = LogConfig { filter: "info".to_owned(), format: Some(format), dir: None };
                let memory = Memory::default();
                let writer = memory.clone();
                let subscriber = subscriber(&config, format, colours, move || writer.clone()).unwrap();
                tracing::subscriber::with_default(subscriber, || tracing::info!(title, "title {title}"));
                let line = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
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
