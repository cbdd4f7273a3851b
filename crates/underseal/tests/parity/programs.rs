//! Programs on the plaintext: the same verdicts come to the same bytes on either engine.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use underseal::Error;
use underseal::message::{
    ByMessage, Denied, Filter, LengthPrefixed, Message, MessageDirection, Peer,
};
use underseal::message::{Program, StreamParser, Verdict, Width};
use underseal::record::ContentType;
use underseal_testkit::pipe;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::pattern;
use crate::endings::CLOSE_NOTIFY;
use crate::files::file_of;
use crate::writing::receive_records;

/// What a program saw.
type Seen = Arc<Mutex<Vec<u8>>>;

/// A program that passes everything and notes the bytes.
fn witness(seen: &Seen) -> impl FnMut(&mut Message<'_>) -> Verdict<Peer> + Send + 'static {
    let seen = Arc::clone(seen);
    move |message| {
        let mut seen = seen.lock().unwrap();
        message.slices().for_each(|slice| seen.extend(slice));
        Verdict::Pass
    }
}

/// A program that drops messages that begin with `X`, one byte of length before each message.
fn no_x() -> impl Program<Peer> + Send + 'static {
    let parser = LengthPrefixed::new(Width::U8);
    ByMessage::new(
        StreamParser::new(parser, 256),
        |message: &mut Message<'_>| match message.pull(1..2) {
            Ok(b"X") => Verdict::Drop,
            _ => Verdict::<Peer>::Pass,
        },
    )
}

/// The next record of data.
pub(crate) fn receive_data_record(peer: &mut crate::connect::Peer) -> Vec<u8> {
    loop {
        if let (APPLICATION_DATA, payload) = peer.receive().unwrap() {
            return payload;
        }
    }
}

fn denied(error: &std::io::Error) -> Denied {
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    match Error::of(error) {
        Some(Error::Denied(denied)) => denied,
        other => panic!("{other:?}"),
    }
}

/// Everything passes, whatever the sizes of writes, reads and records are.
pub(crate) fn a_program_sees_every_byte_in_both_directions(case: Case) {
    let (mut stream, mut peer) = case.server();
    let (sent, received) = (Seen::default(), Seen::default());
    stream.attach(Filter::egress(witness(&sent))).unwrap();
    stream.attach(Filter::ingress(witness(&received))).unwrap();
    let data = pattern(150_001);
    let own = data.clone();
    let peer = thread::spawn(move || {
        for chunk in own.chunks(16_000) {
            peer.send(APPLICATION_DATA, chunk);
        }
        let back = peer.receive_data();
        peer.send(ALERT, &CLOSE_NOTIFY);
        (peer, back)
    });
    let mut got = vec![0; data.len()];
    let mut at = 0;
    for len in (1..).map(|n| n * 37 % 40_000) {
        let end = got.len().min(at + len);
        match end - at {
            0 => break,
            _ => at += stream.read(&mut got[at..end]).unwrap(),
        }
    }
    assert!(got == data);
    for chunk in data.chunks(70_000) {
        stream.write_all(chunk).unwrap();
    }
    stream.shutdown().unwrap();
    let (_peer, back) = peer.join().unwrap();
    assert!(back == (data.clone(), true));
    assert_eq!(stream.read(&mut got).unwrap(), 0);
    assert!(*sent.lock().unwrap() == data && *received.lock().unwrap() == data);
    assert_eq!(stream.engines(), case.engines);
}

