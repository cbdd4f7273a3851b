//! Entry points of the fuzz targets, beside the code that they drive.
//!
//! Each panics where an invariant is broken, whatever the bytes.

use underseal_record::dtls::{EpochKeys, ReplayWindow};
use underseal_record::{Algorithm, ProtocolVersion, SeqNo, TrafficKeys};
use underseal_sys::udp::{MAX_TRAIN, MAX_TRAIN_BYTES};

use crate::association::Association;
use crate::{Parts, buffers};

/// What becomes of a datagram on its way.
#[derive(Clone, Copy)]
enum Fate {
    Arrives,
    /// With another byte at this place.
    Changed(usize),
    /// In the place of this one comes, once more, the one before it.
    Repeats,
}

/// Sends payloads in trains that the bytes describe, three for each payload: how long it is, and what becomes of its
/// datagram. What arrives as it was sent is delivered, in order and once, whether its train is opened whole or one by one.
pub fn dtls_trains(data: &[u8]) {
    let (steps, _) = data.as_chunks::<3>();
    let payloads: Vec<_> = (0..).zip(steps).map(payload).collect();
    let sender = association(0);
    let [together, alone] = [association(1), association(1)];
    let (mut buffer, mut sent, mut arrived) = (buffers::lend(), 0, 0);
    while sent < payloads.len() {
        let train = sender.seal_train(&payloads[sent..], &mut buffer);
        let train = train.expect("no payload is too long");
        assert!(train.count <= MAX_TRAIN && train.len <= MAX_TRAIN_BYTES);
        assert_eq!(train.len.div_ceil(train.segment), train.count);
        let fates: Vec<_> = steps[sent..][..train.count].iter().map(fate).collect();
        let (mut datagrams, arrives) = on_the_way(&buffer[..train.len], train.segment, &fates);
        let expected = arrives.iter().map(|index| payloads[sent + index].clone());
        let expected: Vec<_> = expected.collect();
        let mut copy = datagrams.clone();
        assert_eq!(opened(&together, &mut datagrams, train.segment), expected);
        let one_by_one = copy.chunks_mut(train.segment);
        let one_by_one = one_by_one.flat_map(|one| opened(&alone, one, train.segment));
        assert_eq!(one_by_one.collect::<Vec<_>>(), expected);
        sent += train.count;
        arrived += arrives.len() as u64;
    }
    let counted = [&together, &alone].map(|one| {
        let counters = one.counters();
        (counters.opened, counters.all_dropped())
    });
    assert_eq!(counted[0], counted[1], "a train is not its datagrams");
    assert_eq!(counted[0].0, arrived, "another record was opened");
}

fn association(side: u8) -> Association {
    let keys = |side: u8| {
        let (version, algorithm) = (ProtocolVersion::Tls12, Algorithm::Aes128Gcm);
        let keys = TrafficKeys::new(version, algorithm, &[side; 16], [9; 12], SeqNo(0));
        EpochKeys::new(keys.expect("its length"), 1).expect("epoch 1 has keys")
    };
    let parts = Parts::new(keys(side), keys(1 - side), ReplayWindow::default());
    Association::new(parts, Vec::new())
}

/// Many are of one length, so that there are trains.
fn payload((number, [len, ..]): (u32, &[u8; 3])) -> Vec<u8> {
    let len = match usize::from(*len) {
        len @ 0..64 => len,
        len => 100 << (len / 48),
    };
    number.to_be_bytes().into_iter().cycle().take(len).collect()
}

fn fate([_, what, place]: &[u8; 3]) -> Fate {
    match what % 4 {
        0 => Fate::Changed(usize::from(*place)),
        1 => Fate::Repeats,
        _ => Fate::Arrives,
    }
}

/// The train as it arrives, and which of its datagrams do so as they were sent.
fn on_the_way(train: &[u8], segment: usize, fates: &[Fate]) -> (Vec<u8>, Vec<usize>) {
    let (mut arriving, mut arrives) = (train.to_vec(), Vec::new());
    for (index, fate) in fates.iter().enumerate() {
        let at = index * segment;
        let len = segment.min(train.len() - at);
        match fate {
            // One that is shorter has no room for another.
            Fate::Repeats if index > 0 && len == segment => {
                arriving.copy_within(at - segment..at, at);
            }
            Fate::Changed(place) => arriving[at + place % len] ^= 0x55,
            _ => arrives.push(index),
        }
    }
    (arriving, arrives)
}

fn opened(by: &Association, train: &mut [u8], segment: usize) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let answer = &mut |_: &[u8]| panic!("nothing here is answered");
    by.open(train, segment, answer, |delivered, _| {
        payloads.push(delivered.payload.to_vec());
    });
    payloads
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a fuzzer would find it: every fate, and trains of every length.
    #[test]
    fn trains_hold_their_invariants() {
        let mut state = 1_u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for len in 0..40 {
            let data: Vec<_> = (0..len * 9).map(|_| byte()).collect();
            dtls_trains(&data);
        }
        let equal: Vec<_> = (0..600)
            .map(|at| if at % 3 == 0 { 200 } else { byte() })
            .collect();
        dtls_trains(&equal);
    }
}
