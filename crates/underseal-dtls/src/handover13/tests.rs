use std::time::{Duration, Instant};

use underseal_record::dtls::{EpochKeys, Handled, KEY_UPDATE_LEN};

use super::*;
use crate::post_handshake::{Out, PostHandshake};

const ALGORITHM: Algorithm = Algorithm::Aes128Gcm;
const NEW_SESSION_TICKET: u8 = 4;

fn secrets(side: u8) -> Secrets {
    let secret = |kind: u8| Zeroizing::new(vec![2 * side + kind; 32]);
    Secrets {
        handshake: secret(0),
        application: secret(1),
    }
}

fn keys(side: u8, epoch: u16) -> EpochKeys {
    let secrets = secrets(side);
    let secret = match epoch {
        HANDSHAKE => secrets.handshake(ALGORITHM),
        _ => secrets.application(ALGORITHM),
    };
    secret.expect("it has its length").keys()
}

fn sealed(sealer: &mut Sealer, content_type: ContentType, body: &[u8]) -> Vec<u8> {
    let mut record = vec![0; body.len() + sealer.overhead()];
    let len = sealer.seal(content_type, body, &mut record);
    record.truncate(len.expect("it has room"));
    record
}

/// A handshake message in one piece.
fn message(message_type: u8, seq: u8) -> Vec<u8> {
    let body = [message_type, 0, 0, 3, 0, seq, 0, 0, 0, 0, 0, 3, 7, 7, 7];
    body.to_vec()
}

/// ServerHello, or what the other one says in the clear.
const PLAIN: [u8; 14] = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9];

/// What a client has seen: the server's flight, of messages 1 to 4, and its own Finished, which it sent
/// twice.
fn client_seen() -> Seen {
    let mut seen = Seen::default();
    seen.sent(&PLAIN);
    let mut server = Sealer::new(keys(1, HANDSHAKE));
    let mut flight = PLAIN.to_vec();
    for (seq, message_type) in [(1, 8), (2, 11), (3, 15), (4, FINISHED)] {
        let message = message(message_type, seq);
        let record = sealed(&mut server, ContentType::HANDSHAKE, &message);
        flight.extend(record);
    }
    seen.received(&flight);
    let mut client = Sealer::new(keys(0, HANDSHAKE));
    for _ in 0..2 {
        let finished = message(FINISHED, 1);
        seen.sent(&sealed(&mut client, ContentType::HANDSHAKE, &finished));
    }
    seen
}

fn client() -> HandedOver {
    client_apart(&client_seen(), Reader::Caller).expect("everything is there")
}

fn client_apart(seen: &Seen, reader: Reader) -> Result<HandedOver, Error> {
    take_apart(ALGORITHM, &secrets(0), &secrets(1), false, seen, reader)
}

fn server_apart(seen: &Seen, reader: Reader) -> Result<HandedOver, Error> {
    take_apart(ALGORITHM, &secrets(1), &secrets(0), true, seen, reader)
}

/// What a server has seen: its own flight, the client's Finished, and two tickets of its own.
fn server_seen() -> Seen {
    let mut seen = Seen::default();
    let mut server = Sealer::new(keys(1, HANDSHAKE));
    for seq in 0..3 {
        seen.sent(&sealed(
            &mut server,
            ContentType::HANDSHAKE,
            &message(8, seq),
        ));
    }
    let mut client = Sealer::new(keys(0, HANDSHAKE));
    let finished = message(FINISHED, 1);
    seen.received(&sealed(&mut client, ContentType::HANDSHAKE, &finished));
    let mut server = Sealer::new(keys(1, APPLICATION));
    seen.sent(&sealed(&mut server, ContentType::ACK, &[0, 0]));
    for seq in 3..5 {
        let ticket = message(NEW_SESSION_TICKET, seq);
        seen.sent(&sealed(&mut server, ContentType::HANDSHAKE, &ticket));
    }
    seen
}

/// What is repeated when it is time: the bodies of the records, as the peer `side` opens them.
fn repeated(handed_over: HandedOver, by: u8) -> Vec<(RecordNumber, Vec<u8>)> {
    let Engines {
        mut sealer,
        key_updates,
        ..
    } = handed_over.engines;
    let mut post_handshake = PostHandshake::new(key_updates.expect("there are some"));
    let now = Instant::now();
    post_handshake.resume(handed_over.flight, now);
    let mut records = Vec::new();
    let mut out = Out {
        sealer: &mut sealer,
        send: &mut |record: &[u8]| records.push(record.to_vec()),
        now: now + Duration::from_secs(2),
    };
    post_handshake.repeat(&mut out);
    let mut opener = Opener::new(keys(by, HANDSHAKE), ReplayWindow::default());
    opener.advance(keys(by, APPLICATION)).expect("it is next");
    let open = |mut record: Vec<u8>| {
        let opened = opener.open(&mut record).opened.expect("it is authentic");
        (opened.number, record[opened.plaintext].to_vec())
    };
    records.into_iter().map(open).collect()
}

