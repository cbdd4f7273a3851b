//! Early data that the server rejected: what rustls skips is taken out of its sight.
//!
//! A server skips what it cannot open until a record opens, up to `max_early_data_size` (RFC 8446
//! section 4.2.10). rustls counts each try, but it leaves what it skipped in front of what it is
//! shown, tries it again at each call, and soon refuses what it should skip. It says of no record
//! that it was skipped; the other records that it leaves there are parts of a handshake message,
//! which must stay. A copy tells them apart: no key of the moment opens a record that is skipped, or it
//! opens as early data.

use rustls::CipherSuite;
use underseal_record::{ContentType, Opener, SeqNo, TrafficSecret};

use super::hello::Hello;
use super::keys::algorithm;
use super::record_len;
use super::secrets::{Secret, take_secrets_of_handshake};

/// What is known of a server's handshake until the first record behind the ClientHello opens.
#[derive(Default)]
pub(super) struct RejectedEarlyData {
    /// Whether the client offers early data: without that rustls skips nothing. Unknown until its
    /// first hello is whole; in a later one, it may not.
    is_offered: Option<bool>,
    /// Of the client: any record of it that opens is sealed under one of them. Empty while they
    /// are not known, and again once one opened.
    secrets: Vec<Secret>,
}

impl RejectedEarlyData {
    /// A copy of the whole records of `incoming`, before rustls works on them in place.
    pub(super) fn copy(&mut self, incoming: &[u8]) -> Vec<u8> {
        if self.is_offered.is_none() {
            self.is_offered = Hello::at_front_of(incoming).map(|hello| hello.early_data);
        }
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
            let (record, behind) = shown[at..].split_at_mut(len);
            let taken = discard.saturating_sub(at + len);
            let ends_skipping = match (at < discard, self.opens(suite, record)) {
                (_, Opens::Not) => false,
                (true, Opens::Message) => true,
                // With a plain record rustls takes what it skipped before that; early data that it
                // accepted it takes alone.
                (true, Opens::Data) => !holds_plain_record(&behind[..taken.min(behind.len())]),
                (false, Opens::Message) => has_seen_all,
                (false, Opens::Data) => false,
            };
            if ends_skipping {
                // rustls skips nothing from here on, and this record has the number zero no more.
                self.secrets = Vec::new();
                return 0;
            }
            at += len;
        }
        let secrets = take_secrets_of_handshake();
        if self.is_offered != Some(false) {
            self.secrets.extend(secrets);
        }
        match has_seen_all {
            true => at.saturating_sub(discard),
            false => 0,
        }
    }

    /// Whether the record is the first under one of the keys, whatever else is wrong with it.
    fn opens(&self, suite: Option<CipherSuite>, record: &[u8]) -> Opens {
        let Some(Ok(algorithm)) = suite.map(algorithm) else {
            return Opens::Message;
        };
        for secret in &self.secrets {
            let Ok(secret) = TrafficSecret::new(algorithm, secret) else {
                return Opens::Message;
            };
            let mut opener = Opener::new(secret.keys());
            let mut record = record.to_vec();
            // rustls authenticates the length alone.
            record[..3].copy_from_slice(&[APPLICATION_DATA, 3, 3]);
            match opener.open_in_place(&mut record) {
                Ok(opened) if opened.content_type == ContentType::APPLICATION_DATA => {
                    return Opens::Data;
                }
                Ok(_) => return Opens::Message,
                // It authenticated, and nothing else is right with it.
                Err(_) if opener.seq() != SeqNo(0) => return Opens::Message,
                Err(_) => {}
            }
        }
        Opens::Not
    }
}

/// What a record is under the keys of the moment.
enum Opens {
    Not,
    /// Early data which was rejected, or which rustls took: it leaves none that it took.
    Data,
    /// It may be part of a message.
    Message,
}

/// Whether one of the records is never protected, or need not be.
fn holds_plain_record(records: &[u8]) -> bool {
    let mut at = 0;
    while let Some(len) = record_len(&records[at..]) {
        if records[at] != APPLICATION_DATA {
            return true;
        }
        at += len;
    }
    false
}

/// The content type that protected records show (RFC 8446 section 5.2).
const APPLICATION_DATA: u8 = 23;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{KeyLog as _, NoKeyLog};

    use super::super::hello::tests::client_hello;
    use super::super::secrets::KeepsSecrets;
    use super::*;

    #[test]
    fn records_are_looked_at_only_where_the_client_offers_early_data() {
        for offers in [false, true] {
            let hello = client_hello(offers);
            let mut rejected = RejectedEarlyData::default();
            for len in [1, hello.len()] {
                rejected.copy(&hello[..len]);
            }
            let log = KeepsSecrets::of_server(Arc::new(NoKeyLog));
            log.log("CLIENT_HANDSHAKE_TRAFFIC_SECRET", &[0; 32], &[7; 32]);
            rejected.skipped(&mut [], hello.len(), false, None);
            let record = [APPLICATION_DATA, 3, 3, 0, 1, 0];
            assert_eq!(rejected.copy(&record).is_empty(), !offers);
            // The next connection of this thread does not get them.
            assert!(take_secrets_of_handshake().is_empty());
        }
    }
}
