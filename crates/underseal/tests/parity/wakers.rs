//! A reader that has something to send does not take the wake-up of a writer that waits.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::io::{ReadBuf, ReadHalf, WriteHalf, split};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use underseal::message::{Filter, Message, MessageDirection, Peer as Target, Verdict};
use underseal::record::AlertDescription;
use underseal::{Direction, Engine};
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA, HANDSHAKE, key_update};

use crate::bad_records::{HEADERS, Spoil};
use crate::case::Case;
use crate::connect::{Peer, TokioServer, on_tokio, pattern};
use crate::counts::little_room;
use crate::full::while_full;
use crate::no_rekey::can_rekey;
use crate::programs::receive_data_record;

/// More than the socket and its peer hold.
const MUCH: usize = 2_000_000;

/// What nobody is woken for is found by this.
const PATIENCE: Duration = Duration::from_secs(20);

/// After so long without a wake-up the peer's kernel takes nothing any more.
const SETTLED: Duration = Duration::from_millis(1000);

/// In which call the writer waits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Waits {
    Write,
    Flush,
    Shutdown,
}

/// A stream whose writer waits, in a task of its own, for a peer that does not read.
struct Waiting {
    writer: JoinHandle<std::io::Result<usize>>,
    reader: ReadHalf<TokioServer>,
    /// Whether the writer's flush is done, and it waits in its shutdown.
    flushed: Arc<AtomicBool>,
}

impl Waiting {
    async fn new(stream: TokioServer, peer: &mut Peer, waits: Waits) -> Self {
        little_room(stream.get_ref().0, peer.io());
        let (reader, writer) = split(stream);
        let pending = Arc::new(Notify::new());
        let flushed = Arc::new(AtomicBool::new(false));
        let writing = write(writer, waits, Arc::clone(&flushed));
        let writer = tokio::spawn(noted(writing, Arc::clone(&pending)));
        // It is polled again while the peer's kernel still takes something.
        while timeout(SETTLED, pending.notified()).await.is_ok() {}
        assert!(!writer.is_finished());
        Self {
            writer,
            reader,
            flushed,
        }
    }
}

/// `future`, which says so each time that it waits.
async fn noted<T>(future: impl Future<Output = T>, pending: Arc<Notify>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            pending.notify_one();
        }
        polled
    })
    .await
}

/// Writes; returns how many bytes were taken.
async fn write(
    mut stream: WriteHalf<TokioServer>,
    waits: Waits,
    flushed: Arc<AtomicBool>,
) -> std::io::Result<usize> {
    let data = pattern(MUCH);
    if waits == Waits::Write {
        stream.write_all(&data).await?;
        stream.shutdown().await?;
        return Ok(data.len());
    }
    let mut taken = 0;
    // Until nothing is taken any more; then there is no room for what is pending either.
    let mut next = data.chunks(1000);
    while let Some(chunk) = next.next()
        && let Ok(written) = timeout(SETTLED / 2, stream.write(chunk)).await
    {
        let written = written?;
        assert_eq!(written, chunk.len());
        taken += written;
    }
    if waits == Waits::Flush {
        stream.flush().await?;
        flushed.store(true, Ordering::Relaxed);
    }
    stream.shutdown().await?;
    Ok(taken)
}

/// Whether a writer that waits so has not queued its close_notify, after which nothing follows. A
/// flush has nothing to wait for where the kernel keeps what it sealed.
fn has_said_nothing(case: Case, waits: Waits) -> bool {
    match waits {
        Waits::Write => true,
        Waits::Flush => case.engines.tx == Engine::User,
        Waits::Shutdown => false,
    }
}

/// Whether the kernel made room for a writer whose flush was to wait.
fn had_room(case: Case, waits: Waits, flushed: &AtomicBool) -> bool {
    waits == Waits::Flush && has_said_nothing(case, waits) && flushed.load(Ordering::Relaxed)
}

/// What the peer gets to the end of the stream, or to what `is_last` says: data, and the rest.
fn drain(peer: &mut Peer, is_last: impl Fn(u8, &[u8]) -> bool) -> (Vec<u8>, Vec<(u8, Vec<u8>)>) {
    let (mut data, mut rest) = (Vec::new(), Vec::new());
    while let Some((content_type, payload)) = peer.receive() {
        let is_last = is_last(content_type, &payload);
        match content_type {
            APPLICATION_DATA => data.extend(payload),
            HANDSHAKE if payload[0] != 24 => {}
            _ => {
                if content_type == HANDSHAKE {
                    peer.update_rx();
                }
                rest.push((content_type, payload));
            }
        }
        if is_last {
            break;
        }
    }
    (data, rest)
}

/// Has the stream answer: to a key update or, under TLS 1.2, to a renegotiation. Returns the
/// answer.
fn ask(case: Case, peer: &mut Peer) -> (u8, Vec<u8>) {
    if case.suite.is_tls13() {
        peer.send(HANDSHAKE, &key_update(1));
        peer.update_tx();
        return (HANDSHAKE, key_update(0).to_vec());
    }
    peer.send(HANDSHAKE, &[1, 0, 0, 0]);
    (ALERT, vec![1, 100])
}

