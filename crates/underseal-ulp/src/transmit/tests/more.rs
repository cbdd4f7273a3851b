//! Records that stay open over several sends.

use proptest::prelude::*;

use super::*;

/// Room for everything.
fn open_socket() -> Socket {
    Socket {
        room: usize::MAX,
        ..Socket::default()
    }
}

fn more(transmit: &mut Transmit, data: &[u8], socket: &mut Socket) -> Result<usize, Errno> {
    transmit.send_more(&mut &*data, data.len(), socket, &mut Lent::new())
}

fn last(transmit: &mut Transmit, data: &[u8], socket: &mut Socket) -> Result<usize, Errno> {
    transmit.send(&mut &*data, data.len(), socket, &mut Lent::new())
}

/// The records of a wire, none of them in part.
fn opened(suite: (ProtocolVersion, Algorithm), socket: &Socket) -> Vec<(u8, Vec<u8>)> {
    let (records, rest) = open(&mut opener(suite), &socket.taken);
    assert_eq!(rest, 0, "a part of a record");
    records
}

fn data_record(data: &[u8]) -> (u8, Vec<u8>) {
    (23, data.to_vec())
}

#[test]
fn a_record_stays_open_until_a_send_does_not_say_that_more_follows() {
    for suite in ALL {
        let mut transmit = transmit(suite);
        let mut socket = open_socket();
        for text in [&b"one"[..], b"two"] {
            assert_eq!(more(&mut transmit, text, &mut socket), Ok(3));
            assert!(socket.taken.is_empty());
            assert_eq!(transmit.held_record(), Some(SeqNo(0)));
            assert!(transmit.owed() > 0);
        }
        assert_eq!(last(&mut transmit, b"three", &mut socket), Ok(5));
        assert_eq!(transmit.held_record(), None);
        assert_eq!(transmit.owed(), 0);
        assert_eq!(opened(suite, &socket), [data_record(b"onetwothree")]);
    }
}

#[test]
fn an_open_record_goes_when_it_is_full() {
    let data = payload(40_000);
    let mut transmit = transmit(TLS13);
    let mut socket = open_socket();
    assert_eq!(
        more(&mut transmit, &data[..16_000], &mut socket),
        Ok(16_000)
    );
    assert!(socket.taken.is_empty());
    assert_eq!(
        more(&mut transmit, &data[16_000..16_384], &mut socket),
        Ok(384)
    );
    assert_eq!(opened(TLS13, &socket).len(), 1);
    assert_eq!(transmit.held_record(), None);
    assert_eq!(
        more(&mut transmit, &data[16_384..], &mut socket),
        Ok(23_616)
    );
    assert_eq!(opened(TLS13, &socket).len(), 2);
    assert_eq!(transmit.held_record(), Some(SeqNo(2)));
    assert_eq!(transmit.end_record(&mut socket), Ok(()));
    let expected: Vec<_> = data.chunks(MAX_PLAINTEXT).map(data_record).collect();
    assert_eq!(opened(TLS13, &socket), expected);
}

#[test]
fn an_open_record_is_ended_by_one_of_another_type_and_by_new_keys() {
    let mut transmit = transmit(TLS13);
    let mut socket = open_socket();
    assert_eq!(more(&mut transmit, b"data", &mut socket), Ok(4));
    let alert = transmit.send_control(ContentType::ALERT, &[1, 90], &mut socket);
    assert_eq!(alert, Ok(2));
    assert_eq!(more(&mut transmit, b"old", &mut socket), Ok(3));
    assert_eq!(transmit.replace_keys(keys(TLS13, 8, 0)), Ok(()));
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    let expected = [data_record(b"data"), (21, vec![1, 90]), data_record(b"old")];
    assert_eq!(opened(TLS13, &socket), expected);
}

