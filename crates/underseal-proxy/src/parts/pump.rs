//! Bodies on their way to streams of HTTP/2: what has been read is passed on before more is read.

use std::io;
use std::mem;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName};
use underseal_http::fields::may_trail;

use super::{Part, Parts, check_trailers};
use crate::flow::{Broken, Waiting};
use crate::http2::backlog::{Backlog, Hold};
use crate::policy::Guard;

/// Parts in a row before other tasks have their turn.
const TURN: usize = 32;

/// Shorter parts are put together while the connection takes less than there is, and go on with its next
/// round: the library bounds what waits in it by its bytes, and each frame takes some hundreds more.
const SHORT: usize = 1024;

/// A body on its way to an HTTP/2 stream.
pub(crate) struct Pump {
    sink: SendStream<Bytes>,
    /// What was read and could not be sent yet.
    pending: Bytes,
    /// What was read behind that: less than [`SHORT`].
    short: BytesMut,
    /// How long that waits for the connection.
    hold: Hold,
    /// Bytes of data that were sent, or put together.
    passed: u64,
    /// Those of them that were not sent yet.
    ahead: usize,
    pub(crate) waiting: Waiting,
    /// Whether nothing comes after what is pending.
    has_ended: bool,
    guard: Option<Guard>,
}

impl Pump {
    /// To a stream of a connection with this backlog.
    pub(crate) fn new(sink: SendStream<Bytes>, backlog: Backlog) -> Self {
        Self {
            sink,
            pending: Bytes::new(),
            short: BytesMut::new(),
            hold: Hold::new(backlog),
            passed: 0,
            ahead: 0,
            waiting: Waiting::Source,
            has_ended: false,
            guard: None,
        }
    }

    /// The same, for a client's body: its trailers are looked at.
    pub(crate) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Bytes of data that were sent, or are put together to be. It never becomes less.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// Passes parts on until the end has been.
    ///
    /// # Errors
    /// Why there will be none. The sink's stream has to be reset then.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Parts,
    ) -> Poll<Result<(), Broken>> {
        for _ in 0..TURN {
            self.waiting = Waiting::Sink;
            if !self.short.is_empty() && self.hold.poll_over(cx).is_ready() {
                self.put_together();
            }
            if self.poll_send(cx)?.is_pending() {
                source.hold(cx);
                return Poll::Pending;
            }
            if self.has_ended {
                return Poll::Ready(Ok(()));
            }
            self.waiting = Waiting::Source;
            match ready!(source.poll_part(cx)) {
                Some(part) => match part? {
                    Part::Data(data) => self.take(data),
                    Part::Trailers(trailers) => return Poll::Ready(self.send_trailers(trailers)),
                },
                None => self.has_ended = true,
            }
            self.has_ended |= source.is_at_end();
            if self.has_ended && self.pending.is_empty() {
                self.put_together();
            }
            if self.has_ended && self.pending.is_empty() {
                return Poll::Ready(self.send(Bytes::new()));
            }
        }
        // What came meanwhile is not to wait in a connection, however much it is.
        source.hold(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes data where nothing is pending.
    fn take(&mut self, data: Bytes) {
        if self.short.is_empty() {
            if data.len() >= SHORT || !self.hold.is_needed() {
                self.pending = data;
                return;
            }
            self.hold.begin();
        }
        self.short.extend_from_slice(&data);
        if self.short.len() >= SHORT {
            self.put_together();
        } else {
            self.passed += data.len() as u64;
            self.ahead += data.len();
        }
    }

    /// Has what was put together sent next.
    fn put_together(&mut self) {
        self.pending = mem::take(&mut self.short).freeze();
    }

    /// Resets the sink's stream: what was sent on it is not all.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.sink.send_reset(reason);
    }

    /// Why the one that the body goes to wants no more of it, if it said so.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Option<Reason>> {
        self.sink.poll_reset(cx).map(Result::ok)
    }

    /// Sends what is pending, as far as there is room for it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.pending.is_empty() {
            self.sink.reserve_capacity(self.pending.len());
            let capacity = ready!(self.poll_capacity(cx))?;
            let data = self.pending.split_to(capacity.min(self.pending.len()));
            self.send(data)?;
        }
        Poll::Ready(Ok(()))
    }

    /// How many bytes there is room for; at least one.
    fn poll_capacity(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        loop {
            match self.sink.capacity() {
                0 => {}
                capacity => return Poll::Ready(Ok(capacity)),
            }
            match ready!(self.sink.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(not_taken(error))),
                None => {
                    let gone = io::ErrorKind::BrokenPipe.into();
                    return Poll::Ready(Err(Broken::Sink(gone)));
                }
            }
        }
    }

    /// Sends data for which there is room, and the end with the last of it.
    fn send(&mut self, data: Bytes) -> Result<(), Broken> {
        let counted = self.ahead.min(data.len());
        self.ahead -= counted;
        self.passed += (data.len() - counted) as u64;
        let end = self.has_ended && self.pending.is_empty();
        self.sink.send_data(data, end).map_err(not_taken)
    }

    fn send_trailers(&mut self, mut trailers: HeaderMap) -> Result<(), Broken> {
        check_trailers(&trailers, self.guard.as_ref())?;
        if !self.short.is_empty() {
            // However little the other end takes: it is short.
            let last = mem::take(&mut self.short).freeze();
            self.send(last)?;
        }
        let is_late = |name: &&HeaderName| !may_trail(name.as_str().as_bytes());
        let late = trailers.keys().filter(is_late).cloned();
        for name in late.collect::<Vec<_>>() {
            trailers.remove(name);
        }
        self.sink.send_trailers(trailers).map_err(not_taken)
    }
}