/// The good prefix goes, its length is returned, and the next write is told.
pub(crate) fn a_write_of_good_and_bad_messages_sends_the_good_ones(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.attach(Filter::egress(no_x())).unwrap();
    assert_eq!(stream.write(b"\x02ab\x01c\x02Xd\x01e").unwrap(), 5);
    // On their way before anything is flushed, a record for each verdict.
    assert_eq!(receive_data_record(&mut peer), b"\x02ab");
    assert_eq!(receive_data_record(&mut peer), b"\x01c");
    assert_eq!(
        denied(&stream.write(b"\x01f").unwrap_err()),
        Denied::Dropped
    );
    stream.write_all(b"\x01g").unwrap();
    let error = stream.write(b"\x03Xyz").unwrap_err();
    assert_eq!(denied(&error), Denied::Dropped);
    stream.shutdown().unwrap();
    assert_eq!(receive_records(&mut peer), [b"\x01g"]);
    assert_eq!(
        stream.write(b"\x01h").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

/// Each verdict has records of its own, across writes too.
pub(crate) fn applied_bytes_end_with_a_record(case: Case) {
    let (mut stream, mut peer) = case.server();
    let seven = |message: &mut Message<'_>| {
        message.apply_bytes(7);
        Verdict::<Peer>::Pass
    };
    stream.attach(Filter::egress(seven)).unwrap();
    for len in [20, 1, 3] {
        stream.write_all(&pattern(len)).unwrap();
    }
    stream.shutdown().unwrap();
    let lens: Vec<_> = receive_records(&mut peer).iter().map(Vec::len).collect();
    assert_eq!(lens, [7, 7, 6, 1, 3]);
}

/// Held, sent in one record when there is enough, and judged at the end.
pub(crate) fn corked_bytes_are_joined(case: Case) {
    let (mut stream, mut peer) = case.server();
    let cork = |message: &mut Message<'_>| match message.cork_bytes(16) {
        Ok(()) | Err(_) => Verdict::<Peer>::Pass,
    };
    stream.attach(Filter::egress(cork)).unwrap();
    for write in [&b"one "[..], b"two ", b"three four five ", b"six"] {
        assert_eq!(stream.write(write).unwrap(), write.len());
    }
    stream.flush().unwrap();
    let error = stream.detach(MessageDirection::Egress).unwrap_err();
    assert!(matches!(
        error,
        Error::ProgramHoldsData(MessageDirection::Egress)
    ));
    stream.shutdown().unwrap();
    let expected = [&b"one two three four five "[..], b"six"];
    assert_eq!(receive_records(&mut peer), expected);
}

/// What is refused at the end is told in the place of close_notify, once.
pub(crate) fn a_refusal_at_the_end_is_no_clean_end(case: Case) {
    let (mut stream, mut peer) = case.server();
    let short = |message: &mut Message<'_>| match message.cork_bytes(16) {
        Err(_) if message.len() < 16 => Verdict::<Peer>::Drop,
        _ => Verdict::Pass,
    };
    stream.attach(Filter::egress(short)).unwrap();
    stream
        .write_all(b"a message of sixteen bytes or more")
        .unwrap();
    stream.write_all(b"short").unwrap();
    assert_eq!(denied(&stream.shutdown().unwrap_err()), Denied::Dropped);
    drop(stream);
    let (data, is_whole) = peer.receive_data();
    assert_eq!(
        (&data[..], is_whole),
        (&b"a message of sixteen bytes or more"[..], false)
    );
}

/// Longer than a record may be, and shorter than it was.
pub(crate) fn edited_messages_are_sent_as_edited(case: Case) {
    let (mut stream, mut peer) = case.server();
    let edit = |message: &mut Message<'_>| {
        message.push(0, b"<<<<").unwrap();
        message.pop(4..6).unwrap();
        Verdict::<Peer>::Pass
    };
    stream.attach(Filter::egress(edit)).unwrap();
    let data = pattern(16_384);
    let reader = thread::spawn(move || receive_records(&mut peer));
    stream.write_all(&data).unwrap();
    stream.write_all(b"abcdef").unwrap();
    stream.shutdown().unwrap();
    let records = reader.join().unwrap();
    assert!(records.concat() == [b"<<<<", &data[2..], b"<<<<cdef"].concat());
    assert!(records.iter().all(|record| record.len() <= 16_384));
}