#[test]
fn no_other_call_ends_an_open_record_unless_a_head_is_in_it() {
    let mut transmit = transmit(TLS13);
    let mut socket = open_socket();
    assert_eq!(more(&mut transmit, b"open", &mut socket), Ok(4));
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    assert!(socket.taken.is_empty());
    assert!(transmit.hold(b"head"));
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    assert!(transmit.hold(b"head"));
    assert_eq!(more(&mut transmit, b"open", &mut socket), Ok(4));
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    let expected = [data_record(b"openhead"), data_record(b"headopen")];
    assert_eq!(opened(TLS13, &socket), expected);
    assert_eq!(more(&mut transmit, b"open", &mut socket), Ok(4));
    assert_eq!(transmit.flush(&mut socket), Ok(()));
    assert!(transmit.owed() > 0);
}

#[test]
fn nothing_is_held_behind_what_the_socket_did_not_take() {
    let data = payload(20_000);
    let mut transmit = transmit(TLS13);
    let mut socket = Socket::default();
    assert_eq!(more(&mut transmit, &data, &mut socket), Err(Errno::AGAIN));
    assert_eq!(transmit.held_record(), None);
    socket.room = usize::MAX;
    assert_eq!(more(&mut transmit, &data, &mut socket), Ok(20_000));
    assert_eq!(transmit.end_record(&mut socket), Ok(()));
    assert_eq!(data_of(&opened(TLS13, &socket)), data);
}

#[test]
fn an_open_record_at_a_full_socket_waits_sealed() {
    let mut transmit = transmit(TLS13);
    let mut socket = Socket::default();
    assert_eq!(more(&mut transmit, b"open", &mut socket), Ok(4));
    assert_eq!(transmit.end_record(&mut socket), Err(Errno::AGAIN));
    assert!(transmit.owed() > 0);
    assert_eq!(more(&mut transmit, b"x", &mut socket), Err(Errno::AGAIN));
    assert_eq!(last(&mut transmit, b"x", &mut socket), Err(Errno::AGAIN));
    socket.room = usize::MAX;
    assert_eq!(last(&mut transmit, b"x", &mut socket), Ok(1));
    assert_eq!(
        opened(TLS13, &socket),
        [data_record(b"open"), data_record(b"x")]
    );
}

#[test]
fn an_error_of_the_socket_comes_when_the_record_is_full_or_ended() {
    let mut transmit = transmit(TLS13);
    let mut socket = Socket {
        fails: Some(Errno::PIPE),
        ..Socket::default()
    };
    assert_eq!(more(&mut transmit, b"open", &mut socket), Ok(4));
    assert_eq!(transmit.end_record(&mut socket), Err(Errno::PIPE));
    assert_eq!(more(&mut transmit, b"open", &mut socket), Err(Errno::PIPE));
}

#[test]
fn what_could_not_be_sealed_is_not_held() {
    let limit = underseal_record::Limits::of(TLS13.0, TLS13.1).hard;
    let mut transmit = Transmit::new(keys(TLS13, 7, limit - 1));
    let mut socket = open_socket();
    let data = payload(MAX_PLAINTEXT + 1);
    let sent = more(&mut transmit, &data, &mut socket);
    assert_eq!(sent, Ok(MAX_PLAINTEXT));
    assert_eq!(more(&mut transmit, b"x", &mut socket), Err(Errno::BADMSG));
    assert_eq!(transmit.held_record(), None);
}

/// Memory of which a part cannot be read.
struct Unreadable(usize);

impl Plaintext for Unreadable {
    fn at(&mut self, position: usize, most: usize) -> Result<&[u8], Errno> {
        match self.0.saturating_sub(position) {
            0 => Err(Errno::FAULT),
            len => Ok(&[0; 100][..len.min(most)]),
        }
    }
}

#[test]
fn what_was_taken_before_a_bad_address_counts() {
    let mut transmit = transmit(TLS13);
    let mut socket = open_socket();
    let mut send = |transmit: &mut Transmit, readable| {
        transmit.send_more(
            &mut Unreadable(readable),
            100,
            &mut socket,
            &mut Lent::new(),
        )
    };
    assert_eq!(send(&mut transmit, 0), Err(Errno::FAULT));
    assert_eq!(transmit.held_record(), None);
    assert_eq!(send(&mut transmit, 60), Ok(60));
    assert_eq!(transmit.end_record(&mut socket), Ok(()));
    assert_eq!(opened(TLS13, &socket), [data_record(&[0; 60])]);
}

