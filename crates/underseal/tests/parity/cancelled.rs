//! Futures of a stream's own methods that are dropped half way.

use std::fs::File;
use std::io::{Read, Write};

use tokio::io::AsyncWriteExt;
use tokio::task::{spawn_blocking, yield_now};
use underseal::record::ContentType;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};
use underseal_testkit::{pipe, poll_once};

use crate::case::Case;
use crate::connect::{TokioServer, on_tokio, pattern};
use crate::counts::little_room;
use crate::endings::CLOSE_NOTIFY;

/// How many futures are dropped before the peer reads.
const DROPPED: usize = 5;

/// What a stream's own ways of reading give, each polled once.
struct Reader {
    stream: TokioServer,
    pipe: (File, File),
    received: Vec<u8>,
    ended: bool,
}

impl Reader {
    fn new(stream: TokioServer) -> Self {
        Self {
            stream,
            pipe: pipe(),
            received: Vec::new(),
            ended: false,
        }
    }

    /// Returns how many of the three futures were dropped.
    fn poll_each(&mut self, sent: &[u8]) -> usize {
        let mut dropped = 0;
        let mut buffer = [0; 50];
        match poll_once(self.stream.peek(&mut buffer)) {
            Some(seen) => {
                let seen = &buffer[..seen.unwrap()];
                assert!(sent[self.received.len()..].starts_with(seen));
            }
            None => dropped += 1,
        }
        let (drain, pipe) = &mut self.pipe;
        match poll_once(self.stream.splice_to(pipe, 200)) {
            Some(moved) => {
                let mut bytes = vec![0; moved.unwrap()];
                drain.read_exact(&mut bytes).unwrap();
                self.received.extend(bytes);
            }
            None => dropped += 1,
        }
        match poll_once(self.stream.read_record(&mut buffer)).transpose() {
            Ok(Some(Some((content_type, len)))) => {
                assert_eq!(content_type, ContentType::APPLICATION_DATA);
                self.received.extend(&buffer[..len]);
            }
            Ok(Some(None)) => self.ended = true,
            Ok(None) => dropped += 1,
            Err(error) => panic!("{error}"),
        }
        dropped
    }
}

/// It is dropped before each record and in the middle of it.
pub(crate) fn a_dropped_reader_has_lost_nothing(case: Case) {
    on_tokio(async {
        let (stream, mut peer) = case.tokio_server().await;
        let mut reader = Reader::new(stream);
        let sent = pattern(20_000);
        let mut arrived = 0;
        for data in sent.chunks(1_999) {
            let record = peer.record(APPLICATION_DATA, data);
            for part in [&record[..7], &record[7..record.len() - 1]] {
                assert_eq!(reader.poll_each(&sent), 3, "nothing is there");
                peer.send_bytes(part);
                yield_now().await;
            }
            assert_eq!(reader.poll_each(&sent), 3, "a byte is missing");
            peer.send_bytes(&record[record.len() - 1..]);
            arrived += data.len();
            while reader.received.len() < arrived {
                reader.poll_each(&sent);
                yield_now().await;
            }
        }
        peer.send(ALERT, &CLOSE_NOTIFY);
        while !reader.ended {
            reader.poll_each(&sent);
            yield_now().await;
        }
        assert!(reader.received == sent);
    });
}

/// A stream's own ways of writing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    WriteMore,
    SpliceFrom,
}

/// One of them, whose futures are polled once, until all was taken.
struct Writer {
    way: Way,
    stream: TokioServer,
    pipe: (File, File),
    /// What lies in the pipe.
    piped: usize,
    taken: usize,
    dropped: usize,
}

impl Writer {
    fn new(way: Way, stream: TokioServer) -> Self {
        Self {
            way,
            stream,
            pipe: pipe(),
            piped: 0,
            taken: 0,
            dropped: 0,
        }
    }

    fn poll_next(&mut self, data: &[u8]) {
        let (drain, pipe) = &mut self.pipe;
        let next = &data[self.taken..data.len().min(self.taken + 3_000)];
        let taken = match self.way {
            Way::WriteMore => poll_once(self.stream.write_more(next)),
            Way::SpliceFrom => {
                if self.piped == 0 {
                    pipe.write_all(next).unwrap();
                    self.piped = next.len();
                }
                poll_once(self.stream.splice_from(drain, self.piped))
            }
        };
        match taken {
            Some(taken) => {
                let taken = taken.unwrap();
                self.taken += taken;
                self.piped = self.piped.saturating_sub(taken);
            }
            None => self.dropped += 1,
        }
    }
}

/// The peer begins to read once some futures were dropped.
async fn drops_a_writer(case: Case, way: Way) {
    let (stream, mut peer) = case.tokio_server().await;
    little_room(stream.get_ref().0, peer.io());
    let data = pattern(2_000_000);
    let mut writer = Writer::new(way, stream);
    while writer.dropped < DROPPED {
        writer.poll_next(&data);
        yield_now().await;
    }
    assert!(writer.taken < data.len(), "the socket was full");
    let drained = spawn_blocking(move || (peer.receive_data(), peer));
    while writer.taken < data.len() {
        writer.poll_next(&data);
        yield_now().await;
    }
    writer.stream.shutdown().await.unwrap();
    let (received, _peer) = drained.await.unwrap();
    assert!(received == (data, true), "{way:?}");
}

pub(crate) fn a_dropped_writer_has_taken_nothing(case: Case) {
    for way in [Way::WriteMore, Way::SpliceFrom] {
        on_tokio(drops_a_writer(case, way));
    }
}
