use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use underseal_record::dtls::{RecordNumber, numbered_records, protected_version};
use underseal_record::{MAX_PLAINTEXT, ProtocolVersion};

use crate::datagrams::{self, Datagrams, is_icmp};
use crate::drive::WaitsFor;

/// The epoch whose keys one handshake makes.
pub(crate) const FIRST_EPOCH: u16 = 1;
/// Bytes of received datagrams that are kept until their records can be told from forged ones (the newest), and
/// of sent ones that the peer may lack.
const MAX_KEPT: usize = 1 << 16;
/// What a received datagram is counted with beyond its bytes: its places in the memory and in the list.
pub(crate) const OVERHEAD: usize = 128;
/// Most datagrams that a library reads in one call. For each record that it drops it reads again, and looks neither at
/// the clock nor at the flight that may be due.
const ALLOWANCE: usize = 64;

/// A connected UDP socket as the stream of a handshake: an `SslStream` reads and writes datagrams
/// through it, and it keeps what the hand-over has to know of them.
///
/// Those are the number of the last record that was sent under the new keys, the received datagrams
/// with records under the new keys, and the last flight that was sent; of DTLS 1.3, whose numbers are
/// encrypted, all datagrams with records under keys.
///
/// Whoever drives a handshake himself bounds its time himself: a call of `do_handshake` returns when the socket has no
/// more datagrams, and who sends junk without end keeps it from that. `connect` and `accept` of the sockets of this
/// crate keep their time.
#[derive(Debug)]
pub struct HandshakeIo<S> {
    socket: Arc<S>,
    seen: Seen,
    /// What the socket has is left to whoever comes next.
    has_stopped: bool,
    /// How many datagrams are still read, and none is waited for; without it, as the socket has them.
    allowance: Option<usize>,
}

/// What a handshake has sent and received.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The highest number sent in an epoch with keys, of DTLS 1.2.
    pub(crate) last_sent: Option<RecordNumber>,
    /// Datagrams sent with records of DTLS 1.3 under keys.
    pub(crate) sent: Vec<Vec<u8>>,
    sent_len: usize,
    /// Datagrams with records of an epoch with keys, the newest of them.
    pub(crate) received: VecDeque<Arrived>,
    received_len: usize,
    /// How many there were before them, forged or not.
    displaced: u64,
    /// Datagrams sent since the last one that was received.
    flight: Vec<Vec<u8>>,
    flight_len: usize,
    flight_is_over: bool,
}

/// A datagram that was received.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) datagram: Vec<u8>,
    /// How many with records of DTLS 1.3 under keys were sent before it.
    #[cfg_attr(
        not(any(feature = "boring", test)),
        expect(dead_code, reason = "only a hand-over of DTLS 1.3 asks")
    )]
    pub(crate) sent_before: usize,
}

impl<S: Datagrams> HandshakeIo<S> {
    /// Carries a handshake over `socket`, which is connected to the peer.
    ///
    /// # Errors
    ///
    /// The socket's, if it is not connected.
    pub fn new(socket: S) -> io::Result<Self> {
        rustix::net::getpeername(&socket)?;
        Ok(Self {
            socket: Arc::new(socket),
            seen: Seen::default(),
            has_stopped: false,
            allowance: None,
        })
    }

    /// The socket: for waiting on it and for its options.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// A second owner of the socket, for the time in which the first is dropped.
    pub(crate) fn share(&self) -> Arc<S> {
        self.socket.clone()
    }

    /// From now on nothing is read from the socket.
    #[cfg(any(feature = "boring", feature = "openssl"))]
    pub(crate) fn stop_receiving(&mut self) {
        self.has_stopped = true;
    }

    /// Has the next call of the library read what has come, and so much of it alone that its driver keeps the time.
    pub(crate) fn allow_some(&mut self) {
        self.allowance = Some(ALLOWANCE);
    }

    /// What a library waits for that has said that there are no more datagrams.
    pub(crate) fn waits_for(&self) -> WaitsFor {
        match self.allowance {
            Some(0) => WaitsFor::Nothing,
            _ => WaitsFor::Datagram,
        }
    }

    /// Whether a datagram may be read now.
    fn may_read(&mut self) -> io::Result<bool> {
        match &mut self.allowance {
            _ if self.has_stopped => Ok(false),
            None => Ok(true),
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                self.socket.is_readable_by(Instant::now())
            }
        }
    }

    pub(crate) fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }
}

/// All payloads that a handshake's library has kept for a reader, as `read` gives them: nothing comes from the socket meanwhile
/// ([`HandshakeIo::stop_receiving`]).
pub(crate) fn drain(mut read: impl FnMut(&mut [u8]) -> Option<usize>) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; MAX_PLAINTEXT];
    std::iter::from_fn(|| {
        let len = read(&mut buffer)?;
        Some(buffer[..len].to_vec())
    })
    .collect()
}

impl<S: Datagrams> Read for HandshakeIo<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.may_read()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match datagrams::receive(&*self.socket, buffer) {
            // Anybody can say by ICMP that nobody is there: who is not shows by silence.
            Err(error) if is_icmp(&error) => Err(io::ErrorKind::WouldBlock.into()),
            received => {
                let len = received?.len;
                self.seen.received(&buffer[..len]);
                Ok(len)
            }
        }
    }
}

