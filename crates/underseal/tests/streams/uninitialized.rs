//! Readers with large buffers that nobody has written to: no more of them is cleared than arrives.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use underseal::message::{Filter, Message, Peer, Verdict};
use underseal_testkit::Suite;

use crate::pairs::{both, pattern, with_tokio_rustls};

/// Bytes of the reader's buffer.
const ROOM: usize = 1 << 20;

/// Header, nonce or type, and tag of two records.
const OVERHEAD: usize = 2 * 29;

/// What one poll came to: bytes that were read, if any, and bytes that were cleared for it.
async fn poll_once(stream: &mut (impl AsyncRead + Unpin)) -> (Option<usize>, usize) {
    let mut room = vec![MaybeUninit::uninit(); ROOM];
    let mut buffer = ReadBuf::uninit(&mut room);
    let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut buffer))).await;
    let read = match polled {
        Poll::Pending => None,
        Poll::Ready(result) => {
            result.unwrap();
            Some(buffer.filled().len())
        }
    };
    (read, buffer.initialized().len())
}

#[tokio::test]
async fn a_reader_that_waits_has_none_of_its_buffer_cleared() {
    for suite in Suite::EACH_VERSION {
        for judged in [false, true] {
            let (mut stream, mut peer) = with_tokio_rustls(suite, 1 << 20).await;
            if judged {
                let passes = |_: &mut Message<'_>| Verdict::<Peer>::Pass;
                stream.attach(Filter::ingress(passes)).unwrap();
            }
            assert_eq!(poll_once(&mut stream).await, (None, 0), "{suite:?}");
            for len in [1, 100, 40_000] {
                peer.write_all(&pattern(len)).await.unwrap();
                peer.flush().await.unwrap();
                let mut left = len;
                while left > 0 {
                    let (read, cleared) = poll_once(&mut stream).await;
                    let read = read.unwrap();
                    assert!(cleared >= read && cleared <= left + OVERHEAD + len / 500);
                    left -= read;
                }
                assert_eq!(poll_once(&mut stream).await, (None, 0), "{suite:?}");
            }
            peer.shutdown().await.unwrap();
            assert_eq!(poll_once(&mut stream).await.0, Some(0), "{suite:?}");
        }
    }
}

/// Both kinds of buffer get the same bytes.
#[tokio::test]
async fn a_buffer_that_is_cleared_already_is_filled_as_far() {
    for suite in Suite::EACH_VERSION {
        for is_cleared in [false, true] {
            let (mut stream, mut peer) = with_tokio_rustls(suite, 1 << 20).await;
            let data = pattern(150_000);
            let send = async {
                peer.write_all(&data).await.unwrap();
                peer.shutdown().await.unwrap();
            };
            let receive = async {
                let (mut all, mut buffer) = (Vec::new(), vec![0; ROOM]);
                loop {
                    let before = all.len();
                    match is_cleared {
                        true => {
                            let n = stream.read(&mut buffer).await.unwrap();
                            all.extend_from_slice(&buffer[..n]);
                        }
                        false => {
                            all.reserve(ROOM);
                            stream.read_buf(&mut all).await.unwrap();
                        }
                    }
                    if all.len() == before {
                        break all;
                    }
                }
            };
            let ((), all) = both(send, receive).await;
            assert!(all == data, "{suite:?}");
        }
    }
}
