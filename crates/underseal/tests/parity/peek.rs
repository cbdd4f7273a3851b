//! `peek`: what the next read will give, and nothing taken.

use std::io::Read;

use tokio::io::AsyncReadExt;
use underseal::Error;
use underseal::record::{AlertDescription, ContentType};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::case::Case;
use crate::connect::{on_tokio, pattern};
use crate::endings::CLOSE_NOTIFY;

pub(crate) fn peeking_takes_nothing(case: Case) {
    let (mut stream, mut peer) = case.server();
    let data = pattern(20_000);
    peer.send(APPLICATION_DATA, &data[..10_000]);
    peer.send(APPLICATION_DATA, &data[10_000..]);
    let mut at = 0;
    let mut peeked = [0; 700];
    let mut read = [0; 451];
    while at < data.len() {
        for _ in 0..2 {
            let n = stream.peek(&mut peeked).unwrap();
            assert_ne!(n, 0, "it waits for a byte");
            assert_eq!(peeked[..n], data[at..at + n]);
        }
        let n = stream.read(&mut read).unwrap();
        assert_eq!(read[..n], data[at..at + n]);
        at += n;
    }
    peer.send(ALERT, &CLOSE_NOTIFY);
    assert_eq!(stream.peek(&mut peeked).unwrap(), 0);
    assert_eq!(stream.read(&mut read).unwrap(), 0);
    assert_eq!(stream.peek(&mut peeked).unwrap(), 0, "the end stays");
}

/// A read says what comes after what was peeked at: another type, or a fault.
pub(crate) fn peeking_stops_where_reading_does(case: Case) {
    let (mut stream, mut peer) = case.server();
    let mut buffer = [0; 100];
    peer.send(24, b"from now on");
    stream.read_record(&mut buffer).unwrap();
    peer.send(APPLICATION_DATA, b"data");
    peer.send(24, b"type");
    let mut bad = peer.record(APPLICATION_DATA, b"x");
    *bad.last_mut().unwrap() ^= 1;
    peer.send_bytes(&bad);
    assert_eq!(stream.peek(&mut buffer).unwrap(), 4);
    assert_eq!(&buffer[..4], b"data");
    assert_eq!(stream.read(&mut buffer).unwrap(), 4);
    for _ in 0..2 {
        let error = stream.peek(&mut buffer).unwrap_err();
        let pending = Error::of(&error).unwrap();
        assert!(
            matches!(pending, Error::RecordPending(ContentType(24))),
            "{pending}"
        );
    }
    let record = stream.read_record(&mut buffer).unwrap();
    assert_eq!(record, Some((ContentType(24), 4)));
    for _ in 0..2 {
        let error = stream.peek(&mut buffer).unwrap_err();
        let alert = Error::of(&error).unwrap().alert();
        assert_eq!(alert, Some(AlertDescription::BAD_RECORD_MAC), "{error}");
    }
    let alert = AlertDescription::BAD_RECORD_MAC;
    assert_eq!(peer.receive_alert(), Some(alert.0));
}

pub(crate) fn peeking_waits_for_a_record_on_tokio(case: Case) {
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        let mut buffer = [0; 100];
        let record = peer.record(APPLICATION_DATA, b"woken");
        peer.send_bytes(&record[..11]);
        let (n, ()) = tokio::join!(stream.peek(&mut buffer), async {
            tokio::task::yield_now().await;
            peer.send_bytes(&record[11..]);
        });
        assert_eq!(&buffer[..n.unwrap()], b"woken");
        stream.read_exact(&mut buffer[..5]).await.unwrap();
        assert_eq!(&buffer[..5], b"woken");
    });
}