fn not_taken(error: h2::Error) -> Broken {
    Broken::Sink(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::time::Duration;

    use h2::RecvStream;
    use http::{HeaderValue, Request, Response};
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const PIECE: &[u8] = b"twenty bytes of data";

    /// So many pieces, and then trailers, the end, or nothing for now.
    struct Pieces {
        parts: VecDeque<Part>,
        ends: bool,
    }

    impl Pieces {
        fn new(count: usize, ends: bool) -> Self {
            let piece = || Part::Data(Bytes::from_static(PIECE));
            let parts = (0..count).map(|_| piece()).collect();
            Self { parts, ends }
        }
    }

    impl Parts for Pieces {
        fn is_at_end(&self) -> bool {
            self.ends && self.parts.is_empty()
        }

        fn poll_part(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
            match self.parts.pop_front() {
                None if !self.ends => Poll::Pending,
                part => Poll::Ready(part.map(Ok)),
            }
        }
    }

    async fn sink(io: DuplexStream) -> SendStream<Bytes> {
        let mut connection = h2::server::handshake(io).await.expect("HTTP/2");
        let (_, mut respond) = connection.accept().await.expect("one").expect("a request");
        tokio::spawn(async move { while connection.accept().await.is_some() {} });
        respond
            .send_response(Response::new(()), false)
            .expect("a stream")
    }

    /// A stream of a connection, and what comes of it at its other end.
    async fn stream() -> (SendStream<Bytes>, RecvStream) {
        let (near, far) = duplex(1024 * 1024);
        let client = async {
            let mut builder = h2::client::Builder::new();
            // The pieces wait until all are there.
            let builder = builder.data_frame_budget(usize::MAX);
            let (mut sender, connection) =
                builder.handshake::<_, Bytes>(near).await.expect("HTTP/2");
            tokio::spawn(connection);
            let request = Request::get("http://a.test/").body(()).expect("a request");
            let (response, _) = sender.send_request(request, true).expect("a stream");
            response.await.expect("a response").into_body()
        };
        tokio::join!(sink(far), client)
    }

    /// The lengths of the frames that come until the end.
    async fn lengths(mut received: RecvStream) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(data) = received.data().await {
            let length = data.expect("data").len();
            received
                .flow_control()
                .release_capacity(length)
                .expect("a window");
            lengths.extend((length > 0).then_some(length));
        }
        lengths
    }

    #[tokio::test]
    async fn short_parts_go_together_to_a_connection_that_takes_nothing() {
        for (is_full, frames) in [(false, 200), (true, 4)] {
            let (sink, received) = stream().await;
            let mut pump = Pump::new(sink, Backlog::of_test(is_full));
            let mut pieces = Pieces::new(200, true);
            poll_fn(|cx| pump.poll(cx, &mut pieces))
                .await
                .expect("sent");
            let lengths = lengths(received).await;
            assert_eq!(lengths.iter().sum::<usize>(), 200 * PIECE.len());
            assert_eq!(lengths.len(), frames, "{lengths:?}");
            assert_eq!(pump.passed(), 200 * PIECE.len() as u64);
        }
    }

    /// What is sent of pieces that were put together, once `happens` has.
    async fn sent_once(happens: impl FnOnce(&Backlog)) -> Bytes {
        let (sink, mut received) = stream().await;
        let backlog = Backlog::of_test(true);
        let mut pump = Pump::new(sink, backlog.clone());
        let mut pieces = Pieces::new(2, false);
        let data = async {
            tokio::task::yield_now().await;
            happens(&backlog);
            received.data().await.expect("data").expect("data")
        };
        let pumped = poll_fn(|cx| pump.poll(cx, &mut pieces));
        tokio::select! {
            data = data => data,
            ended = pumped => panic!("there is more to come: {ended:?}"),
            () = tokio::time::sleep(Duration::from_secs(10)) => panic!("held"),
        }
    }

    #[tokio::test]
    async fn what_was_put_together_goes_once_the_connection_takes_more() {
        let both = [PIECE, PIECE].concat();
        assert_eq!(sent_once(|backlog| backlog.set(false)).await, both);
        // Another stream keeps it full.
        let is_taken = |backlog: &Backlog| {
            backlog.add_taken(64 * 1024);
            assert!(backlog.is_full());
        };
        assert_eq!(sent_once(is_taken).await, both);
    }

    #[tokio::test]
    async fn what_is_put_together_counts_once_whether_there_is_room_for_it_or_not() {
        let (sink, received) = stream().await;
        let backlog = Backlog::of_test(false);
        let mut pump = Pump::new(sink, backlog.clone());
        // The window of the stream, less one: it is left open by nobody.
        let mut pieces = Pieces::new(0, false);
        let all = Bytes::from(vec![7; 65_534]);
        pieces.parts.push_back(Part::Data(all));
        let poll = async |pump: &mut Pump, pieces: &mut Pieces| {
            let polled = poll_fn(|cx| Poll::Ready(pump.poll(cx, pieces)));
            assert!(polled.await.is_pending());
            pump.passed()
        };
        assert_eq!(poll(&mut pump, &mut pieces).await, 65_534);
        backlog.set(true);
        pieces.parts.extend(Pieces::new(2, false).parts);
        assert_eq!(poll(&mut pump, &mut pieces).await, 65_574);
        backlog.set(false);
        assert_eq!(poll(&mut pump, &mut pieces).await, 65_574);
        assert_eq!((pump.ahead, pump.pending.len()), (39, 39));
        drop(received);
    }

    #[tokio::test]
    async fn trailers_come_behind_what_was_put_together() {
        let (sink, mut received) = stream().await;
        let mut pump = Pump::new(sink, Backlog::of_test(true));
        let mut pieces = Pieces::new(3, true);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        pieces.parts.push_back(Part::Trailers(trailers));
        poll_fn(|cx| pump.poll(cx, &mut pieces))
            .await
            .expect("sent");
        let data = received.data().await.expect("data").expect("data");
        assert_eq!(data, PIECE.repeat(3));
        received
            .flow_control()
            .release_capacity(data.len())
            .expect("a window");
        let trailers = received.trailers().await.expect("trailers");
        assert_eq!(trailers.expect("trailers")["x-sum"], "7");
    }
}
