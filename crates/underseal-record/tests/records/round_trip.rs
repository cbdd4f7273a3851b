//! Whatever is sealed, however, comes out again, however it is cut and opened.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::{ContentType, Padding, SeqNo};

use crate::direction::{
    DirectionalKeys, Way, Write, any_backend, any_direction, any_padding, any_size_limit, any_way,
    any_write, split,
};
use crate::receiver::{Output, Receiver, any_output, expected};

/// Everything about the sending end that the receiving end need not know.
#[derive(Clone, Debug)]
struct Sender {
    direction: DirectionalKeys,
    backend: underseal_record::Backend,
    way: Way,
    padding: Padding,
    size_limit: u16,
    writes: Vec<Write>,
}

fn any_sender() -> impl Strategy<Value = Sender> {
    any_direction()
        .prop_flat_map(|direction| {
            let size_limit = any_size_limit(direction.version);
            let writes = vec(any_write(40_000), 0..6);
            let rest = (any_backend(), any_way(), any_padding(), size_limit, writes);
            (Just(direction), rest)
        })
        .prop_map(|(direction, rest)| {
            let (backend, way, padding, size_limit, writes) = rest;
            Sender {
                direction,
                backend,
                way,
                padding,
                size_limit,
                writes,
            }
        })
}

impl Sender {
    fn wire(&self) -> Vec<Vec<u8>> {
        let mut sealer = self.direction.sealer(self.backend);
        sealer.set_record_size_limit(self.size_limit).unwrap();
        sealer.set_padding(self.padding);
        let mut records = Vec::new();
        for write in &self.writes {
            let sealed = self.way.seal(&mut sealer, write);
            let foretold = sealer.sealed_len(write.plaintext().len());
            if foretold > 0 {
                assert_eq!(sealed.concat().len(), foretold, "sealed_len is exact");
            }
            records.extend(sealed);
        }
        let sent = records.len() as u64;
        assert_eq!(sealer.seq(), SeqNo(self.direction.seq + sent));
        records
    }
}

proptest! {
    #[test]
    fn what_is_sealed_is_delivered(
        sender in any_sender(),
        backend in any_backend(),
        output in any_output(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let records = sender.wire();
        let mut opener = sender.direction.opener(backend);
        opener.set_record_size_limit(sender.size_limit).unwrap();
        let mut receiver = Receiver::new(opener, output);
        for segment in split(&records.concat(), &cuts) {
            prop_assert_eq!(receiver.feed(&segment), Ok(()));
        }
        prop_assert_eq!(receiver.buffered(), 0);
        prop_assert_eq!(receiver.records, records.len());
        prop_assert_eq!(&receiver.delivered, &expected(&sender.writes));
        let received = SeqNo(sender.direction.seq + records.len() as u64);
        prop_assert_eq!(receiver.opener.seq(), received);
    }

    #[test]
    fn keys_taken_out_and_put_back_continue_the_stream(
        direction in any_direction(),
        writes in vec(any_write(2_000), 1..8),
        moves in vec((any_backend(), any_backend(), any_output()), 8),
    ) {
        let mut whole = direction.sealer(moves[0].0);
        let (mut tx, mut rx) = (direction.keys(), direction.keys());
        for (write, (send, receive, output)) in writes.iter().zip(moves) {
            let mut sealer = underseal_record::Sealer::with_backend(tx, send);
            let records = Way::Flat.seal(&mut sealer, write);
            tx = sealer.into_keys();
            prop_assert_eq!(&records, &Way::Flat.seal(&mut whole, write));

            let opener = underseal_record::Opener::with_backend(rx, receive);
            let mut receiver = Receiver::new(opener, output);
            prop_assert_eq!(receiver.feed(&records.concat()), Ok(()));
            prop_assert_eq!(&receiver.delivered, &expected(std::slice::from_ref(write)));
            rx = receiver.opener.into_keys().unwrap();
            prop_assert_eq!(rx.seq(), tx.seq());
        }
    }

    #[test]
    fn replaced_keys_protect_what_follows(
        old in any_direction(),
        key in any::<[u8; 32]>(),
        writes in vec(any_write(500), 2),
        backend in any_backend(),
    ) {
        let new = DirectionalKeys { key, ..old.clone() }.at(0);
        let mut sealer = old.sealer(backend);
        let mut receiver = Receiver::new(old.opener(backend), Output::InPlace);
        for (write, keys) in writes.iter().zip([None, Some(&new)]) {
            if let Some(new) = keys {
                sealer.replace_keys(new.keys());
                receiver.opener.replace_keys(new.keys());
            }
            prop_assert_eq!(receiver.feed(&Way::Flat.seal(&mut sealer, write).concat()), Ok(()));
        }
        prop_assert_eq!(&receiver.delivered, &expected(&writes));
        prop_assert_eq!(sealer.seq(), receiver.opener.seq());
    }
}

#[test]
fn a_write_of_nothing_is_one_empty_record() {
    for direction in DirectionalKeys::all() {
        for way in Way::ALL {
            for slices in [vec![], vec![vec![], vec![]]] {
                let write = Write {
                    content_type: ContentType::APPLICATION_DATA,
                    slices,
                };
                let mut sealer = direction.sealer(underseal_record::Backend::ALL[0]);
                let records = way.seal(&mut sealer, &write);
                assert_eq!(records.len(), 1);
                assert_eq!(records[0].len(), sealer.record_len(0));
            }
        }
    }
}
