//! A connection as callers hold it. It sees every answer, and lets go of a wire that is of no more use.

use std::sync::Arc;

use deadpool::managed::{Object, ObjectId};
use redis::aio::ConnectionLike;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value};

use super::lines::{Lines, Pooled};
use super::reach::Wire;

/// A connection to one server, or to all masters of a cluster.
pub struct Connection {
    wire: Wire,
    hold: Hold,
}

enum Hold {
    /// Others use it too.
    Shared { lines: Arc<Lines>, at: usize, id: ObjectId },
    /// Goes back to the pool.
    Own(Pooled),
    /// Is of no pool, or has left it.
    Alone,
}

impl Connection {
    pub(super) fn shared(wire: Wire, lines: Arc<Lines>, at: usize, id: ObjectId) -> Self {
        Self { wire, hold: Hold::Shared { lines, at, id } }
    }

    pub(super) fn owned(pooled: Pooled) -> Self {
        Self { wire: Wire::clone(&pooled), hold: Hold::Own(pooled) }
    }

    pub(super) fn alone(wire: Wire) -> Self {
        Self { wire, hold: Hold::Alone }
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

    fn see(&mut self, is_of_use: bool) {
        if is_of_use || matches!(self.wire, Wire::Cluster(_)) {
            return;
        }
        match std::mem::replace(&mut self.hold, Hold::Alone) {
            Hold::Shared { lines, at, id } => lines.let_go(at, id),
            Hold::Own(pooled) => drop(Object::take(pooled)),
            Hold::Alone => {}
        }
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
            let answer = match &mut self.wire {
                Wire::Node(node) => node.send_packed_command(cmd).await,
                Wire::Cluster(cluster) => cluster.req_packed_command(cmd).await,
            };
            self.see(match &answer {
                Ok(answer) => !tells_demotion(answer),
                Err(error) => is_of_use(error),
            });
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
            let answers = match &mut self.wire {
                Wire::Node(node) => node.send_packed_commands(pipeline, offset, count).await,
                Wire::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count).await,
            };
            self.see(match &answers {
                Ok(answers) => !answers.iter().any(tells_demotion),
                Err(error) => is_of_use(error),
            });
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
