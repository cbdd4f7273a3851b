//! A stream below that loses what it was given: no record may follow the one that is missing.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;

use underseal::message::{Filter, Message, Peer, Verdict};
use underseal::{ServerConnection, blocking};
use underseal_testkit::{Pipe, RecordPeer, Suite};

use crate::pairs::{accept_over, pattern};

/// What the next write below comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// It takes nothing, and says so.
    Zero,
    Fails,
    /// It takes everything, and does not come to say so.
    Panics,
    /// There is no room, once.
    Full,
}

const LOSSES: [Fault; 3] = [Fault::Zero, Fault::Fails, Fault::Panics];

/// A pipe whose writes fail as it is told.
struct Faulty {
    pipe: Pipe,
    next: Rc<Cell<Fault>>,
}

impl Read for Faulty {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.pipe.read(buf)
    }
}

impl Write for Faulty {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.next.replace(Fault::None) {
            Fault::None => self.pipe.write(buf),
            Fault::Zero => Ok(0),
            Fault::Fails => Err(ErrorKind::TimedOut.into()),
            Fault::Full => Err(ErrorKind::WouldBlock.into()),
            Fault::Panics => {
                self.pipe.write_all(buf)?;
                panic!("the stream below panics");
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

type Stream = blocking::TlsStream<Faulty, ServerConnection>;

fn faulty(suite: Suite) -> (Stream, RecordPeer<Pipe>, Rc<Cell<Fault>>) {
    let next = Rc::new(Cell::new(Fault::None));
    let below = Rc::clone(&next);
    let (stream, peer) = accept_over(suite, 1 << 20, |pipe| Faulty { pipe, next: below });
    (stream, peer, next)
}

/// Whether `call` fails, be it by a panic.
fn fails<T>(call: impl FnOnce() -> io::Result<T>) -> bool {
    catch_unwind(AssertUnwindSafe(call)).map_or(true, |result| result.is_err())
}

/// Nothing is taken any more, no end looks clean, and the peer gets no record that does not open.
fn assert_broken(mut stream: Stream, mut peer: RecordPeer<Pipe>, what: &str) {
    let error = stream.write(b"behind the hole").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{what}");
    assert!(stream.flush().is_ok(), "{what}: nothing is left to be sent");
    let error = stream.shutdown().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{what}");
    assert!(stream.into_parts().is_err(), "{what}");
    let (data, _) = peer.receive_data();
    assert!(data.starts_with(b"before"), "{what}");
    assert!(!data.ends_with(b"behind the hole"), "{what}");
}

#[test]
fn a_record_that_was_lost_is_the_last() {
    for suite in Suite::EACH_VERSION {
        for fault in LOSSES {
            for how in ["write", "more", "record", "file"] {
                let (mut stream, peer, next) = faulty(suite);
                stream.write_all(b"before").unwrap();
                next.set(fault);
                let failed = fails(|| match how {
                    "write" => stream.write_all(b"lost"),
                    "more" => {
                        stream.write_more(b"lo")?;
                        stream.write_all(b"st")
                    }
                    "record" => {
                        let other = underseal::record::ContentType(99);
                        stream.send_record(other, &b"lost"[..]).map(drop)
                    }
                    _ => {
                        let mut file = tempfile::tempfile()?;
                        file.write_all(&pattern(20_000))?;
                        stream.send_file(&file, 0..20_000).map(drop)
                    }
                });
                assert!(failed, "{suite:?} {fault:?} {how}");
                assert_broken(stream, peer, &format!("{suite:?} {fault:?} {how}"));
            }
        }
    }
}

/// What the socket did not take is sent by a later call. Where that fails it is kept, but where the
/// stream below may have taken any of it.
#[test]
fn what_is_pending_is_kept_or_the_last() {
    for suite in Suite::EACH_VERSION {
        for fault in LOSSES {
            let (mut stream, mut peer, next) = faulty(suite);
            stream.write_all(b"before").unwrap();
            next.set(Fault::Full);
            stream.write_all(b"kept").unwrap();
            assert!(stream.pending_bytes() > 0);
            next.set(fault);
            assert!(fails(|| stream.flush()), "{suite:?} {fault:?}");
            if fault == Fault::Panics {
                assert_broken(stream, peer, &format!("{suite:?} {fault:?}"));
                continue;
            }
            let reader = thread::spawn(move || peer.receive_data());
            stream.write_all(b"behind").unwrap();
            stream.shutdown().unwrap();
            let expected = (b"beforekeptbehind".to_vec(), true);
            assert_eq!(reader.join().unwrap(), expected, "{suite:?} {fault:?}");
        }
    }
}

/// Also close_notify is sealed.
#[test]
fn a_close_notify_that_was_lost_is_told() {
    for suite in Suite::EACH_VERSION {
        for fault in LOSSES {
            let (mut stream, mut peer, next) = faulty(suite);
            stream.write_all(b"before").unwrap();
            next.set(fault);
            assert!(fails(|| stream.shutdown()), "{suite:?} {fault:?}");
            if fault == Fault::Panics {
                assert_broken(stream, peer, &format!("{suite:?} {fault:?}"));
                continue;
            }
            stream.shutdown().unwrap();
            assert_eq!(peer.receive_data(), (b"before".to_vec(), true));
        }
    }
}

/// What a program passed went before the failure: its writer would send it again.
#[test]
fn a_judged_write_that_fails_in_part_counts_what_went() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer, next) = faulty(suite);
        next.set(Fault::Full);
        stream.write_all(b"before").unwrap();
        assert!(stream.pending_bytes() > 0);
        let in_fours = |message: &mut Message<'_>| {
            message.apply_bytes(4);
            Verdict::<Peer>::Pass
        };
        stream.attach(Filter::egress(in_fours)).unwrap();
        next.set(Fault::Fails);
        let mut rest = &b"onlyonce"[..];
        let mut failures = 0;
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(_) => failures += 1,
            }
        }
        assert_eq!(failures, 0, "a part was taken");
        stream.shutdown().unwrap();
        assert_eq!(peer.receive_data(), (b"beforeonlyonce".to_vec(), true));
    }
}
