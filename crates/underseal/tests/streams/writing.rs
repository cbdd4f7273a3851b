//! Ways to write.

use std::io::{IoSlice, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use underseal::record::{MAX_PLAINTEXT, Padding};
use underseal_testkit::Suite;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::pairs::{both, pattern, with_record_peer, with_tokio_rustls};

/// Writes all of `slices` with vectored writes alone.
fn write_all_vectored(stream: &mut impl Write, slices: &[Vec<u8>]) {
    let mut slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    let mut slices = &mut slices[..];
    while slices.iter().any(|slice| !slice.is_empty()) {
        let n = stream.write_vectored(slices).unwrap();
        assert_ne!(n, 0, "a write of something takes something");
        IoSlice::advance_slices(&mut slices, n);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn vectored_writes_send_their_slices_in_order(
        slices in vec(prop_oneof![
            Just(Vec::new()),
            vec(any::<u8>(), 0..300),
            (0..70_000usize).prop_map(pattern),
        ], 0..40),
        suite in prop::sample::select(Suite::ALL.to_vec()),
    ) {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 23);
        write_all_vectored(&mut stream, &slices);
        stream.shutdown().unwrap();
        prop_assert!(peer.receive_data() == (slices.concat(), true));
    }
}

/// Small slices share records: what a writer gathered must not cost a record for each.
#[test]
fn vectored_writes_fill_records() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 20);
        let slices = vec![vec![1; 100]; 16];
        write_all_vectored(&mut stream, &slices);
        stream.shutdown().unwrap();
        let mut records = 0;
        while let Some((content_type, _)) = peer.receive() {
            records += usize::from(content_type == APPLICATION_DATA);
            if content_type == ALERT {
                break;
            }
        }
        assert_eq!(records, 1);
    }
}

#[test]
fn large_writes_are_cut_into_full_records() {
    for suite in Suite::ALL {
        let (mut stream, mut peer) = with_record_peer(suite, 1 << 23);
        let data = pattern(1_000_000);
        stream.write_all(&data).unwrap();
        stream.shutdown().unwrap();
        let (mut lens, mut received) = (Vec::new(), Vec::new());
        while let Some((content_type, payload)) = peer.receive() {
            match content_type {
                APPLICATION_DATA => {
                    lens.push(payload.len());
                    received.extend(payload);
                }
                ALERT => break,
                _ => {}
            }
        }
        assert!(received == data);
        let full = lens.iter().filter(|len| **len == MAX_PLAINTEXT).count();
        assert!(full >= 57, "{full} of {} records are full", lens.len());
    }
}

#[test]
fn padded_writes_hide_their_length() {
    let (mut stream, mut peer) = with_record_peer(Suite::Tls13Aes128, 1 << 20);
    stream.set_padding(Padding::Multiple(256)).unwrap();
    stream.write_all(b"short").unwrap();
    stream.write_all(&[9; 300]).unwrap();
    stream.shutdown().unwrap();
    assert_eq!(
        peer.receive_data(),
        ([&b"short"[..], &[9; 300]].concat(), true)
    );
}

#[tokio::test]
async fn tokio_streams_write_vectored() {
    for suite in Suite::EACH_VERSION {
        let (mut stream, mut peer) = with_tokio_rustls(suite, 5_000).await;
        assert!(stream.is_write_vectored());
        let write = async {
            let (head, body) = (b"head".to_vec(), pattern(30_000));
            let mut slices = [IoSlice::new(&head), IoSlice::new(&[]), IoSlice::new(&body)];
            let mut slices = &mut slices[..];
            while !slices.is_empty() {
                let n = stream.write_vectored(slices).await.unwrap();
                IoSlice::advance_slices(&mut slices, n);
            }
            stream.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let ((), end) = both(write, peer.read_to_end(&mut received)).await;
        end.unwrap();
        assert!(received == [&b"head"[..], &pattern(30_000)].concat());
    }
}

/// A stream that is split between tasks carries both directions at once.
#[tokio::test]
async fn both_directions_flow_at_once() {
    for suite in Suite::ALL {
        let (stream, peer) = with_tokio_rustls(suite, 9_000).await;
        let data = pattern(2_000_000);
        async fn exchange<S>(stream: S, data: &[u8]) -> Vec<u8>
        where
            S: tokio::io::AsyncRead + AsyncWrite,
        {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let mut received = Vec::new();
            let write = async {
                writer.write_all(data).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let (end, ()) = tokio::join!(reader.read_to_end(&mut received), write);
            end.unwrap();
            received
        }
        let (ours, theirs) = both(exchange(stream, &data), exchange(peer, &data)).await;
        assert!(ours == data && theirs == data, "{suite:?}");
    }
}