/// Looked at until the program covers the rest, which then goes the way of a file without one.
pub(crate) fn files_are_judged_or_passed_ahead(case: Case) {
    let (mut stream, mut peer) = case.server();
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let mut is_first = true;
    let body = move |message: &mut Message<'_>| {
        let mut seen = noted.lock().unwrap();
        message.slices().for_each(|slice| seen.extend(slice));
        if !std::mem::take(&mut is_first) {
            return Verdict::<Peer>::Drop;
        }
        message.apply_bytes(1_000_000);
        Verdict::Pass
    };
    stream.attach(Filter::egress(body)).unwrap();
    let data = pattern(1_000_003);
    let file = file_of(&data);
    let reader = thread::spawn(move || peer.receive_data());
    let error = stream.send_file(&file, 0..data.len() as u64).unwrap_err();
    assert_eq!(denied(&error), Denied::Dropped);
    stream.shutdown().unwrap();
    assert!(reader.join().unwrap() == (data[..1_000_000].to_vec(), true));
    // The first look, the three bytes behind what it covered, and nothing in between.
    let seen = seen.lock().unwrap();
    assert!(
        seen.len() <= 64 * 1024 + 3,
        "{} bytes were looked at",
        seen.len()
    );
    assert_eq!(seen[seen.len() - 3..], data[1_000_000..]);
}

pub(crate) fn spliced_bytes_are_judged(case: Case) {
    let (mut stream, mut peer) = case.server();
    let (sent, received) = (Seen::default(), Seen::default());
    stream.attach(Filter::egress(witness(&sent))).unwrap();
    stream.attach(Filter::ingress(witness(&received))).unwrap();
    for direction in underseal::Direction::ALL {
        assert!(!stream.splices(direction), "a program looks at it");
    }
    let (mut reader, mut writer) = pipe();
    peer.send(APPLICATION_DATA, b"into the pipe");
    assert_eq!(stream.splice_to(&writer, 100).unwrap(), 13);
    let mut got = [0; 13];
    reader.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"into the pipe");
    writer.write_all(b"out of it").unwrap();
    assert_eq!(stream.splice_from(&reader, 100).unwrap(), 9);
    stream.shutdown().unwrap();
    assert_eq!(receive_records(&mut peer), [b"out of it"]);
    assert_eq!(*sent.lock().unwrap(), b"out of it");
    assert_eq!(*received.lock().unwrap(), b"into the pipe");
}

/// What is dropped was never there, whatever was opened together with it.
pub(crate) fn received_messages_that_are_dropped_vanish(case: Case) {
    let (mut stream, mut peer) = case.server();
    stream.attach(Filter::ingress(no_x())).unwrap();
    peer.send(APPLICATION_DATA, b"\x02ab\x02Xc\x03de");
    peer.send(APPLICATION_DATA, b"f\x04Xghi");
    peer.send(APPLICATION_DATA, b"\x01j");
    peer.send(ALERT, &CLOSE_NOTIFY);
    for size in [3, 1, 3, 100, 100] {
        let mut got = vec![0; size];
        match stream.read(&mut got).unwrap() {
            0 => break,
            n => got.truncate(n),
        }
        assert!(
            b"\x02ab\x03def\x01j"
                .windows(got.len())
                .any(|bytes| bytes == got)
        );
    }
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
}

/// In place, cut, and longer than they came, for readers of any kind.
pub(crate) fn received_messages_are_read_as_edited(case: Case) {
    let more = [b'>'; 300];
    for len in [1, 7, 100_000] {
        let (mut stream, mut peer) = case.server();
        let edit = move |message: &mut Message<'_>| {
            message.push(message.len(), &more).unwrap();
            message.pop(0..1).unwrap();
            Verdict::<Peer>::Pass
        };
        stream.attach(Filter::ingress(edit)).unwrap();
        let mut all = Vec::new();
        for chunk in [b"abc", b"def"] {
            peer.send(APPLICATION_DATA, chunk);
            let mut got = vec![0; len];
            let end = all.len() + 2 + more.len();
            while all.len() < end {
                let n = stream.read(&mut got).unwrap();
                all.extend_from_slice(&got[..n]);
            }
        }
        assert!(all == [&b"bc"[..], &more, b"ef", &more].concat(), "{all:?}");
    }
}

