//! The keys that quinn calls.

use std::sync::Arc;

use bytes::BytesMut;
use quinn_proto::crypto::{self, CryptoError, KeyPair, Keys};
use quinn_proto::{ConnectionId, Side};
use underseal_record::quic::{
    HeaderKey, InitialSecrets, PacketKey, Version, confidentiality_limits, header_key,
    integrity_limit, packet_key, update_secret,
};
use underseal_record::{Backend, TAG_LEN, TrafficSecret};

const VERSION: Version = Version::V1;

/// Bytes of ciphertext that header protection samples.
const SAMPLE_LEN: usize = 16;
/// Bytes between the start of the packet number and the sample, whatever the number's length.
const MAX_NUMBER_LEN: usize = 4;

/// One direction of a connection: what the keys of its packets are made from.
pub(super) struct DirectionalSecret {
    secret: TrafficSecret,
    header: Arc<HeaderKey>,
}

impl DirectionalSecret {
    pub(super) fn new(secret: TrafficSecret) -> Self {
        let header = header_key(VERSION, &secret, Backend::preferred(secret.algorithm()));
        let header = Arc::new(header);
        Self { secret, header }
    }

    /// Goes on to the keys of the next generation; that of the headers stays.
    pub(super) fn update(&mut self) {
        update_secret(VERSION, &mut self.secret);
    }

    pub(super) fn packet(&self) -> Box<dyn crypto::PacketKey> {
        let backend = Backend::preferred(self.secret.algorithm());
        Box::new(Packets {
            key: packet_key(VERSION, &self.secret, backend),
            header: Arc::clone(&self.header),
        })
    }

    pub(super) fn header(&self) -> Box<dyn crypto::HeaderKey> {
        Box::new(Headers(Arc::clone(&self.header)))
    }
}

/// The keys of both directions.
pub(super) fn keys(directions: &KeyPair<DirectionalSecret>) -> Keys {
    Keys {
        header: KeyPair {
            local: directions.local.header(),
            remote: directions.remote.header(),
        },
        packet: packets(directions),
    }
}

/// Those of the payloads alone.
pub(super) fn packets(
    directions: &KeyPair<DirectionalSecret>,
) -> KeyPair<Box<dyn crypto::PacketKey>> {
    KeyPair {
        local: directions.local.packet(),
        remote: directions.remote.packet(),
    }
}

/// Of what a client and a server have, the own and the peer's.
pub(super) fn of_side<T>(side: Side, client: T, server: T) -> KeyPair<T> {
    let (local, remote) = match side {
        Side::Client => (client, server),
        Side::Server => (server, client),
    };
    KeyPair { local, remote }
}

/// The keys of Initial packets, by the destination connection ID of the client's first.
pub(super) fn initial(destination: &ConnectionId, side: Side) -> Keys {
    let secrets = InitialSecrets::new(VERSION, destination);
    let (client, server) = (secrets.client, secrets.server);
    keys(&of_side(
        side,
        DirectionalSecret::new(client),
        DirectionalSecret::new(server),
    ))
}

/// Seals a packet with its header, and opens its payload.
struct Packets {
    key: PacketKey,
    header: Arc<HeaderKey>,
}

/// Why a packet is sealed.
const SEALED: &str = "quinn pads packets, and keeps them shorter than 64 KiB";

impl crypto::PacketKey for Packets {
    /// Protects the header, too: nothing of it changes before quinn asks its key to.
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        let number_at = header_len - (usize::from(buf[0] & 3) + 1);
        let sealed = self.key.seal_packet(&self.header, buf, number_at, packet);
        sealed.expect(SEALED);
    }

    fn decrypt(
        &self,
        packet: u64,
        header: &[u8],
        payload: &mut BytesMut,
    ) -> Result<(), CryptoError> {
        let opened = self.key.open_in_place(0, packet, header, payload);
        let len = opened.map_err(|_| CryptoError)?.len();
        payload.truncate(len);
        Ok(())
    }

    fn tag_len(&self) -> usize {
        TAG_LEN
    }

    fn confidentiality_limit(&self) -> u64 {
        confidentiality_limits(self.key.algorithm()).hard
    }

    fn integrity_limit(&self) -> u64 {
        integrity_limit(self.key.algorithm())
    }
}

/// Shows the headers of packets that arrived.
struct Headers(Arc<HeaderKey>);

impl crypto::HeaderKey for Headers {
    /// quinn has looked whether the packet has a sample.
    fn decrypt(&self, pn_offset: usize, packet: &mut [u8]) {
        let (header, rest) = packet.split_at_mut(pn_offset + MAX_NUMBER_LEN);
        let sample = rest.first_chunk().expect("quinn has looked for a sample");
        let (first, rest) = header.split_at_mut(1);
        let shown = self
            .0
            .unprotect(sample, &mut first[0], &mut rest[pn_offset - 1..]);
        shown.expect("there are as many bytes as the longest number has");
    }

    /// The packet's key has done so.
    fn encrypt(&self, _: usize, _: &mut [u8]) {}

    fn sample_size(&self) -> usize {
        SAMPLE_LEN
    }
}
