//! Packets of QUIC that somebody wants to be sealed.

use super::quic::secret;
use super::quic_reference::Reference;
use crate::quic::{Dropped, Outgoing, PacketOpener, PacketSealer, Refused, Version};
use crate::{Algorithm, Backend, TAG_LEN};

/// A packet, where its number starts, and its number.
type Planned = (Vec<u8>, usize, u64);
type Sealed = (Vec<u8>, u64, Result<(), Refused>);

/// Seals a train of packets that the bytes describe, four for each: by how much its number goes on,
/// where that starts, how long the packet is, and what it is filled with. The first byte chooses the
/// algorithm, and whether the sealer writes the numbers.
pub fn quic_seal(data: &[u8]) {
    let Some((choice, steps)) = data.split_first() else {
        return;
    };
    let algorithm = Algorithm::ALL[usize::from(choice & 0x7f) % Algorithm::ALL.len()];
    let planned = planned(steps);
    let trains = Backend::ALL.map(|backend| {
        let sealer = || PacketSealer::with_backend(Version::V1, secret(algorithm), backend);
        let writes = choice & 0x80 != 0;
        let together = together(&mut sealer(), writes, planned.clone());
        if !writes {
            let alone = alone(&mut sealer(), planned.clone());
            assert_eq!(alone, together, "a batch is not its packets");
            are_the_rfcs(
                &Reference::new(&secret(algorithm), backend),
                &together,
                &planned,
            );
        }
        together
    });
    let first = trains.first().expect("this build has a backend");
    assert!(
        trains.iter().all(|one| one == first),
        "the backends disagree"
    );
    open(algorithm, first, &planned);
}

fn planned(steps: &[u8]) -> Vec<Planned> {
    let mut number = 0;
    let (steps, _) = steps.as_chunks::<4>();
    let plan = |[step, at, len, fill]: &[u8; 4]| {
        number += u64::from(step % 4);
        let mut packet = vec![*fill; usize::from(*len)];
        let at = usize::from(at % 32);
        // Most headers name their number, some do not.
        let number_len = packet.first().map_or(0, |first| usize::from(first & 3) + 1);
        if step & 0x80 == 0
            && let Some(place) = packet.get_mut(at..at + number_len)
        {
            place.copy_from_slice(&number.to_be_bytes()[8 - number_len..]);
        }
        (packet, at, number)
    };
    steps.iter().map(plan).collect()
}

fn together(sealer: &mut PacketSealer, writes: bool, mut planned: Vec<Planned>) -> Vec<Sealed> {
    let mut batch: Vec<_> = planned
        .iter_mut()
        .map(|(packet, at, number)| Outgoing::new(packet, *at, *number))
        .collect();
    if writes {
        sealer.write_numbers(&mut batch);
    }
    let count = sealer.seal_batch(&mut batch);
    let sealed: Vec<_> = batch
        .into_iter()
        .map(|one| {
            let outcome = one.outcome.expect("it was tried");
            (one.packet.to_vec(), one.number, outcome)
        })
        .collect();
    assert_eq!(count, sealed.iter().filter(|one| one.2.is_ok()).count());
    sealed
}

fn alone(sealer: &mut PacketSealer, planned: Vec<Planned>) -> Vec<Sealed> {
    let seal = |(mut packet, at, number): Planned| {
        let outcome = sealer.seal(&mut packet, at, number);
        (packet, number, outcome)
    };
    planned.into_iter().map(seal).collect()
}

fn are_the_rfcs(reference: &Reference, sealed: &[Sealed], planned: &[Planned]) {
    for ((packet, number, outcome), (before, at, _)) in sealed.iter().zip(planned) {
        if outcome.is_ok() {
            let expected = reference.sealed(before, *at, *number);
            assert_eq!(*packet, expected, "not what the RFC says");
        }
    }
}

/// What was sealed opens, with numbers that only go up; what was refused is no packet of anybody's.
fn open(algorithm: Algorithm, sealed: &[Sealed], planned: &[Planned]) {
    let mut opener = PacketOpener::new(Version::V1, secret(algorithm));
    for ((packet, number, outcome), (before, at, _)) in sealed.iter().zip(planned) {
        let mut packet = packet.clone();
        if outcome.is_err() {
            let changed = packet.iter().zip(before).filter(|(now, then)| now != then);
            // The number and the key phase, where the sealer writes them.
            assert!(changed.count() <= 5, "a refused packet was sealed");
            continue;
        }
        // However many were refused: a number of one byte is found near the one before.
        if let Some(last) = number.checked_sub(1) {
            opener.set_largest(last);
        }
        match opener.open(&mut packet, *at) {
            Ok(opened) => {
                assert_eq!(opened.number, *number);
                assert_eq!(opened.payload.end, packet.len() - TAG_LEN);
                assert_eq!(packet[opened.payload.clone()], before[opened.payload]);
            }
            // The header said so.
            Err(Dropped::ReservedBits) => {}
            Err(other) => panic!("it was sealed: {other}"),
        }
    }
}
