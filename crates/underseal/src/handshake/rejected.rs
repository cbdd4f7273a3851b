//! Early data that the server rejected: what rustls skips is taken out of its sight.
//!
//! A server skips what it cannot open until a record opens, up to `max_early_data_size` (RFC 8446
//! section 4.2.10). rustls counts each try, but it leaves what it skipped in front of what it is
//! shown, tries it again at each call, and soon refuses what it should skip. It says of no record
//! that it was skipped; the other records that it leaves there are parts of a handshake message,
//! which must stay. A copy tells them apart: no key of the moment opens a record that is skipped, or it
//! opens as early data.

use rustls::CipherSuite;
use underseal_record::{ContentType, Opener, PeerMisbehaved, TrafficSecret};

use super::keys::algorithm;
use super::record_len;
use super::secrets::{Secret, take_secrets_of_handshake};

/// What is known of a server's handshake until the first record behind the ClientHello opens.
#[derive(Default)]
pub(super) struct RejectedEarlyData {
    /// Of the client: any record of it that opens is sealed under one of them. Empty while they
    /// are not known, and again once one opened.
    secrets: Vec<Secret>,
}

impl RejectedEarlyData {
    /// A copy of the whole records of `incoming`, before rustls works on them in place.
    pub(super) fn copy(&self, incoming: &[u8]) -> Vec<u8> {
        let mut whole = 0;
        while !self.secrets.is_empty()
            && let Some(len) = record_len(&incoming[whole..])
        {
            whole += len;
        }
        incoming[..whole].to_vec()
    }

    /// How many bytes behind the `discard` that rustls is done with it skipped. `shown` is the
    /// [`copy`](Self::copy) of what it was shown; `has_seen_all` is whether it asks for more.
    pub(super) fn skipped(
        &mut self,
        shown: &mut [u8],
        discard: usize,
        has_seen_all: bool,
        suite: Option<CipherSuite>,
    ) -> usize {
        let mut at = 0;
        while let Some(len) = record_len(&shown[at..]) {
            let record = &mut shown[at..at + len];
            let ends_skipping = match at < discard {
                true => record[0] == APPLICATION_DATA,
                false => has_seen_all && self.may_be_message(suite, record),
            };
            if ends_skipping {
                // rustls skips nothing from here on, and this record has the number zero no more.
                self.secrets = Vec::new();
                return 0;
            }
            at += len;
        }
        self.secrets.extend(take_secrets_of_handshake());
        match has_seen_all {
            true => at.saturating_sub(discard),
            false => 0,
        }
    }

    /// Whether the record, which rustls left there, may be part of a message: the first under one of
    /// the keys, whatever else is wrong with it. Data that opens is early data which was rejected:
    /// rustls leaves none that it took.
    fn may_be_message(&self, suite: Option<CipherSuite>, record: &mut [u8]) -> bool {
        let Some(Ok(algorithm)) = suite.map(algorithm) else {
            return true;
        };
        // rustls authenticates the length alone.
        record[..3].copy_from_slice(&[APPLICATION_DATA, 3, 3]);
        self.secrets.iter().any(|secret| {
            let Ok(secret) = TrafficSecret::new(algorithm, secret) else {
                return true;
            };
            match Opener::new(secret.keys()).open_in_place(&mut record.to_vec()) {
                Ok(opened) => opened.content_type != ContentType::APPLICATION_DATA,
                Err(error) => error != PeerMisbehaved::BadRecordMac.into(),
            }
        })
    }
}

/// The content type that protected records show (RFC 8446 section 5.2).
const APPLICATION_DATA: u8 = 23;
