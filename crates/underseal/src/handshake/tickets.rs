use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;

use crate::{Error, PeerMisbehaved};

/// Where session tickets go that come after the handshake.
pub(crate) enum Tickets {
    /// Nowhere: servers send them.
    Server,
    /// Into the session store of the client's configuration.
    Store(Box<KernelConnection<ClientConnectionData>>),
    /// Nowhere: the client's stream came from another process, its store did not.
    Refused,
}

impl Tickets {
    pub(crate) fn is_client(&self) -> bool {
        !matches!(self, Self::Server)
    }

    pub(crate) fn take(&mut self, body: &[u8]) -> Result<(), Error> {
        match self {
            Self::Store(kernel) => kernel
                .handle_new_session_ticket(body)
                .map_err(|_| PeerMisbehaved::InvalidTicket.into()),
            // A ticket is an offer that may be ignored.
            Self::Server | Self::Refused => Ok(()),
        }
    }
}