/// They go past a program, and do not disturb what it holds.
pub(crate) fn control_records_go_past_programs(case: Case) {
    let (mut stream, mut peer) = case.server();
    let seen = Seen::default();
    stream.attach(Filter::ingress(witness(&seen))).unwrap();
    stream
        .attach(Filter::egress(|_: &mut Message<'_>| Verdict::<Peer>::Drop))
        .unwrap();
    let other = ContentType(99);
    peer.send(APPLICATION_DATA, b"data");
    peer.send(99, b"control");
    let mut out = [0; 20];
    let data = stream.read_record(&mut out).unwrap();
    assert_eq!(data, Some((ContentType::APPLICATION_DATA, 4)));
    assert_eq!(stream.read_record(&mut out).unwrap(), Some((other, 7)));
    assert_eq!(*seen.lock().unwrap(), b"data");
    stream.send_record(other, &b"control"[..]).unwrap();
    let refused = stream.send_record(ContentType::APPLICATION_DATA, &b"data"[..]);
    assert_eq!(denied(&refused.unwrap_err()), Denied::Dropped);
    loop {
        match peer.receive().unwrap() {
            (99, payload) => break assert_eq!(payload, b"control"),
            (APPLICATION_DATA, payload) => panic!("{payload:?} was refused"),
            _ => {}
        }
    }
}

/// Before the program came, the data was there: it is judged all the same.
pub(crate) fn data_from_before_the_program_is_judged(case: Case) {
    let (mut stream, mut peer) = case.server();
    peer.send(APPLICATION_DATA, b"\x01aXX");
    assert_eq!(stream.read(&mut [0; 2]).unwrap(), 2);
    let drop_x = |message: &mut Message<'_>| match message.pull(0..1) {
        Ok(b"X") => Verdict::<Peer>::Drop,
        _ => Verdict::Pass,
    };
    stream.attach(Filter::ingress(drop_x)).unwrap();
    peer.send(APPLICATION_DATA, b"b");
    let mut got = [0; 10];
    assert_eq!(stream.read(&mut got).unwrap(), 1);
    assert_eq!(got[0], b'b');
    let again = stream.attach(Filter::ingress(|_: &mut Message<'_>| Verdict::<Peer>::Pass));
    assert!(matches!(
        again,
        Err(Error::ProgramAttached(MessageDirection::Ingress))
    ));
    stream.detach(MessageDirection::Ingress).unwrap();
    peer.send(APPLICATION_DATA, b"X");
    assert_eq!(stream.read(&mut got).unwrap(), 1);
}

/// Held to the end of the stream, and judged there.
pub(crate) fn what_is_held_is_judged_when_the_peer_is_done(case: Case) {
    for (whole, expected) in [(true, &b"\x03ab"[..]), (false, b"")] {
        let (mut stream, mut peer) = case.server();
        let cork = move |message: &mut Message<'_>| match message.cork_bytes(4) {
            Err(_) if !whole => Verdict::<Peer>::Drop,
            _ => Verdict::Pass,
        };
        stream.attach(Filter::ingress(cork)).unwrap();
        peer.send(APPLICATION_DATA, b"\x03");
        peer.send(APPLICATION_DATA, b"ab");
        peer.send(ALERT, &CLOSE_NOTIFY);
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got, expected);
    }
}

/// Nobody can judge what comes then: that direction is over, and this connection alone.
pub(crate) fn a_program_that_panics_ends_its_direction(case: Case) {
    let (mut stream, mut peer) = case.server();
    let panics = |message: &mut Message<'_>| match message.pull(0..1) {
        Ok(b"!") => resume("the program's own"),
        _ => Verdict::<Peer>::Pass,
    };
    stream.attach(Filter::egress(panics)).unwrap();
    stream.attach(Filter::ingress(panics)).unwrap();
    stream.write_all(b"sent").unwrap();
    peer.send(APPLICATION_DATA, b"read");
    let mut got = [0; 10];
    assert_eq!(stream.read(&mut got).unwrap(), 4);
    for _ in 0..2 {
        assert_eq!(denied(&stream.write(b"!").unwrap_err()), Denied::Panicked);
    }
    // Longer than the reader's buffer: what nobody judged is not left behind to be read.
    peer.send(APPLICATION_DATA, b"!never read");
    for _ in 0..2 {
        let error = stream.read(&mut got[..3]).unwrap_err();
        assert_eq!(denied(&error), Denied::Panicked);
    }
    drop(stream);
    assert_eq!(peer.receive_data(), (b"sent".to_vec(), false));
}

