//! A connection as callers hold it. It sees every answer, measures it, and lets go of a wire that is of no more use.

use std::sync::Arc;
use std::time::Instant;

use deadpool::managed::{Object, ObjectId};
use redis::aio::ConnectionLike;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value};

use super::lines::{Lines, Pooled};
use super::reach::Wire;
use crate::metrics::Reason;

/// The lines that a connection is of, and by which name its calls are measured.
type Measured = (Arc<Lines>, &'static str);

/// A connection to one server, or to all masters of a cluster.
pub struct Connection {
    wire: Wire,
    hold: Hold,
    /// `None`: they are not.
    measured: Option<Measured>,
}

enum Hold {
    /// Others use it too.
    Shared { at: usize, id: ObjectId },
    /// Goes back to the pool.
    Own(Pooled),
    /// Is of no pool, or has left it.
    Alone,
}

impl Connection {
    pub(super) fn shared(wire: Wire, measured: Measured, at: usize, id: ObjectId) -> Self {
        Self { wire, hold: Hold::Shared { at, id }, measured: Some(measured) }
    }

    pub(super) fn owned(pooled: Pooled, measured: Measured) -> Self {
        Self { wire: Wire::clone(&pooled), hold: Hold::Own(pooled), measured: Some(measured) }
    }

    pub(super) fn alone(wire: Wire) -> Self {
        Self { wire, hold: Hold::Alone, measured: None }
    }

    /// Of a cluster it is enough that one master answers: the jobs of the others' shards go on.
    pub(super) async fn ping(&mut self) -> RedisResult<()> {
        let ping = redis::cmd("PING");
        match &mut self.wire {
            Wire::Node(_) => ping.query_async(self).await,
            Wire::Cluster(cluster) => {
                let any = (MultipleNodeRoutingInfo::AllMasters, Some(ResponsePolicy::OneSucceeded));
                cluster.route_command(ping, RoutingInfo::MultiNode(any)).await?.extract_error().map(drop)
            }
        }
    }

    /// What each master answers. None may be missing.
    pub(super) async fn of_masters(&mut self, command: Cmd) -> RedisResult<Vec<Value>> {
        match &mut self.wire {
            Wire::Node(_) => Ok(vec![command.query_async(self).await?]),
            Wire::Cluster(cluster) => {
                let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                match cluster.route_command(command, all).await?.extract_error()? {
                    Value::Map(answers) => Ok(answers.into_iter().map(|(_, answer)| answer).collect()),
                    answer => Ok(vec![answer]),
                }
            }
        }
    }

    fn see(&mut self, began: Instant, answers: Result<&[Value], &RedisError>) {
        if let Some((lines, call)) = &self.measured {
            lines.calls().took(call, began.elapsed());
            if let Some(reason) = why_failed(answers) {
                lines.calls().failed(reason);
            }
        }
        let is_of_use = match answers {
            Ok(answers) => !answers.iter().any(tells_demotion),
            Err(error) => is_of_use(error),
        };
        if is_of_use || matches!(self.wire, Wire::Cluster(_)) {
            return;
        }
        match std::mem::replace(&mut self.hold, Hold::Alone) {
            Hold::Shared { at, id } => {
                if let Some((lines, _)) = &self.measured {
                    lines.let_go(at, id);
                }
            }
            Hold::Own(pooled) => drop(Object::take(pooled)),
            Hold::Alone => {}
        }
    }
}

fn why_failed(answers: Result<&[Value], &RedisError>) -> Option<Reason> {
    let of_server = |kind: Option<ServerErrorKind>, code: Option<&str>| match (kind, code) {
        // no failure: a script that the server does not know is sent whole
        (Some(ServerErrorKind::NoScript), _) => None,
        (_, Some("OOM")) => Some(Reason::OutOfMemory),
        _ => Some(Reason::Refused),
    };
    match answers {
        Ok(answers) => answers.iter().find_map(|answer| match answer {
            Value::ServerError(error) => of_server(error.kind(), Some(error.code())),
            _ => None,
        }),
        Err(error) if error.is_io_error() || error.is_timeout() => Some(Reason::Unanswered),
        Err(error) => match error.kind() {
            ErrorKind::Server(kind) => of_server(Some(kind), error.code()),
            _ => of_server(None, error.code()),
        },
    }
}

/// Not broken, nor out of time, nor leading to a server that is master no more.
fn is_of_use(error: &RedisError) -> bool {
    let is_demoted = matches!(error.kind(), ErrorKind::Server(kind) if is_demotion(kind));
    !(error.is_io_error() || error.is_unrecoverable_error() || is_demoted)
}

fn tells_demotion(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind().is_some_and(is_demotion))
}

fn is_demotion(kind: ServerErrorKind) -> bool {
    matches!(kind, ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let began = Instant::now();
            let answer = match &mut self.wire {
                Wire::Node(node) => node.send_packed_command(cmd).await,
                Wire::Cluster(cluster) => cluster.req_packed_command(cmd).await,
            };
            self.see(began, answer.as_ref().map(std::slice::from_ref));
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let began = Instant::now();
            let answers = match &mut self.wire {
                Wire::Node(node) => node.send_packed_commands(pipeline, offset, count).await,
                Wire::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count).await,
            };
            self.see(began, answers.as_ref().map(Vec::as_slice));
            answers
        })
    }

    fn get_db(&self) -> i64 {
        match &self.wire {
            Wire::Node(node) => node.get_db(),
            Wire::Cluster(cluster) => cluster.get_db(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn why_a_call_failed_is_told_from_the_answer_or_from_its_absence() {
        for (reply, reason) in [
            ("+OK", None),
            ("-NOSCRIPT No matching script", None),
            ("-OOM command not allowed when used memory > 'maxmemory'", Some(Reason::OutOfMemory)),
            ("-READONLY You can't write against a read only replica", Some(Reason::Refused)),
            ("-ERR unknown command", Some(Reason::Refused)),
        ] {
            let answer = redis::parse_redis_value(format!("{reply}\r\n").as_bytes()).expect("a reply");
            // among the answers to a pipeline, and alone
            assert_eq!(why_failed(Ok(std::slice::from_ref(&answer))), reason, "{reply}");
            if let Err(error) = answer.extract_error() {
                assert_eq!(why_failed(Err(&error)), reason, "{reply}");
            }
        }
        for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::TimedOut] {
            assert_eq!(why_failed(Err(&io::Error::from(kind).into())), Some(Reason::Unanswered), "{kind}");
        }
    }
}
