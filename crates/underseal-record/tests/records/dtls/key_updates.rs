//! RFC 9147 section 8: a key update over a path that loses and repeats.

use underseal_record::dtls::{
    EpochKeys, EpochSecret, Handled, KeyUpdates, Opener, RecordNumber, ReplayWindow, Sealer,
};
use underseal_record::{
    Algorithm, ApiMisuse, ContentType, Error, PeerMisbehaved, ProtocolVersion, SeqNo, TrafficKeys,
};

use super::forge13::secret;
use super::{open, seal};

const ALGORITHM: Algorithm = Algorithm::Aes128Gcm;

/// One side: both directions use the same secret here.
struct Side {
    sealer: Sealer,
    opener: Opener,
    updates: KeyUpdates,
}

impl Side {
    fn new() -> Self {
        Self {
            sealer: Sealer::new(secret(ALGORITHM, 3).keys()),
            opener: Opener::new(secret(ALGORITHM, 3).keys(), ReplayWindow::default()),
            updates: KeyUpdates::new(secret(ALGORITHM, 3), secret(ALGORITHM, 3), 7, 7),
        }
    }

    fn send(&mut self, content_type: ContentType, body: &[u8]) -> Vec<u8> {
        let mut out = vec![0; body.len() + self.sealer.overhead()];
        self.sealer.seal(content_type, body, &mut out).unwrap();
        out
    }

    fn send_update(&mut self, request: bool) -> Vec<u8> {
        let message = self.updates.message(request).unwrap();
        self.updates.carried(self.sealer.next_number());
        self.send(ContentType::HANDSHAKE, &message)
    }

    fn take_update(&mut self, record: &[u8]) -> Result<Handled, Error> {
        let (opened, body) = open(&mut self.opener, record).unwrap();
        self.updates
            .received(&body, opened.number, &mut self.opener)
    }

    fn take_ack(&mut self, record: &[u8]) -> bool {
        let (opened, body) = open(&mut self.opener, record).unwrap();
        assert_eq!(opened.content_type, ContentType::ACK);
        self.updates.acknowledged(&body, &mut self.sealer).unwrap()
    }
}

