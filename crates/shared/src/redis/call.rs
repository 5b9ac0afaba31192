//! Scripts, calls of them, and when a call is sent again.
//!
//! A script that a server does not know is sent whole with its call (`EVAL`), instead of being loaded first: one round
//! trip less, and in a cluster it reaches the one server that needs it, also while another is down. The library's own
//! invocation would load it into all of them, or fail.

use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable as _};
use deadpool::managed::PoolError;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, ToRedisArgs};

use super::fault::Fault;
use super::{Connection, Server};
use crate::metrics::Reason;

/// How long after its first attempt a call is still sent again. More than one time-out: an answer that was lost
/// for once must not fail the request.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long a replica's acknowledgement is waited for: a healthy one gives it at once when asked.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection could be had in time; nothing was sent.
    #[error("no connection to redis")]
    Connection(#[source] PoolError<RedisError>),
    /// Refused, or sent and not answered.
    #[error("redis did not carry out a call")]
    Call(#[source] RedisError),
    /// Carried out, but no replica has it: when the master is lost now, so is what it did.
    #[error("no replica has acknowledged a write")]
    NotReplicated,
}

impl CallError {
    /// Has the server no memory left for a write?
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Call(error) if error.code() == Some("OOM"))
    }
}

/// A Lua script.
#[derive(Debug)]
pub struct Script {
    name: &'static str,
    text: String,
    sha1: String,
}

impl Script {
    /// The script of this text; by its name it is measured.
    #[must_use]
    pub fn new(name: &'static str, text: String) -> Self {
        let sha1 = redis::Script::new(&text).get_hash().to_owned();
        Self { name, text, sha1 }
    }

    /// Begins a call.
    #[must_use]
    pub fn call(&self) -> Call<'_> {
        Call { script: self, keys: Vec::new(), args: Vec::new() }
    }
}

/// A call of a script. All its keys are of one hash tag.
pub struct Call<'a> {
    script: &'a Script,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

impl Call<'_> {
    /// Adds a key.
    pub fn key(&mut self, key: impl ToRedisArgs) -> &mut Self {
        key.write_redis_args(&mut self.keys);
        self
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        arg.write_redis_args(&mut self.args);
        self
    }

    /// For a server that knows the script.
    fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.sha1)
    }

    /// For one that does not.
    fn whole(&self) -> Cmd {
        self.command("EVAL", &self.script.text)
    }

    fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}

fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

impl Server {
    /// Calls a script, again only when it is certain that it has not run.
    ///
    /// # Errors
    /// [`CallError`]. When the answer was lost, what was asked may have been done.
    pub async fn call<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, CallError> {
        insist(|fault| fault == Fault::Undone, || self.call_once(call)).await
    }

    /// Calls a script that gives the same answer to the same call, again also when the answer was lost.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call_surely<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, CallError> {
        insist(|fault| fault != Fault::Lasting, || self.call_once(call)).await
    }

    /// As [`Server::call_surely`], and returns when a replica has what was written as well.
    ///
    /// # Errors
    /// [`CallError`]; with [`CallError::NotReplicated`] it was carried out, and may be lost with the master.
    pub async fn call_durably<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, CallError> {
        let once = || async {
            // of one's own: whoever waits for a replica holds up all that follows on the connection
            let mut connection = self.exclusive(call.script.name).await?;
            let answer = match acknowledged(call.by_hash(), &mut connection).await {
                Err(error) if is_unknown(&error) => acknowledged(call.whole(), &mut connection).await,
                answer => answer,
            };
            match answer.map_err(CallError::Call)? {
                (_, 0) => {
                    self.calls().failed(Reason::NotReplicated);
                    Err(CallError::NotReplicated)
                }
                (answer, _) => Ok(answer),
            }
        };
        insist(|fault| fault != Fault::Lasting, once).await
    }

    /// Sends commands that it does no harm to repeat, again also when the answer was lost; by the name of `call` they are
    /// measured. In a cluster their keys are of one hash tag.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn query<T: FromRedisValue>(&self, call: &'static str, commands: &Pipeline) -> Result<T, CallError> {
        let once = || async { commands.query_async(&mut self.connection(call).await?).await.map_err(CallError::Call) };
        insist(|fault| fault != Fault::Lasting, once).await
    }

    /// Calls a script, and leaves it to the caller to do so again.
    ///
    /// # Errors
    /// As [`Server::call`].
    pub async fn call_once<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, CallError> {
        let mut connection = self.connection(call.script.name).await?;
        let answer = match call.by_hash().query_async(&mut connection).await {
            Err(error) if is_unknown(&error) => call.whole().query_async(&mut connection).await,
            answer => answer,
        };
        answer.map_err(CallError::Call)
    }
}

/// The answer to a command, and how many replicas have what was written until then: by anybody, so that the answer to
/// a repetition, which writes nothing itself, stands for the first call too.
async fn acknowledged<T: FromRedisValue>(command: Cmd, connection: &mut Connection) -> RedisResult<(T, u32)> {
    let wait_ms = u64::try_from(REPLICA_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    redis::pipe().add_command(command).cmd("WAIT").arg(1).arg(wait_ms).query_async(connection).await
}

async fn insist<T, F: Future<Output = Result<T, CallError>>>(
    may_repeat: impl Fn(Fault) -> bool,
    once: impl FnMut() -> F,
) -> Result<T, CallError> {
    let began = Instant::now();
    let pause = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_millis(500))
        .with_max_times(4)
        .with_jitter();
    once.retry(pause).when(|error| may_repeat(Fault::of(error)) && began.elapsed() < PATIENCE).await
}