#[test]
fn records_are_cut_to_what_the_peer_takes() {
    for (suite, least) in [(ALL[0], 64), (TLS13, 63)] {
        let mut transmit = transmit(suite);
        let mut socket = open_socket();
        for refused in [0, least - 1, 16_385, u16::MAX] {
            assert_eq!(transmit.set_max_payload(refused), Err(Errno::INVAL));
        }
        assert_eq!(transmit.max_payload(), MAX_PLAINTEXT);
        assert_eq!(more(&mut transmit, b"open", &mut socket), Ok(4));
        assert_eq!(transmit.set_max_payload(512), Err(Errno::BUSY));
        assert_eq!(transmit.end_record(&mut socket), Ok(()));
        assert_eq!(transmit.set_max_payload(least), Ok(()));
        assert_eq!(transmit.max_payload(), usize::from(least));
        let data = payload(1000);
        assert_eq!(more(&mut transmit, &data[..990], &mut socket), Ok(990));
        assert_eq!(last(&mut transmit, &data[990..], &mut socket), Ok(10));
        assert_eq!(transmit.set_max_payload(16_384), Ok(()));
        let mut expected = vec![data_record(b"open")];
        expected.extend(data.chunks(usize::from(least)).map(data_record));
        assert_eq!(opened(suite, &socket), expected, "{suite:?}");
    }
}

/// What a program does.
#[derive(Clone, Debug)]
enum Step {
    /// Sends this many bytes, and says whether more follows.
    Data(usize, bool),
    /// Writes a head, which may be held.
    Head(usize),
    Alert,
    /// Makes another call, or is waited for.
    Flush,
    /// Nothing followed for a while.
    EndRecord,
    /// The peer reads this much.
    Room(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = || prop_oneof![3 => 1..200_usize, 2 => 16_000..16_800_usize, 1 => 1..60_000_usize];
    prop_oneof![
        6 => (sizes(), any::<bool>()).prop_map(|(len, more)| Step::Data(len, more)),
        1 => (1..5000_usize).prop_map(Step::Head),
        1 => Just(Step::Alert),
        1 => Just(Step::Flush),
        1 => Just(Step::EndRecord),
        2 => prop_oneof![1..400_usize, 1..40_000_usize].prop_map(Step::Room),
    ]
}

/// The records that a peer of the kernel's sees: written down anew, without sockets, batches or numbers.
#[derive(Default)]
struct Model {
    records: Vec<(u8, Vec<u8>)>,
    open: Vec<u8>,
}

impl Model {
    fn data(&mut self, data: &[u8], more: bool) {
        for byte in data {
            self.open.push(*byte);
            if self.open.len() == MAX_PLAINTEXT {
                self.end();
            }
        }
        if !more {
            self.end();
        }
    }

    fn end(&mut self) {
        if !self.open.is_empty() {
            self.records.push((23, std::mem::take(&mut self.open)));
        }
    }

