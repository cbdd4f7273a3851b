//! The limits of HTTP/2 connections, all in one place.
//!
//! What one client can make the proxy hold: a window of data per connection, as many heads as there
//! are streams, and what is on its way to it. What it can make the proxy do beyond that is rationed
//! in [`super::flood`].

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{client, server};

/// Most streams of a client at once.
pub(crate) const CLIENT_STREAMS: u32 = 128;

/// Bytes of a client's uploads that are read ahead: of one, and of all of them.
const CLIENT_STREAM_WINDOW: u32 = 256 * 1024;
const CLIENT_WINDOW: u32 = 1024 * 1024;

/// Most streams on a connection to a backend; beyond them another connection is made.
pub(crate) const BACKEND_STREAMS: usize = 100;

/// Most connections of a worker to a backend: as many as are kept of HTTP/1.1. Beyond them requests wait.
pub(crate) const BACKEND_CONNECTIONS: usize = 256;

/// How many streams a backend takes that has not said it. No backend can say that number, which does not fit
/// into a setting, and the library puts [`usize::MAX`] in its place where there is no limit.
const NOT_SAID: usize = usize::MAX - 1;

/// Bytes of a backend's responses that are read ahead: of one, and of all of them. Clients share
/// the connection, so there is room for all of it: one that reads nothing holds up nobody else.
const BACKEND_STREAM_WINDOW: u32 = 128 * 1024;
const BACKEND_WINDOW: u32 = BACKEND_STREAM_WINDOW * BACKEND_STREAMS as u32;

/// Bytes of a stream that wait for the socket.
const SEND_BUFFER: usize = 128 * 1024;

/// Longest payload of a frame (the least that RFC 9113 section 6.5.2 allows to ask for).
const MAX_FRAME: u32 = 16 * 1024;

/// Longest list of fields that a backend may answer with.
pub(crate) const MAX_RESPONSE_HEAD: u32 = 64 * 1024;

/// Streams that were reset and are still remembered, so that what was under way is told from a
/// fault: of a client.
const REMEMBERED_RESETS: usize = 64;

/// The same to a backend: all that clients leave at once, and again while that is under way.
const REMEMBERED_BACKEND_RESETS: usize = 10 * BACKEND_STREAMS;

/// What the library counts for small pieces that nobody has taken. It counts those on streams that were
/// reset for as long as the connection lasts, so that what a client leaves would in the end cut off what it
/// does not, and others on a connection to a backend; and a burst of messages ends what is only slow. There is
/// no such limit. What waits is bounded by the windows, and does not grow with the pieces: few come in a turn
/// ([`super::inbound`]), and whoever cannot pass them on puts them together ([`crate::parts::Parts::hold`]; towards
/// whom reads less than there is, [`crate::parts::Pump`]).
const PIECES_LEFT: usize = usize::MAX;

/// Streams that a client made us reset by breaking the protocol: the connection ends with the next
/// one. Those of a backend are not counted: its connection is that of other clients too, who are not to
/// be cut off for what one of them asks for.
pub(crate) const FAULTS: usize = 100;

/// Streams that a client reset before we had looked at them.
const UNSEEN_RESETS: usize = 20;

/// The server's side, with heads of up to `max_head` bytes, and with WebSocket if it `has_websocket` (RFC
/// 8441).
pub(crate) fn server(max_head: usize, has_websocket: bool) -> server::Builder {
    let mut builder = server::Builder::new();
    if has_websocket {
        builder.enable_connect_protocol();
    }
    builder
        .max_concurrent_streams(CLIENT_STREAMS)
        .initial_window_size(CLIENT_STREAM_WINDOW)
        .initial_connection_window_size(CLIENT_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .max_local_error_reset_streams(Some(FAULTS))
        .data_frame_budget(PIECES_LEFT)
        .max_pending_accept_reset_streams(UNSEEN_RESETS);
    builder
}

/// The client's side.
pub(crate) fn client() -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(NOT_SAID)
        .initial_window_size(BACKEND_STREAM_WINDOW)
        .initial_connection_window_size(BACKEND_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_RESPONSE_HEAD)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(REMEMBERED_BACKEND_RESETS)
        .max_local_error_reset_streams(None)
        .data_frame_budget(PIECES_LEFT);
    builder
}

/// Whether a backend has said what its limits are.
pub(crate) fn are_known(sender: &SendRequest<Bytes>) -> bool {
    sender.current_max_send_streams() != NOT_SAID
}
