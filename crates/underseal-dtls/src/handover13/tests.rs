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
    take_apart(ALGORITHM, &secrets(0), &secrets(1), false, &client_seen())
        .expect("everything is there")
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
    let handed_over = take_apart(ALGORITHM, &secrets(1), &secrets(0), true, &server_seen());
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

/// Data that came when this side had not sent its Finished was read by nobody; data that came later was.
#[test]
fn what_came_before_its_time_is_kept_and_what_came_later_was_read() {
    let mut server = Sealer::new(keys(1, APPLICATION));
    let mut data = |text: &[u8]| sealed(&mut server, ContentType::APPLICATION_DATA, text);
    let (early, late) = (data(b"early"), data(b"late"));
    let (mut seen, handshake) = (Seen::default(), client_seen());
    let received = handshake.received.iter();
    received.for_each(|one| seen.received(&one.datagram));
    seen.received(&early);
    handshake.sent.iter().for_each(|one| seen.sent(one));
    seen.received(&late);
    let handed_over = take_apart(ALGORITHM, &secrets(0), &secrets(1), false, &seen);
    let handed_over = handed_over.expect("everything is there");
    assert_eq!(handed_over.early, [early]);
    assert_eq!(handed_over.late, [late]);
}

/// A server's handshake is over with the datagram that has the client's Finished, where data may stand behind it.
#[test]
fn data_with_a_clients_finished_is_kept_and_what_came_behind_it_was_read() {
    let mut client = Sealer::new(keys(0, HANDSHAKE));
    let finished = message(FINISHED, 1);
    let mut with_finished = sealed(&mut client, ContentType::HANDSHAKE, &finished);
    let mut client = Sealer::new(keys(0, APPLICATION));
    let mut data = |text: &[u8]| sealed(&mut client, ContentType::APPLICATION_DATA, text);
    with_finished.extend(data(b"early"));
    let late = data(b"late");
    let mut server = Sealer::new(keys(1, HANDSHAKE));
    let mut seen = Seen::default();
    let finished = message(FINISHED, 2);
    seen.sent(&sealed(&mut server, ContentType::HANDSHAKE, &finished));
    seen.received(&with_finished);
    seen.received(&late);
    let handed_over = take_apart(ALGORITHM, &secrets(1), &secrets(0), true, &seen);
    let handed_over = handed_over.expect("everything is there");
    assert_eq!(handed_over.early, [with_finished]);
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
    let refused = take_apart(ALGORITHM, &secrets(0), &secrets(1), false, &seen);
    assert!(matches!(
        refused,
        Err(Error::Handover(Refusal::Renegotiated))
    ));
}

/// As others can send it, who have no keys.
fn add_garbage(seen: &mut Seen) {
    for _ in 0..100 {
        seen.received(&[0x2e; 1000]);
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
    let handed_over = take_apart(ALGORITHM, &secrets(0), &secrets(1), false, &seen);
    assert_eq!(repeated(handed_over.expect("it is there"), 0).len(), 1);
}

#[test]
fn a_handshake_whose_end_was_not_kept_is_refused() {
    let mut seen = client_seen();
    add_garbage(&mut seen);
    let refused = take_apart(ALGORITHM, &secrets(0), &secrets(1), false, &seen);
    assert!(matches!(
        refused,
        Err(Error::Handover(Refusal::TooMuchReceived))
    ));
}