    fn alert(&mut self) {
        self.end();
        self.records.push((21, vec![1, 0]));
    }
}

/// Data and alerts, without where records of data end.
fn flattened(records: &[(u8, Vec<u8>)]) -> Vec<(u8, Vec<u8>)> {
    let mut flat: Vec<(u8, Vec<u8>)> = Vec::new();
    for (kind, data) in records {
        match flat.last_mut() {
            Some((23, before)) if *kind == 23 => before.extend(data),
            _ => flat.push((*kind, data.clone())),
        }
    }
    flat
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A socket with room: the very records of the kernel.
    #[test]
    fn records_end_where_the_kernels_do(
        sends in proptest::collection::vec((prop_oneof![1..200_usize, 1..16_500_usize], 0..4_u8), 1..40)
    ) {
        let mut transmit = transmit(TLS13);
        let (mut socket, mut model) = (open_socket(), Model::default());
        for (number, (len, kind)) in sends.into_iter().enumerate() {
            let data = vec![number as u8; len];
            match kind {
                0 => prop_assert_eq!(last(&mut transmit, &data, &mut socket), Ok(len)),
                3 => {
                    transmit.send_control(ContentType::ALERT, &[1, 0], &mut socket).unwrap();
                    model.alert();
                    continue;
                }
                _ => prop_assert_eq!(more(&mut transmit, &data, &mut socket), Ok(len)),
            }
            model.data(&data, kind != 0);
            prop_assert_eq!(transmit.held_record().is_some(), !model.open.is_empty());
        }
        prop_assert_eq!(opened(TLS13, &socket), model.records);
    }

    /// A socket that fills up: what is reported is what the peer sees in the end, in order, and no more is kept
    /// meanwhile than a batch, a record and what control records may add.
    #[test]
    fn what_is_reported_arrives_in_order_and_once(steps in proptest::collection::vec(step(), 1..60)) {
        let mut transmit = transmit(TLS13);
        let (mut socket, mut lent, mut model) = (Socket::default(), Lent::new(), Model::default());
        let mut next = 0_usize;
        // What the program has not been told of, and so comes again with.
        let mut rest = Vec::new();
        for step in steps {
            match step {
                Step::Data(len, is_open) => {
                    if rest.is_empty() {
                        rest = (next..next + len).map(|i| (i * 7 + i / 251) as u8).collect();
                        next += len;
                    }
                    let data = &mut &rest[..];
                    let sent = match is_open {
                        true => transmit.send_more(data, rest.len(), &mut socket, &mut lent),
                        false => transmit.send(data, rest.len(), &mut socket, &mut lent),
                    };
                    let sent = match sent {
                        Err(Errno::AGAIN) => 0,
                        sent => {
                            let sent = sent.unwrap();
                            prop_assert!(sent > 0);
                            sent
                        }
                    };
                    model.data(&rest[..sent], true);
                    rest.drain(..sent);
                }
                // As the library: never behind what waits.
                Step::Head(len) if rest.is_empty() && transmit.pending_len() == 0 => {
                    let head = vec![b'h'; len];
                    if transmit.hold(&head) {
                        model.data(&head, true);
                    }
                }
                // A program finishes one thing before another, or what it has not been told of is in front.
                Step::Alert if rest.is_empty() => {
                    if transmit.send_control(ContentType::ALERT, &[1, 0], &mut socket).is_ok() {
                        model.alert();
                    }
                }
                Step::Head(_) | Step::Alert => {}
                Step::Flush => _ = transmit.flush(&mut socket),
                Step::EndRecord => _ = transmit.end_record(&mut socket),
                Step::Room(len) => socket.room += len,
            }
            let held = transmit.held.bytes().len();
            prop_assert!(held < MAX_PLAINTEXT);
            prop_assert!(transmit.pending_len() <= MAX_BATCH + MAX_OWED + 2 * MAX_RECORD);
            // Never more is reported than has left, or is kept for sure.
            let (records, begun) = open(&mut opener(TLS13), &socket.taken);
            let seen: usize = records.iter().map(|(_, data)| data.len()).sum();
            let told: usize = model.records.iter().map(|(_, data)| data.len()).sum();
            let kept = held + transmit.pending.owed() + begun;
            prop_assert!(told + model.open.len() <= seen + kept);
        }
        socket.room = usize::MAX;
        while !rest.is_empty() {
            let sent = last(&mut transmit, &rest, &mut socket).unwrap();
            model.data(&rest[..sent], true);
            rest.drain(..sent);
        }
        prop_assert_eq!(transmit.end_record(&mut socket), Ok(()));
        prop_assert_eq!(transmit.owed(), 0);
        model.end();
        prop_assert_eq!(flattened(&opened(TLS13, &socket)), flattened(&model.records));
    }
}
