use std::net::UdpSocket;

use proptest::prelude::*;
use underseal_record::dtls::{Discard, Sealer};

use super::*;
use crate::ConnectionIds;
use crate::handshake_io::OVERHEAD;
use crate::testing::keys;

/// A record of the peer's under this number.
fn record(seq: u64, content_type: ContentType, plaintext: &[u8]) -> Vec<u8> {
    let mut keys = keys(1);
    keys.skip_to(seq).expect("it is used once");
    let mut sealer = Sealer::new(keys);
    let mut record = vec![0; plaintext.len() + sealer.overhead()];
    let len = sealer.seal(content_type, plaintext, &mut record);
    record.truncate(len.expect("there is room"));
    record
}

fn data(seq: u64) -> Vec<u8> {
    record(seq, ContentType::APPLICATION_DATA, &seq.to_be_bytes())
}

fn finished(seq: u64) -> Vec<u8> {
    record(seq, ContentType::HANDSHAKE, &[20; 24])
}

/// A socket that has taken over a handshake in which these records came, in this order.
fn handed_over(records: &[Vec<u8>]) -> Endpoint<UdpSocket> {
    let mut seen = Seen::default();
    records.iter().for_each(|record| seen.received(record));
    let (mut received, tally) = (Received::new(keys(1), Unread::All), Arc::<Tally>::default());
    received.read(&seen, &tally);
    let (receive, window) = received.opener.into_parts();
    let parts = Parts::new(keys(0), receive, window);
    let (engines, ids) = (parts.into_engines(), ConnectionIds::default());
    let association = Association::counted_by(tally, engines, ids, Vec::new());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let endpoint = Endpoint::new(socket, association);
    endpoint.take_early(received.early);
    endpoint
}

/// What is there for a reader, until there is an end or nothing.
fn received(endpoint: &Endpoint<UdpSocket>) -> (Vec<u64>, Option<Error>) {
    let (mut numbers, mut payload) = (Vec::new(), [0; 8]);
    loop {
        match endpoint.association().ready(&mut payload) {
            Some(Ok(_)) => numbers.push(u64::from_be_bytes(payload)),
            Some(Err(end)) => return (numbers, Some(end)),
            None => return (numbers, None),
        }
    }
}

#[test]
fn data_is_received_that_a_finished_overtook_by_more_than_the_window() {
    for arrived in [[data(1), finished(9000)], [finished(9000), data(1)]] {
        let endpoint = handed_over(&arrived);
        assert!(matches!(received(&endpoint), (numbers, None) if numbers == [1]));
    }
}

#[test]
fn data_is_received_that_its_close_notify_overtook() {
    let close = record(3, ContentType::ALERT, &[1, 0]);
    let endpoint = handed_over(&[close, data(1), finished(0), data(2)]);
    let (numbers, end) = received(&endpoint);
    assert_eq!(numbers, [1, 2]);
    assert!(matches!(end, Some(Error::ClosedByPeer)), "{end:?}");
}

#[test]
fn what_is_dropped_of_what_came_early_is_counted_by_its_reason() {
    let mut forged = data(1);
    *forged.last_mut().expect("it is not empty") ^= 1;
    let close = record(5, ContentType::ALERT, &[1, 0]);
    let arrived = [
        finished(0),
        data(2),
        data(2),
        forged,
        data(6),
        close,
        data(7),
    ];
    let endpoint = handed_over(&arrived);
    assert_eq!(received(&endpoint).0, [2]);
    let counters = endpoint.counters();
    let dropped =
        [Discard::Replayed, Discard::Forged, Discard::Ended].map(|why| counters.dropped(why));
    assert_eq!(dropped, [1, 1, 2]);
    assert_eq!(counters.all_dropped(), 4);
}

#[test]
fn what_a_flood_displaces_is_counted() {
    let mut flood = record(2, ContentType::APPLICATION_DATA, &[7; 1000]);
    *flood.last_mut().expect("it is not empty") ^= 1;
    let mut arrived = vec![data(1)];
    arrived.resize(101, flood);
    arrived.push(finished(0));
    let endpoint = handed_over(&arrived);
    let counters = endpoint.counters();
    let [finished, flooding] = [&arrived[101], &arrived[1]].map(|one| one.len() + OVERHEAD);
    let kept = ((1 << 16) - finished) / flooding;
    assert_eq!(counters.dropped(Discard::Forged), kept as u64);
    let displaced = counters.dropped(Discard::Displaced);
    assert_eq!(displaced, 101 - kept as u64);
}

proptest! {
    /// In whatever order they come, how far apart they are, and how often.
    #[test]
    fn each_record_is_received_once(
        numbers in prop::collection::vec(0_u64..10_000, 1..20),
        from in any::<prop::sample::Index>(),
    ) {
        let again = from.index(numbers.len());
        let mut arrived: Vec<_> = numbers.iter().map(|number| data(*number)).collect();
        arrived.extend_from_within(again..);
        let endpoint = handed_over(&arrived);
        let mut expected = numbers.clone();
        expected.sort_unstable();
        expected.dedup();
        let (delivered, end) = received(&endpoint);
        prop_assert!(end.is_none());
        prop_assert_eq!(delivered, expected);
        // And not from the wire any more.
        for record in &mut arrived {
            let len = record.len();
            let taken = endpoint.association().take(record, len, &mut [0; 8], &mut |_| {});
            prop_assert_eq!(taken, None);
        }
    }
}
