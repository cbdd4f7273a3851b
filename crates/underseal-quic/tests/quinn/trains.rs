//! Trains of datagrams: what leaves in one call, what at once, and what a full socket makes of it.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller};
use underseal_quic::trains::Trains;

const SEGMENT: usize = 100;
/// As many datagrams as quinn sends at once.
const TEN: usize = 10 * SEGMENT;

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A train of `len` bytes whose datagrams are filled with `fill`.
fn train(fill: u8, len: usize) -> Vec<u8> {
    vec![fill; len]
}

fn transmit(contents: &[u8], port: u16) -> Transmit<'_> {
    Transmit {
        destination: address(port),
        ecn: Some(EcnCodepoint::Ect0),
        contents,
        segment_size: (contents.len() > SEGMENT).then_some(SEGMENT),
        src_ip: None,
    }
}

/// One call that sent.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    port: u16,
    contents: Vec<u8>,
}

/// A socket that remembers what it sent.
#[derive(Debug, Default)]
struct Recorder {
    sent: Mutex<Vec<Sent>>,
    is_full: AtomicBool,
    is_broken: AtomicBool,
    most: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

impl Recorder {
    fn taken(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    fn fill(&self) {
        self.is_full.store(true, Ordering::SeqCst);
    }

    fn drain(&self) {
        self.is_full.store(false, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl AsyncUdpSocket for Recorder {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
        let datagrams = transmit.contents.len().div_ceil(segment);
        assert!(datagrams <= self.most.load(Ordering::SeqCst));
        self.sent.lock().unwrap().push(Sent {
            port: transmit.destination.port(),
            contents: transmit.contents.to_vec(),
        });
        Ok(())
    }

    fn poll_recv(
        &self,
        _: &mut Context<'_>,
        _: &mut [IoSliceMut<'_>],
        _: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address(1))
    }

    fn max_transmit_segments(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Writable(Arc<Recorder>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.is_full.load(Ordering::SeqCst) {
            self.0.waiting.lock().unwrap().push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A runtime whose tasks run when a test says so.
#[derive(Default)]
struct ByHand {
    recorder: Arc<Recorder>,
    tasks: Arc<Mutex<VecDeque<Task>>>,
}

impl std::fmt::Debug for ByHand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByHand")
    }
}

impl Runtime for ByHand {
    fn new_timer(&self, _: Instant) -> Pin<Box<dyn AsyncTimer>> {
        unreachable!("no test waits")
    }

    fn spawn(&self, future: Task) {
        self.tasks.lock().unwrap().push_back(future);
    }

    fn wrap_udp_socket(&self, _: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(Arc::clone(&self.recorder) as _)
    }
}

/// Counts how often the task was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A socket with trains, what is below it, and the task that sends.
struct Case {
    socket: Option<Arc<dyn AsyncUdpSocket>>,
    below: Arc<Recorder>,
    task: Task,
    woken: Arc<Woken>,
}

impl Case {
    /// Whose socket takes `most` datagrams in one call.
    fn new(most: usize) -> Self {
        let runtime = ByHand::default();
        let (below, tasks) = (Arc::clone(&runtime.recorder), Arc::clone(&runtime.tasks));
        below.most.store(most, Ordering::SeqCst);
        let socket = UdpSocket::bind(address(0)).unwrap();
        let socket = Trains::over(runtime).wrap_udp_socket(socket).unwrap();
        let mut spawned = tasks.lock().unwrap();
        let task = spawned.pop_front().unwrap();
        assert!(spawned.is_empty());
        drop(spawned);
        let mut case = Self {
            socket: Some(socket),
            below,
            task,
            woken: Arc::default(),
        };
        assert!(case.turn().is_pending());
        case
    }

    fn send(&self, contents: &[u8], port: u16) -> io::Result<()> {
        let socket = self.socket.as_ref().unwrap();
        socket.try_send(&transmit(contents, port))
    }

    /// One turn of the task.
    fn turn(&mut self) -> Poll<()> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.task.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// How often it was woken since it was asked last.
    fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::SeqCst)
    }
}

fn sent(port: u16, parts: &[&[u8]]) -> Sent {
    let contents = parts.concat();
    Sent { port, contents }
}

#[test]
fn trains_of_a_connection_leave_in_one_call() {
    let mut case = Case::new(64);
    for fill in 1..=5 {
        case.send(&train(fill, TEN), 443).unwrap();
    }
    assert_eq!((case.below.taken(), case.woken()), (vec![], 1));
    case.send(&train(6, TEN), 443).unwrap();
    let trains: Vec<_> = (1..=6).map(|fill| train(fill, TEN)).collect();
    let parts: Vec<_> = trains.iter().map(Vec::as_slice).collect();
    assert_eq!(case.below.taken(), [sent(443, &parts)]);
    assert!(case.turn().is_pending());
    assert_eq!((case.below.taken(), case.woken()), (vec![], 0));
}

#[test]
fn what_is_shorter_leaves_at_once_behind_what_was_held() {
    let case = Case::new(64);
    let (ten, end) = (train(1, TEN), train(2, 3 * SEGMENT + 7));
    case.send(&ten, 443).unwrap();
    case.send(&end, 443).unwrap();
    case.send(&end, 443).unwrap();
    // Longer than the datagrams that are held: a probe of the path.
    case.send(&ten, 443).unwrap();
    let probe = train(3, SEGMENT + 1);
    let socket = case.socket.as_ref().unwrap();
    let probe = Transmit {
        segment_size: None,
        ..transmit(&probe, 443)
    };
    socket.try_send(&probe).unwrap();
    let calls = [
        sent(443, &[&ten, &end]),
        sent(443, &[&end]),
        sent(443, &[&ten]),
        sent(443, &[probe.contents]),
    ];
    assert_eq!(case.below.taken(), calls);
}

#[test]
fn connections_to_other_addresses_have_trains_of_their_own() {
    let mut case = Case::new(64);
    let (one, other) = (train(1, TEN), train(2, TEN));
    for _ in 0..2 {
        case.send(&one, 1).unwrap();
        case.send(&other, 2).unwrap();
    }
    assert_eq!(case.below.taken(), []);
    assert!(case.turn().is_pending(), "they may grow");
    assert!(case.turn().is_pending());
    assert_eq!(
        case.below.taken(),
        [sent(1, &[&one, &one]), sent(2, &[&other, &other])]
    );
    // Addresses that share a place: one train, then the other.
    case.send(&one, 1).unwrap();
    case.send(&other, 17).unwrap();
    assert_eq!(case.below.taken(), [sent(1, &[&one])]);
}

#[test]
fn a_train_leaves_when_its_connection_had_a_turn_and_added_nothing() {
    let mut case = Case::new(64);
    let ten = train(1, TEN);
    case.send(&ten, 443).unwrap();
    assert_eq!(case.woken(), 1);
    assert!(case.turn().is_pending());
    assert_eq!((case.below.taken(), case.woken()), (vec![], 1));
    case.send(&ten, 443).unwrap();
    assert!(case.turn().is_pending());
    assert_eq!((case.below.taken(), case.woken()), (vec![], 1), "it grew");
    assert!(case.turn().is_pending());
    assert_eq!(case.below.taken(), [sent(443, &[&ten, &ten])]);
    assert_eq!(case.woken(), 0);
}

#[test]
fn a_full_socket_refuses_the_next_and_keeps_what_it_took() {
    let mut case = Case::new(20);
    let (ten, other) = (train(1, TEN), train(2, SEGMENT));
    case.below.fill();
    case.send(&ten, 443).unwrap();
    case.send(&ten, 443).unwrap();
    for _ in 0..2 {
        let refused = case.send(&other, 443).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(case.turn().is_pending());
    }
    assert!(case.woken() > 0);
    assert!(case.turn().is_pending());
    assert_eq!((case.below.taken(), case.woken()), (vec![], 0));
    case.below.drain();
    assert!(case.woken() > 0);
    assert!(case.turn().is_pending());
    assert_eq!(case.below.taken(), [sent(443, &[&ten, &ten])]);
    case.send(&other, 443).unwrap();
    assert_eq!(case.below.taken(), [sent(443, &[&other])]);
}

#[test]
fn an_error_is_told_to_whom_it_concerns() {
    let mut case = Case::new(64);
    let (ten, other) = (train(1, TEN), train(2, SEGMENT));
    case.send(&ten, 1).unwrap();
    case.below.is_broken.store(true, Ordering::SeqCst);
    // The train is lost; its error is not that of the next, who has his own.
    let error = case.send(&other, 17).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    case.send(&ten, 1).unwrap();
    assert!(case.turn().is_pending());
    assert!(case.turn().is_pending());
    case.below.is_broken.store(false, Ordering::SeqCst);
    case.send(&other, 17).unwrap();
    assert_eq!(case.below.taken(), [sent(17, &[&other])]);
}

#[test]
fn a_socket_that_sends_one_datagram_at_a_time_does_so() {
    let case = Case::new(1);
    let datagram = train(1, SEGMENT);
    for _ in 0..3 {
        case.send(&datagram, 443).unwrap();
        assert_eq!(case.below.taken(), [sent(443, &[&datagram])]);
    }
}

#[test]
fn what_is_held_leaves_with_the_socket_and_the_task_ends() {
    let mut case = Case::new(64);
    let ten = train(1, TEN);
    case.send(&ten, 443).unwrap();
    assert_eq!(case.woken(), 1);
    case.socket = None;
    assert_eq!(case.below.taken(), [sent(443, &[&ten])]);
    assert_eq!(case.woken(), 1);
    assert!(case.turn().is_ready());
}