#[test]
fn a_client_repeats_its_finished_under_the_handshakes_key_and_new_numbers() {
    let number = RecordNumber {
        epoch: HANDSHAKE,
        seq: 2,
    };
    // It was sent twice, and is one.
    assert_eq!(repeated(client(), 0), [(number, message(FINISHED, 1))]);
}

#[test]
fn a_server_repeats_its_tickets_and_not_what_the_clients_finished_has_acknowledged() {
    let handed_over = server_apart(&server_seen(), Reader::Caller);
    let repeated = repeated(handed_over.expect("everything is there"), 1);
    let number = |seq| RecordNumber {
        epoch: APPLICATION,
        seq,
    };
    // Behind the ACK and the tickets.
    let tickets = [3, 4].map(|seq| (number(u64::from(seq)), message(NEW_SESSION_TICKET, seq)));
    assert_eq!(repeated, tickets);
}

#[test]
fn messages_are_counted_on_in_both_directions() {
    let mut handed_over = client();
    let updates = handed_over.engines.key_updates.as_mut();
    let updates = updates.expect("there are some");
    let update: [u8; KEY_UPDATE_LEN] = updates.message(false).expect("it is the first");
    assert_eq!(update[4..6], [0, 2]);
    // The server's flight comes again, because the client's Finished was lost.
    let mut again = keys(1, HANDSHAKE);
    again.skip_to(4).expect("it goes on");
    let mut record = sealed(
        &mut Sealer::new(again),
        ContentType::HANDSHAKE,
        &message(8, 4),
    );
    let opener = &mut handed_over.engines.opener;
    let opened = opener.open(&mut record).opened.expect("its epoch is kept");
    let body = &record[opened.plaintext.clone()];
    let taken = updates.received(body, opened.number, opener);
    assert!(matches!(taken, Ok(Handled::Repeated { .. })), "{taken:?}");
    // And then message 5 is the next.
    let mut record = sealed(
        &mut Sealer::new(keys(1, APPLICATION)),
        ContentType::HANDSHAKE,
        &message(NEW_SESSION_TICKET, 5),
    );
    let opened = opener.open(&mut record).opened.expect("it is authentic");
    let body = &record[opened.plaintext.clone()];
    let taken = updates.received(body, opened.number, opener);
    assert!(matches!(taken, Ok(Handled::Other { .. })), "{taken:?}");
}

#[test]
fn what_the_handshake_opened_is_not_opened_again() {
    let seen = client_seen();
    let mut opener = client().engines.opener;
    for arrived in &seen.received {
        each_record(&mut opener, &arrived.datagram, |outcome, _| {
            assert_eq!(outcome.err(), Some(Discard::Replayed));
            Ok(())
        })
        .expect("nothing is refused");
    }
}

/// Data that came before the end of the server's flight was opened by nobody; data that came later was.
#[test]
fn what_came_before_its_time_is_kept_and_what_came_later_was_read() {
    let mut server = Sealer::new(keys(1, APPLICATION));
    let mut data = |text: &[u8]| sealed(&mut server, ContentType::APPLICATION_DATA, text);
    let (early, behind, late) = (data(b"early"), data(b"behind"), data(b"late"));
    let (mut seen, handshake) = (Seen::default(), client_seen());
    seen.received(&early);
    let flight = [&handshake.received[0].datagram[..], &behind].concat();
    seen.received(&flight);
    handshake.sent.iter().for_each(|one| seen.sent(one));
    seen.received(&late);
    let handed_over = client_apart(&seen, Reader::Caller).expect("everything is there");
    assert_eq!(handed_over.early, std::slice::from_ref(&early));
    assert_eq!(handed_over.late, [flight.clone(), late.clone()]);
    let handed_over = client_apart(&seen, Reader::Nobody).expect("everything is there");
    assert_eq!(handed_over.early, [early, flight, late]);
    assert!(handed_over.late.is_empty());
}

/// A server's handshake is over with the datagram that has the client's Finished, where data may stand behind it.
#[test]
fn what_stands_behind_a_clients_finished_was_opened() {
    let mut client = Sealer::new(keys(0, HANDSHAKE));
    let finished = message(FINISHED, 1);
    let mut with_finished = sealed(&mut client, ContentType::HANDSHAKE, &finished);
    let mut client = Sealer::new(keys(0, APPLICATION));
    let mut data = |text: &[u8]| sealed(&mut client, ContentType::APPLICATION_DATA, text);
    with_finished.extend(data(b"behind"));
    let late = data(b"late");
    let mut server = Sealer::new(keys(1, HANDSHAKE));
    let mut seen = Seen::default();
    let finished = message(FINISHED, 2);
    seen.sent(&sealed(&mut server, ContentType::HANDSHAKE, &finished));
    seen.received(&with_finished);
    seen.received(&late);
    let handed_over = server_apart(&seen, Reader::Caller).expect("everything is there");
    assert!(handed_over.early.is_empty());
    assert_eq!(handed_over.late, [with_finished.clone(), late.clone()]);
    let handed_over = server_apart(&seen, Reader::Nobody).expect("everything is there");
    assert_eq!(handed_over.early, [with_finished, late]);
}

