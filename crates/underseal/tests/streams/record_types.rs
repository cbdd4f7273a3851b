//! Records of other types than application data.

use std::io::{Read, Write};

use underseal::Error;
use underseal::record::ContentType;
use underseal_testkit::Suite;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::pairs::{pattern, with_record_peer, with_tokio_rustls};

#[test]
fn records_of_any_type_are_sent() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
        let long = pattern(40_000);
        stream
            .send_record(ContentType(24), &b"heartbeat"[..])
            .unwrap();
        stream.send_record(ContentType(200), &long[..]).unwrap();
        stream.write_all(b"data").unwrap();
        stream.shutdown().unwrap();
        let mut others = Vec::new();
        loop {
            match peer.receive().unwrap() {
                (24, payload) => assert_eq!(payload, b"heartbeat"),
                (200, payload) => others.extend(payload),
                (APPLICATION_DATA, payload) => assert_eq!(payload, b"data"),
                (ALERT, payload) => break assert_eq!(payload, [1, 0]),
                _ => {}
            }
        }
        assert!(others == long);
    }
}

#[test]
fn records_of_any_type_are_received_in_order() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
        peer.send(APPLICATION_DATA, b"first");
        peer.send(24, b"second");
        peer.send(24, b"third");
        peer.send(APPLICATION_DATA, b"fourth");
        peer.send(ALERT, &[1, 0]);
        let mut buffer = [0; 100];
        let mut read = || {
            let record = stream.read_record(&mut buffer).unwrap();
            record.map(|(content_type, n)| (content_type.0, buffer[..n].to_vec()))
        };
        assert_eq!(read(), Some((23, b"first".to_vec())));
        assert_eq!(read(), Some((24, b"second".to_vec())));
        assert_eq!(read(), Some((24, b"third".to_vec())));
        assert_eq!(read(), Some((23, b"fourth".to_vec())));
        assert_eq!(read(), None);
        assert_eq!(read(), None);
    }
}

/// Data is never delivered across a change of type: `read` stops at a record that is not its own.
#[test]
fn reading_stops_at_a_record_of_another_type() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
        peer.send(24, b"one");
        let mut buffer = [0; 100];
        assert_eq!(
            stream.read_record(&mut buffer).unwrap(),
            Some((ContentType(24), 3))
        );

        peer.send(APPLICATION_DATA, b"before");
        peer.send(24, b"between");
        peer.send(APPLICATION_DATA, b"after");
        assert_eq!(stream.read(&mut buffer).unwrap(), 6);
        for _ in 0..2 {
            let error = stream.read(&mut buffer).unwrap_err();
            let Some(Error::RecordPending(content_type)) = Error::of(&error) else {
                panic!("{error}");
            };
            assert_eq!(content_type, ContentType(24));
        }
        // Read in pieces: the rest of a record is kept.
        let piece = stream.read_record(&mut buffer[..3]).unwrap();
        assert_eq!(
            (piece, &buffer[..3]),
            (Some((ContentType(24), 3)), &b"bet"[..])
        );
        let piece = stream.read_record(&mut buffer).unwrap();
        assert_eq!(
            (piece, &buffer[..4]),
            (Some((ContentType(24), 4)), &b"ween"[..])
        );
        assert_eq!(stream.read(&mut buffer).unwrap(), 5);
        assert_eq!(&buffer[..5], b"after");
    }
}

#[test]
fn records_that_may_not_be_sent_are_refused() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
        let error = stream
            .send_record(ContentType::CHANGE_CIPHER_SPEC, &[1][..])
            .unwrap_err();
        assert!(
            matches!(Error::of(&error), Some(Error::Record(_))),
            "{error}"
        );
        stream.write_all(b"unharmed").unwrap();
        stream.shutdown().unwrap();
        assert_eq!(peer.receive_data(), (b"unharmed".to_vec(), true));
    }
}

/// An alert of the application's own is what any peer makes of it.
#[tokio::test]
async fn an_alert_can_be_sent_as_a_record() {
    use tokio::io::AsyncReadExt;
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_tokio_rustls(suite, 1 << 16).await;
        stream
            .send_record(ContentType::ALERT, &[2, 49][..])
            .await
            .unwrap();
        let error = peer.read(&mut [0]).await.unwrap_err();
        assert!(error.to_string().contains("AccessDenied"), "{error}");
    }
}

/// What there is stays, whatever there is room for.
#[test]
fn a_record_is_read_without_room_and_stays() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
        peer.send(APPLICATION_DATA, b"data");
        peer.send(24, b"other");
        let mut buffer = [0; 10];
        for expected in [(ContentType::APPLICATION_DATA, 4), (ContentType(24), 5)] {
            for _ in 0..2 {
                let (content_type, n) = stream.read_record(&mut []).unwrap().unwrap();
                assert_eq!((content_type, n), (expected.0, 0));
            }
            assert_eq!(stream.read_record(&mut buffer).unwrap(), Some(expected));
        }
    }
}