/// Panics without a message on stderr.
fn resume(what: &'static str) -> ! {
    std::panic::resume_unwind(Box::new(what))
}

/// Sealed with the keys of the stream that it goes to, before that one's own.
pub(crate) fn data_is_redirected_to_another_streams_peer(case: Case) {
    let (mut from, mut from_peer) = case.server();
    let (mut to, mut to_peer) = case.server();
    let target = to.redirect_peer(1 << 16);
    let mut redirect = Some(target.clone());
    let all = move |_: &mut Message<'_>| Verdict::Redirect {
        to: target.clone(),
        direction: MessageDirection::Egress,
    };
    from.attach(Filter::ingress(all)).unwrap();
    let first_word = move |message: &mut Message<'_>| match redirect.take() {
        Some(to) => {
            message.apply_bytes(4);
            let direction = MessageDirection::Egress;
            Verdict::Redirect { to, direction }
        }
        None => Verdict::Pass,
    };
    from.attach(Filter::egress(first_word)).unwrap();
    from.write_all(b"toX:from").unwrap();
    from_peer.send(APPLICATION_DATA, b"received, ");
    from_peer.send(ALERT, &CLOSE_NOTIFY);
    assert_eq!(from.read(&mut [0; 10]).unwrap(), 0);
    to.write_all(b"own").unwrap();
    to.shutdown().unwrap();
    from.shutdown().unwrap();
    let sent = receive_records(&mut to_peer).concat();
    assert_eq!(sent, b"toX:received, own");
    assert_eq!(receive_records(&mut from_peer).concat(), b"from");
}

/// Read before what its own peer sends.
pub(crate) fn data_is_redirected_to_another_streams_reader(case: Case) {
    let (mut from, mut from_peer) = case.server();
    let (mut to, mut to_peer) = case.server();
    let target = to.redirect_peer(1 << 16);
    let all = move |_: &mut Message<'_>| Verdict::Redirect {
        to: target.clone(),
        direction: MessageDirection::Ingress,
    };
    from.attach(Filter::egress(all)).unwrap();
    from.write_all(b"redirected ").unwrap();
    to_peer.send(APPLICATION_DATA, b"received");
    to_peer.send(ALERT, &CLOSE_NOTIFY);
    let mut got = String::new();
    to.read_to_string(&mut got).unwrap();
    assert_eq!(got, "redirected received");
    // The reader is done: there is nobody to redirect to.
    assert_eq!(denied(&from.write(b"late").unwrap_err()), Denied::Dropped);
    from.shutdown().unwrap();
    assert_eq!(receive_records(&mut from_peer), [b""; 0]);
}

/// Bytes that nobody would send or read any more keep a stream together.
pub(crate) fn a_stream_with_redirected_data_is_not_taken_apart(case: Case) {
    let (mut from, _from_peer) = case.server();
    let (mut to, _to_peer) = case.server();
    let target = to.redirect_peer(100);
    let all = move |_: &mut Message<'_>| Verdict::Redirect {
        to: target.clone(),
        direction: MessageDirection::Ingress,
    };
    from.attach(Filter::egress(all)).unwrap();
    from.write_all(b"redirected").unwrap();
    let refused = to.into_parts().map(drop).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    from.detach(MessageDirection::Egress).unwrap();
    from.into_parts().map(drop).unwrap();
}
