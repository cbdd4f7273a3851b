//! HTTP/2, towards clients and backends.

use std::rc::Rc;

use super::connection::{End, close};
use super::session::Session;
use super::stream::Stream;
use super::worker::Worker;
use crate::server::watch::Watch;

/// Serves a client's connection on which HTTP/2 is spoken, until it ends.
///
/// This is where HTTP/2 hooks in. Called after the TLS handshake if ALPN chose `h2`, and for a
/// client that began with the connection preface: the bytes of it that were read already come out
/// of `stream` again. What it has to do:
///
/// - judge each request by [`underseal_policy::http2::read`] and [`super::policy::judge`], on
///   [`Worker::judged`], with the matcher of [`Worker::matcher`] looked at for each request;
/// - get a connection from [`Worker::backends`]: [`super::backend::Backends::pick`], `kept`,
///   `connect`, and give it back with `keep` after a complete exchange;
/// - write a line of the access log with [`super::log`] per request, through [`Worker::log`];
/// - obey `watch`: [`Watch::enter`] with [`Worker::timeouts`], and end as [`Watch::check`] says
///   (`Closing` is a GOAWAY, `Ending` the end at once);
/// - call [`Stream::take_down`] now and then, for `underseal conns`.
pub(crate) async fn serve(_worker: Rc<Worker>, watch: Watch, stream: Stream, session: Session) {
    tracing::info!("{}: HTTP/2 is not spoken here", session.remote);
    close(&watch, stream, End::Close).await;
}
