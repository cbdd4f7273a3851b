//! Packets of QUIC.

use crate::quic::{Dropped, Header, Incoming, Opened, PacketOpener, PacketSealer, Version};
use crate::{Algorithm, Backend, TAG_LEN, TrafficSecret};

/// Where the packet number starts in every packet that is made here.
const NUMBER_AT: usize = 1;

/// Reads packet after packet of arbitrary bytes, as of one datagram. The first byte chooses how long
/// connection IDs are.
pub fn quic_headers(data: &[u8]) {
    let Some((id_len, mut rest)) = data.split_first() else {
        return;
    };
    let id_len = usize::from(id_len % 21);
    while let Ok(header) = Header::parse(rest, id_len) {
        assert!(
            header.len <= rest.len(),
            "a packet is longer than its datagram"
        );
        assert!(
            header.number_at <= header.len,
            "a number lies behind its packet"
        );
        assert!(header.destination.end <= header.number_at);
        if header.version.is_some() {
            let shorter = Header::parse(&rest[..header.len - 1], id_len);
            assert!(shorter.is_err(), "a truncated packet was read");
        }
        rest = &rest[header.len..];
    }
}

/// A packet that reaches the opener, and the number and payload that it opens to, if it may.
type Given = (Vec<u8>, Option<(u64, usize)>);

/// Opens a train of packets that the bytes describe, three for each: what it is, and two that say how
/// long it is and what is changed.
pub fn quic_train(data: &[u8]) {
    let Some((choice, steps)) = data.split_first() else {
        return;
    };
    let algorithm = Algorithm::ALL[usize::from(*choice) % Algorithm::ALL.len()];
    let given = train(algorithm, steps);
    let outcomes = Backend::ALL.map(|backend| opened(algorithm, backend, &given));
    let first = outcomes.first().expect("this build has a backend");
    assert!(
        outcomes.iter().all(|one| one == first),
        "the backends disagree"
    );
    for (outcome, (packet, honest)) in first.iter().zip(&given) {
        if let Ok(opened) = outcome {
            let (number, len) = honest.expect("a packet opened that nobody sealed");
            assert_eq!((opened.number, opened.payload.len()), (number, len));
            assert_eq!(opened.payload.end, packet.len() - TAG_LEN);
        }
    }
}

pub(super) fn secret(algorithm: Algorithm) -> TrafficSecret {
    let len = if algorithm == Algorithm::Aes256Gcm {
        48
    } else {
        32
    };
    TrafficSecret::new(algorithm, &[7; 48][..len]).expect("the secret has the hash's length")
}

fn train(algorithm: Algorithm, steps: &[u8]) -> Vec<Given> {
    let mut sealer = PacketSealer::new(Version::V1, secret(algorithm));
    let (mut given, mut rest) = (Vec::<Given>::new(), steps);
    while let Some(([step, a, b], after)) = rest.split_first_chunk() {
        rest = after;
        let (a, b) = (usize::from(*a), usize::from(*b));
        match step % 6 {
            0 => given.push(sealed(&mut sealer, a * 6 + b)),
            1 => {
                let (mut packet, _) = sealed(&mut sealer, a);
                let at = a % packet.len();
                packet[at] ^= (b | 1) as u8;
                given.push((packet, None));
            }
            2 => {
                let (raw, after) = rest.split_at(a.min(rest.len()));
                rest = after;
                given.push((raw.to_vec(), None));
            }
            3 => {
                sealer
                    .follow(sealer.generation() + 1)
                    .expect("one generation on");
            }
            // Again, or cut.
            4 if !given.is_empty() => given.push(given[a % given.len()].clone()),
            5 if !given.is_empty() => {
                let (packet, _) = &given[a % given.len()];
                given.push((
                    packet[..b.min(packet.len().saturating_sub(1))].to_vec(),
                    None,
                ));
            }
            // The peer skips numbers.
            _ => {
                let skipped = (a as u64) << (b % 20);
                sealer.skip_to(sealer.next_number() + skipped);
            }
        }
    }
    given
}

fn sealed(sealer: &mut PacketSealer, len: usize) -> Given {
    let (number, len) = (sealer.next_number(), len.max(1));
    let mut packet = vec![0x42 | u8::from(sealer.key_phase()) << 2];
    packet.extend(&(number as u32).to_be_bytes()[1..]);
    packet.resize(packet.len() + len + TAG_LEN, 0x5a);
    match sealer.seal(&mut packet, NUMBER_AT, number) {
        Ok(()) => (packet, Some((number, len))),
        // Past a limit: it stays plaintext, which must not open.
        Err(_) => (packet, None),
    }
}

fn opened(algorithm: Algorithm, backend: Backend, given: &[Given]) -> Vec<Result<Opened, Dropped>> {
    let opener = || PacketOpener::with_backend(Version::V1, secret(algorithm), backend);
    let mut packets: Vec<_> = given.iter().map(|(packet, _)| packet.clone()).collect();
    let mut alone = opener();
    let one_by_one: Vec<_> = packets
        .iter_mut()
        .map(|packet| alone.open(packet, NUMBER_AT))
        .collect();
    let mut packets: Vec<_> = given.iter().map(|(packet, _)| packet.clone()).collect();
    let mut batch: Vec<_> = packets
        .iter_mut()
        .map(|packet| Incoming::new(packet, NUMBER_AT))
        .collect();
    opener().open_batch(&mut batch);
    let together = batch
        .into_iter()
        .map(|one| one.outcome.expect("it was tried"));
    assert!(
        together.eq(one_by_one.iter().cloned()),
        "a batch is not its packets"
    );
    one_by_one
}