impl<S: Datagrams> Write for HandshakeIo<S> {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        // First: a record that the socket does not take has used its number all the same, and the peer
        // lacks the flight that it is of.
        self.seen.sent(datagram);
        let send = || datagrams::send(&*self.socket, datagram, datagram.len());
        match send() {
            // It was said of an earlier datagram, and instead of sending this one.
            Err(error) if is_icmp(&error) => send(),
            sent => sent,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seen {
    pub(crate) fn sent(&mut self, datagram: &[u8]) {
        if std::mem::take(&mut self.flight_is_over) {
            self.flight.clear();
            self.flight_len = 0;
        }
        // More is no flight, but data that OpenSSL sent after it.
        self.flight_len += datagram.len();
        if self.flight_len <= MAX_KEPT {
            self.flight.push(datagram.to_vec());
        }
        match protected_version(datagram) {
            Some(ProtocolVersion::Tls12) => {
                let numbers = numbered_records(datagram).map(|(number, _)| number);
                let protected = numbers.filter(|number| number.epoch > 0);
                self.last_sent = self.last_sent.into_iter().chain(protected).max();
            }
            Some(ProtocolVersion::Tls13) => {
                self.sent_len += datagram.len();
                if self.has_all_sent() {
                    self.sent.push(datagram.to_vec());
                }
            }
            None => {}
        }
    }

    pub(crate) fn received(&mut self, datagram: &[u8]) {
        self.flight_is_over = true;
        if protected_version(datagram).is_some() {
            self.received_len += datagram.len() + OVERHEAD;
            self.received.push_back(Arrived {
                datagram: datagram.to_vec(),
                sent_before: self.sent.len(),
            });
        }
        while self.received_len > MAX_KEPT
            && let Some(oldest) = self.received.pop_front()
        {
            self.received_len -= oldest.datagram.len() + OVERHEAD;
            self.displaced += 1;
        }
    }

    /// Whether everything was kept that was sent under keys of DTLS 1.3: which numbers are used is not known
    /// otherwise.
    pub(crate) fn has_all_sent(&self) -> bool {
        self.sent_len <= MAX_KEPT
    }

    /// Whether everything was kept that was received, forged or not.
    #[cfg_attr(
        not(any(feature = "boring", feature = "openssl", test)),
        expect(dead_code, reason = "only a hand-over asks")
    )]
    pub(crate) fn has_all_received(&self) -> bool {
        self.displaced == 0
    }

    /// How many received datagrams have given their places to newer ones.
    pub(crate) fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Whether records were sent under other keys than those of the first handshake.
    #[cfg_attr(
        not(feature = "openssl"),
        expect(dead_code, reason = "only a hand-over of DTLS 1.2 asks")
    )]
    pub(crate) fn is_renegotiated(&self) -> bool {
        self.last_sent
            .is_some_and(|number| number.epoch > FIRST_EPOCH)
    }

    /// The sequence number behind the last one sent under the new keys.
    #[cfg_attr(
        not(any(feature = "openssl", test)),
        expect(dead_code, reason = "only a hand-over of DTLS 1.2 asks")
    )]
    pub(crate) fn next_seq(&self) -> u64 {
        self.last_sent.map_or(0, |number| number.seq + 1)
    }

    /// The flight that was sent last, where nothing came after it: the peer may lack it.
    #[cfg_attr(
        not(any(feature = "openssl", test)),
        expect(dead_code, reason = "only a hand-over of DTLS 1.2 asks")
    )]
    pub(crate) fn into_flight(self) -> Vec<Vec<u8>> {
        match self.flight_is_over {
            true => Vec::new(),
            false => self.flight,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::datagrams::scripted::Scripted;

    /// A record of epoch 1 with one byte.
    fn record(seq: u8) -> [u8; 14] {
        [22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, seq, 0, 1, 9]
    }

    fn io(sends: &[Option<Errno>]) -> (HandshakeIo<Scripted>, Scripted) {
        let (near, far) = Scripted::pair(sends, &[]);
        (HandshakeIo::new(near).expect("it is connected"), far)
    }

    #[test]
    fn a_record_that_the_socket_refused_has_used_its_number_and_is_sent_again() {
        let (mut io, _far) = io(&[None, Some(Errno::NOBUFS)]);
        io.write_all(&record(4)).expect("the socket takes it");
        assert!(io.write(&record(5)).is_err());
        let seen = io.take_seen();
        assert_eq!(seen.next_seq(), 6);
        assert_eq!(seen.into_flight(), [record(4), record(5)]);
    }

    #[test]
    fn what_icmp_says_does_not_end_a_handshake() {
        let said = Some(Errno::CONNREFUSED);
        let (near, far) = Scripted::pair(&[said], &[said]);
        let mut io = HandshakeIo::new(near).expect("it is connected");
        io.write_all(&record(4)).expect("it is sent all the same");
        let read = io.read(&mut [0; 100]).expect_err("nothing came");
        assert_eq!(read.kind(), io::ErrorKind::WouldBlock);
        let mut far = HandshakeIo::new(far).expect("it is connected");
        assert_eq!(far.read(&mut [0; 100]).expect("it came"), 14);
    }

    #[test]
    fn all_that_dtls_1_3_sends_under_keys_is_kept_as_far_as_it_is_bounded() {
        let (mut io, _far) = io(&[]);
        let unified = [0x2e; 1000];
        io.write_all(&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9])
            .expect("the socket takes it");
        io.write_all(&unified).expect("the socket takes it");
        let seen = io.take_seen();
        assert_eq!(seen.sent, [unified]);
        assert_eq!(seen.last_sent, None, "its number is encrypted");
        assert!(seen.has_all_sent());
        for _ in 0..=MAX_KEPT / 1000 {
            io.write_all(&unified).expect("the socket takes it");
        }
        assert!(!io.take_seen().has_all_sent());
    }

    #[test]
    fn what_is_kept_of_a_flight_is_bounded() {
        let (mut io, _far) = io(&[]);
        for _ in 0..100 {
            io.write_all(&[23; 1000]).expect("the socket takes it");
        }
        assert_eq!(io.take_seen().into_flight().len(), MAX_KEPT / 1000);
    }
}
