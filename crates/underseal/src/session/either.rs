use std::ops::{Deref, DerefMut};

use super::{ClientConnection, CommonState, ServerConnection};

/// Either side of an established connection, as [`TlsStream`](crate::TlsStream) hands it out.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two sides")]
pub enum Connection {
    /// The client's side.
    Client(ClientConnection),
    /// The server's side.
    Server(ServerConnection),
}

impl From<ClientConnection> for Connection {
    fn from(session: ClientConnection) -> Self {
        Self::Client(session)
    }
}

impl From<ServerConnection> for Connection {
    fn from(session: ServerConnection) -> Self {
        Self::Server(session)
    }
}

impl Deref for Connection {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Self::Client(session) => session,
            Self::Server(session) => session,
        }
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut CommonState {
        match self {
            Self::Client(session) => session,
            Self::Server(session) => session,
        }
    }
}