fn can_answer(case: Case) -> bool {
    !case.suite.is_tls13() || can_rekey(case, &Direction::ALL)
}

/// The writer goes on and so does the reader, whichever call the writer waits in.
fn a_writer_is_woken(case: Case, waits: Waits) {
    while_full(|| on_tokio(a_writer_is_woken_once(case, waits)));
}

async fn a_writer_is_woken_once(case: Case, waits: Waits) -> Option<()> {
    let (stream, mut peer) = case.tokio_server().await;
    let Waiting {
        writer,
        mut reader,
        flushed,
    } = Waiting::new(stream, &mut peer, waits).await;
    let answer = ask(case, &mut peer);
    peer.send(APPLICATION_DATA, b"x");
    // It has handled the question, too, when it has read this.
    let read = timeout(PATIENCE, reader.read_u8()).await.unwrap();
    assert_eq!(read.unwrap(), b'x');
    let waits_again = Arc::new(Notify::new());
    let reading = noted(
        async move { reader.read_u8().await },
        Arc::clone(&waits_again),
    );
    let reading = tokio::spawn(reading);
    waits_again.notified().await;
    if had_room(case, waits, &flushed) {
        return None;
    }
    let drained = spawn_blocking(move || {
        let drained = drain(&mut peer, |kind, payload| {
            kind == ALERT && payload == [1, 0]
        });
        (peer, drained)
    });
    let taken = timeout(PATIENCE, writer)
        .await
        .unwrap_or_else(|_| panic!("nobody wakes a writer in {waits:?}"));
    let taken = taken.unwrap().unwrap();
    let (peer, (data, rest)) = timeout(PATIENCE, drained).await.unwrap().unwrap();
    assert!(data == pattern(MUCH)[..taken]);
    let answers = has_said_nothing(case, waits).then_some(answer);
    let expected: Vec<_> = answers.into_iter().chain([(ALERT, vec![1, 0])]).collect();
    assert_eq!(rest, expected);
    drop(peer);
    assert!(timeout(PATIENCE, reading).await.unwrap().unwrap().is_err());
    Some(())
}

pub(crate) fn an_answer_leaves_a_writer_its_wake_up(case: Case) {
    if can_answer(case) {
        a_writer_is_woken(case, Waits::Write);
    }
}

pub(crate) fn an_answer_leaves_a_flush_its_wake_up(case: Case) {
    if can_answer(case) {
        a_writer_is_woken(case, Waits::Flush);
    }
}

pub(crate) fn an_answer_leaves_a_shutdown_its_wake_up(case: Case) {
    if can_answer(case) {
        a_writer_is_woken(case, Waits::Shutdown);
    }
}

/// The reader alone is left, and does it.
pub(crate) fn an_answer_goes_out_although_the_writer_was_dropped(case: Case) {
    if !can_answer(case) {
        return;
    }
    on_tokio(async {
        let (stream, mut peer) = case.tokio_server().await;
        let Waiting {
            writer, mut reader, ..
        } = Waiting::new(stream, &mut peer, Waits::Write).await;
        let answer = ask(case, &mut peer);
        peer.send(APPLICATION_DATA, b"x");
        assert_eq!(reader.read_u8().await.unwrap(), b'x');
        writer.abort();
        assert!(writer.await.unwrap_err().is_cancelled());
        let reading = tokio::spawn(async move { reader.read_u8().await });
        let own = answer.clone();
        let drained = spawn_blocking(move || {
            let drained = drain(&mut peer, |kind, payload| {
                (kind, payload) == (own.0, &own.1[..])
            });
            (peer, drained)
        });
        let (peer, (data, rest)) = timeout(PATIENCE, drained).await.unwrap().unwrap();
        assert!(data == pattern(MUCH)[..data.len()]);
        assert_eq!(rest, [answer]);
        drop(peer);
        assert!(timeout(PATIENCE, reading).await.unwrap().unwrap().is_err());
    });
}

/// What another stream redirects here is sent by the reader, too.
pub(crate) fn a_redirect_leaves_a_writer_its_wake_up(case: Case) {
    on_tokio(async {
        let (mut stream, mut peer) = case.tokio_server().await;
        let (mut other, _other_peer) = case.on_user_engines().tokio_both().await;
        let to: Target = stream.redirect_peer(10_000);
        let program = move |_: &mut Message<'_>| Verdict::Redirect {
            to: to.clone(),
            direction: MessageDirection::Egress,
        };
        other.attach(Filter::egress(program)).unwrap();
        let Waiting {
            writer, mut reader, ..
        } = Waiting::new(stream, &mut peer, Waits::Write).await;
        let reading = Arc::new(Notify::new());
        let reader = tokio::spawn(noted(
            async move { reader.read_u8().await },
            Arc::clone(&reading),
        ));
        reading.notified().await;
        other.write_all(b"redirected").await.unwrap();
        // The reader is woken, tries to send it, and waits.
        reading.notified().await;
        let drained = spawn_blocking(move || {
            let drained = drain(&mut peer, |kind, _| kind == ALERT);
            (peer, drained)
        });
        let taken = timeout(PATIENCE, writer)
            .await
            .expect("nobody wakes the writer");
        let taken = taken.unwrap().unwrap();
        let (peer, (data, _)) = timeout(PATIENCE, drained).await.unwrap().unwrap();
        assert_eq!(data.len(), taken + b"redirected".len());
        assert!(data.windows(10).any(|bytes| bytes == b"redirected"));
        drop(peer);
        assert!(timeout(PATIENCE, reader).await.unwrap().unwrap().is_err());
    });
}