fn ack_in(handled: Result<Handled, Error>) -> [u8; 18] {
    match handled {
        Ok(Handled::Updated { ack, .. } | Handled::Repeated { ack }) => ack,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_key_is_used_after_its_ack_and_not_before() {
    let (mut near, mut far) = (Side::new(), Side::new());
    let update = near.send_update(true);
    let meanwhile = seal(&mut near.sealer, b"meanwhile");
    assert_eq!(near.sealer.next_number().epoch, 3);
    let handled = far.take_update(&update);
    assert!(matches!(
        handled,
        Ok(Handled::Updated {
            is_requested: true,
            ..
        })
    ));
    assert_eq!(far.opener.epoch(), 4);
    assert!(
        open(&mut far.opener, &meanwhile).is_ok(),
        "it was overtaken"
    );
    let ack = far.send(ContentType::ACK, &ack_in(handled));
    assert!(near.updates.is_pending());
    assert!(near.take_ack(&ack));
    assert!(!near.updates.is_pending());
    assert_eq!(near.sealer.next_number().epoch, 4);
    assert!(open(&mut far.opener, &seal(&mut near.sealer, b"new")).is_ok());
    // The other direction has its own.
    assert_eq!(far.sealer.next_number().epoch, 3);
}

#[test]
fn lost_updates_and_lost_acks_are_repeated() {
    let (mut near, mut far) = (Side::new(), Side::new());
    let lost = near.send_update(false);
    let again = near.send_update(false);
    let first = far.take_update(&again);
    assert!(matches!(
        first,
        Ok(Handled::Updated {
            is_requested: false,
            ..
        })
    ));
    // The first one was late, not lost; and this time its ACK arrives.
    let repeated = far.take_update(&lost);
    assert!(matches!(repeated, Ok(Handled::Repeated { .. })));
    assert_eq!(far.opener.epoch(), 4, "once");
    let ack = far.send(ContentType::ACK, &ack_in(repeated));
    assert!(near.take_ack(&ack));
    let late = far.send(ContentType::ACK, &ack_in(first));
    assert!(!near.take_ack(&late), "nothing is pending");
    assert_eq!(near.sealer.next_number().epoch, 4);
}

#[test]
fn there_is_never_a_second_update_before_the_ack_of_the_first() {
    let mut near = Side::new();
    let first = near.updates.message(false).unwrap();
    assert_eq!(near.updates.message(true).unwrap(), first);
    assert_eq!(first, [24, 0, 0, 1, 0, 7, 0, 0, 0, 0, 0, 1, 0]);
}

#[test]
fn acks_of_other_records_and_broken_ones_change_nothing() {
    let mut near = Side::new();
    near.send_update(false);
    let mut ack = [0; 18];
    ack[1] = 16;
    ack[9] = 3;
    for (at, byte) in [(1, 15), (0, 1), (9, 4), (17, 1)] {
        let mut other = ack;
        other[at] = byte;
        let taken = near.updates.acknowledged(&other, &mut near.sealer);
        assert_eq!(taken, Ok(false), "{at}");
    }
    for len in 0..18 {
        let taken = near.updates.acknowledged(&ack[..len], &mut near.sealer);
        assert_eq!(taken, Ok(false));
    }
    assert_eq!(near.updates.acknowledged(&ack, &mut near.sealer), Ok(true));
}

#[test]
fn updates_are_taken_in_order_and_other_messages_passed_over() {
    let mut far = Side::new();
    let mut take = |body: &[u8]| {
        let (epoch, seq) = (far.opener.epoch(), 0);
        far.updates
            .received(body, RecordNumber { epoch, seq }, &mut far.opener)
    };
    let update = |seq, request| [24, 0, 0, 1, 0, seq, 0, 0, 0, 0, 0, 1, request];
    assert_eq!(take(&update(8, 0)), Ok(Handled::Ignored), "7 comes first");
    assert_eq!(take(&[4; 40]), Ok(Handled::Ignored), "no message");
    assert_eq!(take(&update(7, 0)[..12]), Ok(Handled::Ignored));
    let bad = Err(Error::PeerMisbehaved(PeerMisbehaved::BadKeyUpdate));
    assert_eq!(take(&update(7, 2)), bad);
    assert!(matches!(take(&update(7, 1)), Ok(Handled::Updated { .. })));
    assert!(matches!(take(&update(8, 0)), Ok(Handled::Updated { .. })));
}

/// A fragment of a message of `len` bytes.
fn fragment(message_type: u8, seq: u8, len: u8, at: u8, body: &[u8]) -> Vec<u8> {
    let header = [message_type, 0, 0, len, 0, seq, 0, 0, at, 0, 0];
    [&header[..], &[body.len() as u8], body].concat()
}

#[test]
fn tickets_before_an_update_are_acknowledged_and_counted() {
    let mut far = Side::new();
    let (epoch, seq) = (3, 0);
    let mut take = |body: &[u8]| {
        far.updates
            .received(body, RecordNumber { epoch, seq }, &mut far.opener)
    };
    let ticket = |seq| fragment(4, seq, 5, 0, b"12345");
    let both = [ticket(7), ticket(8)].concat();
    assert!(matches!(take(&both), Ok(Handled::Other { .. })));
    assert!(matches!(take(&both), Ok(Handled::Repeated { .. })));
    // One in two parts, the second of which comes first.
    let parts = [fragment(4, 9, 5, 0, b"12"), fragment(4, 9, 5, 2, b"345")];
    assert_eq!(take(&parts[1]), Ok(Handled::Ignored));
    assert!(matches!(take(&parts[0]), Ok(Handled::Other { .. })));
    assert!(matches!(take(&parts[0]), Ok(Handled::Repeated { .. })));
    assert!(matches!(take(&parts[1]), Ok(Handled::Other { .. })));
    let update = fragment(24, 10, 1, 0, &[0]);
    assert!(matches!(take(&update), Ok(Handled::Updated { .. })));
}

#[test]
fn a_fragment_that_is_not_whole_or_longer_than_its_message_is_passed_over() {
    let mut far = Side::new();
    let number = far.sealer.next_number();
    let mut take = |body: &[u8]| far.updates.received(body, number, &mut far.opener);
    let ticket = fragment(4, 7, 5, 0, b"12345");
    for len in 0..ticket.len() {
        assert_eq!(take(&ticket[..len]), Ok(Handled::Ignored), "{len}");
    }
    assert_eq!(take(&fragment(4, 7, 4, 0, b"12345")), Ok(Handled::Ignored));
    assert_eq!(take(&fragment(4, 7, 5, 1, b"12345")), Ok(Handled::Ignored));
    assert!(matches!(take(&ticket), Ok(Handled::Other { .. })));
}

#[test]
fn an_update_in_an_epoch_that_was_left_or_before_another_message_is_the_peers_fault() {
    let mut far = Side::new();
    let bad = Err(Error::PeerMisbehaved(PeerMisbehaved::BadKeyUpdate));
    let number = far.sealer.next_number();
    let update = |seq| fragment(24, seq, 1, 0, &[0]);
    let more = [update(7), fragment(4, 8, 1, 0, b"1")].concat();
    assert_eq!(far.updates.received(&more, number, &mut far.opener), bad);
    let first = far.updates.received(&update(7), number, &mut far.opener);
    assert!(matches!(first, Ok(Handled::Updated { .. })));
    let second = far.updates.received(&update(8), number, &mut far.opener);
    assert_eq!((second, far.opener.epoch()), (bad, 4));
}

/// What is refused changes nothing: not the secrets either.
#[test]
fn keys_of_another_version_are_refused_before_a_secret_moves_on() {
    let mut near = Side::new();
    let misuse = Error::ApiMisuse(ApiMisuse::EpochOrder);
    let tls12 = || {
        let keys = TrafficKeys::new(
            ProtocolVersion::Tls12,
            ALGORITHM,
            &[1; 16],
            [2; 12],
            SeqNo(0),
        );
        EpochKeys::new(keys.unwrap(), 3).unwrap()
    };
    near.send_update(false);
    let number = RecordNumber { epoch: 3, seq: 0 };
    let mut other = Opener::new(tls12(), ReplayWindow::default());
    let body = fragment(24, 7, 1, 0, &[0]);
    let refused = near.updates.received(&body, number, &mut other);
    assert_eq!(refused, Err(misuse));
    let ack = ack_in(near.updates.received(&body, number, &mut near.opener));
    let refused = near.updates.acknowledged(&ack, &mut Sealer::new(tls12()));
    assert_eq!(refused, Err(misuse));
    assert_eq!(near.updates.acknowledged(&ack, &mut near.sealer), Ok(true));
    assert_eq!(near.sealer.next_number().epoch, 4);
}

#[test]
fn no_update_is_begun_where_no_epoch_is_left() {
    let last = || EpochSecret::new(ALGORITHM, &[5; 32], u16::MAX).unwrap();
    let mut updates = KeyUpdates::new(last(), last(), 0, 0);
    assert_eq!(updates.message(false), Err(Error::ConfidentialityLimit));
    assert!(!updates.is_pending());
}
