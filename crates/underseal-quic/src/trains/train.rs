//! Datagrams that leave in one call.

use std::net::{IpAddr, SocketAddr};

use quinn::udp::{EcnCodepoint, Transmit};

/// Most datagrams that quinn sends at once (`MAX_TRANSMIT_SEGMENTS` of its `connection.rs`). A connection
/// that sends fewer has no more to send.
pub(super) const QUINNS: usize = 10;

/// Most bytes of an IP packet, less the smallest headers that UDP has below it.
const MAX_BYTES: usize = u16::MAX as usize - 20 - 8;

/// Where datagrams go, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    destination: SocketAddr,
    ecn: Option<EcnCodepoint>,
    source: Option<IpAddr>,
}

impl Way {
    fn of(transmit: &Transmit<'_>) -> Self {
        Self {
            destination: transmit.destination,
            ecn: transmit.ecn,
            source: transmit.src_ip,
        }
    }
}

/// Datagrams of one way, each as long as the first; the last may be shorter.
#[derive(Default)]
pub(super) struct Train {
    way: Option<Way>,
    bytes: Vec<u8>,
    /// Bytes of each datagram.
    segment: usize,
}

impl Train {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether `transmit` may follow in the same call, of which the socket takes `most` datagrams.
    pub(super) fn takes(&self, transmit: &Transmit<'_>, most: usize) -> bool {
        let more = transmit.contents.len();
        let fits = match transmit.segment_size {
            Some(segment) => segment == self.segment,
            None => more <= self.segment,
        };
        fits && self.way == Some(Way::of(transmit))
            && self.bytes.len().is_multiple_of(self.segment)
            && self.has_room_for(more, most)
    }

    /// Whether another train of quinn's could follow.
    pub(super) fn is_full(&self, most: usize) -> bool {
        !self.has_room_for(QUINNS * self.segment, most)
    }

    fn has_room_for(&self, more: usize, most: usize) -> bool {
        let bytes = self.bytes.len() + more;
        bytes <= MAX_BYTES && bytes.div_ceil(self.segment) <= most
    }

    /// Adds what it [`takes`](Self::takes), or anything where it is empty.
    pub(super) fn push(&mut self, transmit: &Transmit<'_>) {
        if self.is_empty() {
            self.way = Some(Way::of(transmit));
            self.segment = transmit.segment_size.unwrap_or(transmit.contents.len());
        }
        self.bytes.extend_from_slice(transmit.contents);
    }

    /// What is to be sent, if anything is.
    pub(super) fn transmit(&self) -> Option<Transmit<'_>> {
        let way = self.way.filter(|_| !self.is_empty())?;
        Some(Transmit {
            destination: way.destination,
            ecn: way.ecn,
            contents: &self.bytes,
            segment_size: Some(self.segment),
            src_ip: way.source,
        })
    }

    /// Its buffer stays.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// Whether quinn stopped at as many datagrams as it sends at once, so that others may follow.
pub(super) fn goes_on(transmit: &Transmit<'_>) -> bool {
    let full = transmit.segment_size.map(|segment| QUINNS * segment);
    full == Some(transmit.contents.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 64;

    fn transmit(contents: &[u8], segment_size: Option<usize>) -> Transmit<'_> {
        Transmit {
            destination: ([192, 0, 2, 1], 443).into(),
            ecn: Some(EcnCodepoint::Ect0),
            contents,
            segment_size,
            src_ip: None,
        }
    }

    fn held(bytes: &[u8], segment: usize) -> Train {
        let mut train = Train::default();
        train.push(&transmit(bytes, Some(segment)));
        train
    }

    #[test]
    fn only_datagrams_of_the_same_way_and_length_join() {
        let bytes = [7; 3000];
        let train = held(&bytes, 100);
        let like = transmit(&bytes[..1000], Some(100));
        assert!(train.takes(&like, MOST));
        assert!(train.takes(&transmit(&bytes[..100], None), MOST));
        assert!(train.takes(&transmit(&bytes[..1], None), MOST), "the last");
        for other in [
            transmit(&bytes[..990], Some(99)),
            transmit(&bytes[..101], None),
            Transmit {
                destination: ([192, 0, 2, 1], 444).into(),
                ..like.clone()
            },
            Transmit {
                ecn: None,
                ..like.clone()
            },
            Transmit {
                src_ip: Some([192, 0, 2, 9].into()),
                ..like.clone()
            },
        ] {
            assert!(!train.takes(&other, MOST), "{other:?}");
        }
    }

    #[test]
    fn nothing_follows_a_datagram_that_is_shorter() {
        let train = held(&[7; 250], 100);
        assert!(!train.takes(&transmit(&[7; 100], None), MOST));
    }

    #[test]
    fn a_train_has_no_more_datagrams_and_bytes_than_one_call_takes() {
        let bytes = vec![7; MAX_BYTES];
        let train = held(&bytes[..5400], 100);
        let ten = transmit(&bytes[..1000], Some(100));
        assert!(train.takes(&ten, 64) && !train.is_full(64));
        assert!(!train.takes(&ten, 63) && train.is_full(63));
        let train = held(&bytes[..44 * 1452], 1452);
        assert!(train.is_full(MOST));
        assert!(train.takes(&transmit(&bytes[..1452], None), MOST));
        let train = held(&bytes[..45 * 1452], 1452);
        assert!(!train.takes(&transmit(&bytes[..1452], None), MOST));
    }

    #[test]
    fn what_was_pushed_is_sent_as_one_and_then_another_way_may_begin() {
        let mut train = held(&[1; 200], 100);
        train.push(&transmit(&[2; 30], None));
        let sent = train.transmit().map(|sent| {
            assert_eq!(
                (sent.segment_size, sent.ecn),
                (Some(100), Some(EcnCodepoint::Ect0))
            );
            sent.contents.to_vec()
        });
        assert_eq!(sent, Some([&[1; 200][..], &[2; 30]].concat()));
        train.clear();
        assert!(train.transmit().is_none());
        train.push(&transmit(&[3; 40], None));
        assert_eq!(
            train.transmit().map(|sent| sent.segment_size),
            Some(Some(40))
        );
    }

    #[test]
    fn more_follows_a_train_as_long_as_quinns_and_no_other() {
        assert!(goes_on(&transmit(&[7; 1000], Some(100))));
        assert!(!goes_on(&transmit(&[7; 999], Some(100))));
        assert!(!goes_on(&transmit(&[7; 900], Some(100))));
        assert!(!goes_on(&transmit(&[7; 1000], None)));
    }
}
