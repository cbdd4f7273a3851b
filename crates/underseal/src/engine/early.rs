//! What stands in a connection's place while its stream has nothing but a handshake.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use underseal_record::{
    Algorithm, Limits, Opener, Padding, ProtocolVersion, Sealer, SeqNo, TrafficKeys,
};

use super::{Connection, End, Receive, Transmit, user};
use crate::Error;
use crate::handshake::Tickets;
use crate::session::Orders;

impl Connection {
    /// Takes settings and programs for the connection to come. Both directions are closed, so the
    /// keys, which are nobody's, seal and open nothing and move nowhere.
    pub(crate) fn before_handshake(orders: Arc<Orders>) -> Result<Self, Error> {
        let keys = || {
            let version = ProtocolVersion::Tls13;
            let algorithm = Algorithm::Aes128Gcm;
            TrafficKeys::new(version, algorithm, &[0; 16], [0; 12], SeqNo(0))
        };
        let tx = user::Transmit::new(Sealer::new(keys()?), None, &[], true);
        let rx = user::Receive::new(Opener::new(keys()?), None, &[], &[]);
        let not_complete = Error::from(rustls::Error::HandshakeNotComplete);
        let end = Some(End::Failed(not_complete));
        let (tx, rx) = (Transmit::User(tx), Receive::User(rx));
        let mut connection = Self::new(tx, rx, Tickets::Refused, orders, end);
        connection.is_early = true;
        Ok(connection)
    }

    /// Its handshake failed.
    pub(crate) fn fail_early(&mut self, error: Error) {
        self.is_early = false;
        self.end = Some(Box::new(End::Failed(error)));
        self.close_inbox(underseal_message::MessageDirection::Egress);
        self.close_inbox(underseal_message::MessageDirection::Ingress);
        self.wake_reader();
    }

    /// Takes over what `early` was given; nothing of it if this fails, so that who waits for `early`
    /// is told.
    pub(crate) fn take_over(
        &mut self,
        early: &mut Self,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        if early.tx.limits() != Limits::of(ProtocolVersion::Tls13, Algorithm::Aes128Gcm) {
            self.tx.lower_limits(early.tx.limits());
        }
        if early.tx.padding() != Padding::None {
            self.tx.set_padding(early.tx.padding())?;
        }
        self.offload(socket, early.moving.wished())?;
        self.limit_buffer();
        self.programs = std::mem::take(&mut early.programs);
        self.reader = early.reader.take();
        self.control.deliver_records = early.control.deliver_records;
        Ok(())
    }
}