/// Polls a read of a stream that another task uses, too.
async fn read(stream: Arc<Mutex<TokioServer>>, way: Way) -> std::io::Result<Vec<u8>> {
    poll_fn(|cx| {
        let mut stream = stream.lock().unwrap();
        let (mut out, stream) = ([0; 20], Pin::new(&mut *stream));
        let mut out = ReadBuf::new(&mut out);
        match way {
            Way::Read => ready!(stream.poll_read(cx, &mut out))?,
            Way::FillBuf => out.put_slice(ready!(stream.poll_fill_buf(cx))?),
        }
        Poll::Ready(Ok(out.filled().to_vec()))
    })
    .await
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Read,
    FillBuf,
}

/// Who may redirect here was nobody when the reader began to wait.
pub(crate) fn a_waiting_reader_is_woken_for_the_first_redirect(case: Case) {
    for way in [Way::Read, Way::FillBuf] {
        on_tokio(async {
            let (stream, mut peer) = case.tokio_server().await;
            let stream = Arc::new(Mutex::new(stream));
            let pending = Arc::new(Notify::new());
            let reading = noted(read(Arc::clone(&stream), way), Arc::clone(&pending));
            let reading = tokio::spawn(reading);
            pending.notified().await;
            let to = stream.lock().unwrap().redirect_peer(100);
            let nobody: Arc<dyn underseal::message::Notify> = Arc::new(|| {});
            to.send(MessageDirection::Egress, (&b"sent"[..]).into(), &nobody)
                .unwrap();
            let sent = spawn_blocking(move || (receive_data_record(&mut peer), peer));
            // The peer does not wait for ever.
            let (sent, peer) = sent.await.unwrap();
            assert_eq!(sent, b"sent");
            to.send(MessageDirection::Ingress, (&b"read"[..]).into(), &nobody)
                .unwrap();
            let read = timeout(PATIENCE, reading).await.unwrap().unwrap();
            assert_eq!(read.unwrap(), b"read");
            drop(peer);
        });
    }
}

/// The reader fails at what `spoil` makes of a record, and reads no more; the writer sends the alert
/// that this gets and fails, too. One that has nothing more to say does not fail.
fn a_failing_read(case: Case, waits: Waits, spoil: Spoil, alert: AlertDescription) {
    while_full(|| on_tokio(a_read_fails(case, waits, spoil, alert)));
}

async fn a_read_fails(
    case: Case,
    waits: Waits,
    spoil: Spoil,
    alert: AlertDescription,
) -> Option<()> {
    let (stream, mut peer) = case.tokio_server().await;
    let Waiting {
        writer,
        mut reader,
        flushed,
    } = Waiting::new(stream, &mut peer, waits).await;
    let mut bad = peer.record(APPLICATION_DATA, b"bad");
    spoil(&mut bad);
    peer.send_bytes(&bad);
    let failed = tokio::spawn(async move { (reader.read_u8().await, reader) });
    let (read, reader) = timeout(PATIENCE, failed).await.unwrap().unwrap();
    read.unwrap_err();
    if had_room(case, waits, &flushed) {
        return None;
    }
    let drained = spawn_blocking(move || drain(&mut peer, |kind, _| kind == ALERT));
    let written = timeout(PATIENCE, writer)
        .await
        .unwrap_or_else(|_| panic!("nobody wakes a writer in {waits:?}"));
    assert_eq!(written.unwrap().is_err(), waits == Waits::Write);
    let (data, rest) = timeout(PATIENCE, drained).await.unwrap().unwrap();
    assert!(data == pattern(MUCH)[..data.len()]);
    let expected = match has_said_nothing(case, waits) {
        true => [2, alert.0],
        false => [1, 0],
    };
    assert_eq!(rest, [(ALERT, expected.to_vec())]);
    // Not before: where the kernel opens, the bad record is unread input, which resets.
    drop(reader);
    Some(())
}

pub(crate) fn a_failing_read_leaves_a_writer_its_wake_up(case: Case) {
    let spoil: Spoil = |record| *record.last_mut().unwrap() ^= 1;
    for waits in [Waits::Write, Waits::Flush, Waits::Shutdown] {
        a_failing_read(case, waits, spoil, AlertDescription::BAD_RECORD_MAC);
    }
}

/// A kernel that opens says at once of such a header that it is bad, to whoever calls next: of a
/// reader and a writer that wait, the one that is woken first.
pub(crate) fn a_bad_header_leaves_a_writer_its_outcome(case: Case) {
    for (spoil, alert) in HEADERS {
        a_failing_read(case, Waits::Flush, spoil, alert);
        a_failing_read(case, Waits::Shutdown, spoil, alert);
    }
}
