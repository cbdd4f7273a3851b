use std::time::Duration;

use underseal_record::dtls::ConnectionId;

/// What bounds a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerConfig {
    /// Most associations at once, handshakes included; beyond it, no client gets any further than its cookie.
    /// 65536 by default.
    pub max_associations: usize,
    /// Most handshakes at once: each has memory, most of it OpenSSL's, of some 80 kilobytes, and up to 350 where its
    /// client makes the most of it; a megabyte more where clients are asked for certificates, whose lists may be long.
    /// Beyond it the oldest of the host (of IPv6, the /64) that has most ends as one that was not over in time. 256 by
    /// default; with 0, none is made.
    pub max_handshakes: usize,
    /// Longest handshake, from the ClientHello with its cookie on. Ten seconds by default.
    pub handshake_timeout: Duration,
    /// Longest silence of an association: without data of the peer and data sent to it. Five minutes by
    /// default.
    pub idle_timeout: Duration,
    /// Bytes of the connection IDs of associations that are added; a record does not say how long the one in
    /// it is. Eight by default, and at most [`ConnectionId::MAX_LEN`].
    pub connection_id_len: usize,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            max_associations: 1 << 16,
            max_handshakes: 256,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            connection_id_len: 8,
        }
    }
}

impl ListenerConfig {
    pub(super) fn id_len(&self) -> usize {
        self.connection_id_len.min(ConnectionId::MAX_LEN)
    }
}