/// A part of a message of eight bytes.
fn part(message_type: u8, seq: u8, bytes: Range<u8>) -> Vec<u8> {
    let mut part = vec![message_type, 0, 0, 8, 0, seq, 0, 0, bytes.start];
    part.extend([0, 0, bytes.end - bytes.start]);
    part.extend(bytes);
    part
}

/// The end of the client's flight may overtake its beginning, whose repetition may be cut in other places.
#[test]
fn what_came_before_the_whole_of_a_clients_flight_is_kept() {
    const CERTIFICATE: u8 = 11;
    let mut client = Sealer::new(keys(0, HANDSHAKE));
    let mut handshake = |body: &[u8]| sealed(&mut client, ContentType::HANDSHAKE, body);
    let mut sealer = Sealer::new(keys(0, APPLICATION));
    let mut data = |text: &[u8]| sealed(&mut sealer, ContentType::APPLICATION_DATA, text);
    let (early, overtaken, late) = (data(b"early"), data(b"overtaken"), data(b"late"));
    let mut seen = Seen::default();
    for datagram in [
        handshake(&message(FINISHED, 2)),
        early.clone(),
        handshake(&part(CERTIFICATE, 1, 0..3)),
        handshake(&part(CERTIFICATE, 1, 6..8)),
        overtaken.clone(),
        handshake(&part(CERTIFICATE, 1, 2..7)),
        late.clone(),
        handshake(&part(CERTIFICATE, 1, 1..8)),
    ] {
        seen.received(&datagram);
    }
    let handed_over = server_apart(&seen, Reader::Caller).expect("everything is there");
    assert_eq!(handed_over.early, [early, overtaken]);
    assert_eq!(handed_over.late, [late]);
}

#[test]
fn keys_that_were_updated_are_refused() {
    let mut seen = client_seen();
    let mut secret = secrets(0)
        .application(ALGORITHM)
        .expect("it has its length");
    secret.update().expect("there is a next epoch");
    let data = ContentType::APPLICATION_DATA;
    seen.sent(&sealed(&mut Sealer::new(secret.keys()), data, b"later"));
    let refused = client_apart(&seen, Reader::Nobody);
    assert!(matches!(
        refused,
        Err(Error::Handover(Refusal::Renegotiated))
    ));
}

/// As others can send it, who have no keys.
fn add_garbage(seen: &mut Seen) {
    let mut garbage = [7; 1000];
    // A record of the handshake's epoch, with its length.
    garbage[..5].copy_from_slice(&[0x2e, 0, 9, 3, 0xe3]);
    for _ in 0..100 {
        seen.received(&garbage);
    }
}

#[test]
fn what_others_send_in_the_peers_name_refuses_no_handshake() {
    let mut seen = Seen::default();
    add_garbage(&mut seen);
    let handshake = client_seen();
    let received = handshake.received.iter();
    received.for_each(|one| seen.received(&one.datagram));
    handshake.sent.iter().for_each(|one| seen.sent(one));
    let handed_over = client_apart(&seen, Reader::Nobody).expect("it is there");
    // What is kept has room for 58 datagrams of the hundred, less those of the handshake.
    assert!((42..50).contains(&handed_over.displaced));
    let forged = handed_over
        .dropped
        .iter()
        .filter(|why| **why == Discard::Forged);
    assert_eq!(forged.count() as u64, 100 - handed_over.displaced);
    assert_eq!(repeated(handed_over, 0).len(), 1);
}

/// Whoever has read much has read what was not kept, and others can repeat it, the Finished included.
#[test]
fn a_finished_that_comes_again_makes_no_hand_over_of_what_was_not_kept() {
    let mut seen = server_seen();
    let finished = seen.received[0].datagram.clone();
    add_garbage(&mut seen);
    seen.received(&finished);
    let refused = server_apart(&seen, Reader::Caller);
    assert!(matches!(
        refused,
        Err(Error::Handover(Refusal::TooMuchReceived))
    ));
    server_apart(&seen, Reader::Nobody).expect("nobody has read anything");
}

#[test]
fn a_handshake_whose_end_was_not_kept_is_refused() {
    let mut seen = client_seen();
    add_garbage(&mut seen);
    let refused = client_apart(&seen, Reader::Nobody);
    assert!(matches!(
        refused,
        Err(Error::Handover(Refusal::TooMuchReceived))
    ));
}
