//! Entry points for records of DTLS.

use std::collections::BTreeSet;

use super::dtls_reference::Reference;
use crate::dtls::{
    ClientHello, ConnectionId, CookieKey, Discard, EpochKeys, EpochSecret, Opened, Opener,
    ReplayWindow, Sealer, numbered_records,
};
use crate::{Algorithm, Backend, ContentType, ProtocolVersion, SeqNo, TrafficKeys, TrafficSecret};

/// Opens arbitrary bytes as a datagram, under keys and a connection ID that the first byte chooses.
pub fn dtls_datagram(data: &[u8]) {
    let Some((choice, datagram)) = data.split_first() else {
        return;
    };
    assert!(
        numbered_records(datagram).count() <= datagram.len() / 13,
        "a header is thirteen bytes long"
    );
    let sides = Sides::chosen_by(*choice);
    let opened = Backend::ALL.map(|backend| open_all(&mut sides.opener(backend), datagram));
    let first = opened.first().expect("this build has a backend");
    assert!(
        opened.iter().all(|one| one == first),
        "the backends disagree"
    );
}

/// Reads arbitrary bytes as a ClientHello. One that is read is answered with fewer bytes than it has; its
/// cookie is believed if and only if it was made for it, and without cookie it is the same hello.
pub fn dtls_hello(data: &[u8]) {
    let Ok(hello) = ClientHello::parse(data) else {
        return;
    };
    let key = CookieKey::new(&[7; 32]);
    let address = ([192, 0, 2, 1], 4433).into();
    let cookie = key.cookie(address, 9, &hello);
    let request = hello.hello_verify_request(&cookie);
    assert!(request.len() < data.len(), "an answer is no amplifier");
    assert!(ClientHello::parse(&request).is_err(), "nor a question");
    let believed = hello.cookie() == cookie || hello.cookie() == key.cookie(address, 8, &hello);
    assert_eq!(key.verifies(address, 9, &hello), believed);
    let first = hello.without_cookie(3);
    let first = ClientHello::parse(&first).expect("only the cookie is gone");
    assert_eq!((first.record_seq(), first.message_seq()), (3, 3));
    assert!(first.cookie().is_empty());
    assert_eq!(first.random(), hello.random());
    assert_eq!(key.cookie(address, 9, &first), cookie, "it offers the same");
}

/// Seals two records into a datagram, changes it, and opens it twice: byte 0 chooses keys and
/// connection ID, then two bytes each place a changed byte (position, XOR) until a zero XOR, and the
/// rest is plaintext, half of it for each record. What is sealed is what the RFCs say; what opens is what was sealed,
/// and opens once.
pub fn dtls_change(data: &[u8]) {
    let Some((choice, mut rest)) = data.split_first() else {
        return;
    };
    let mut changes = Vec::new();
    while let Some(([at, xor], after)) = rest.split_first_chunk() {
        rest = after;
        if *xor == 0 {
            break;
        }
        changes.push((usize::from(*at), *xor));
    }
    let rest = &rest[..rest.len().min(2 * crate::MAX_PLAINTEXT)];
    let (first, second) = rest.split_at(rest.len() / 2);
    let sides = Sides::chosen_by(*choice);
    for backend in Backend::ALL {
        let (mut sealer, reference) = (sides.sealer(backend), sides.reference(backend));
        let mut datagram = Vec::new();
        for (seq, plaintext) in (0..).zip([first, second]) {
            let mut record = vec![0; plaintext.len() + sealer.overhead()];
            let sealed = sealer.seal(ContentType::APPLICATION_DATA, plaintext, &mut record);
            assert_eq!(sealed, Ok(record.len()));
            let expected = reference.sealed(ContentType::APPLICATION_DATA.0, seq, plaintext);
            assert_eq!(record, expected, "not what the RFCs say");
            datagram.extend(record);
        }
        let original = datagram.clone();
        for (at, xor) in &changes {
            let at = at % datagram.len();
            datagram[at] ^= xor;
        }
        let mut opener = sides.opener(backend);
        let opened = open_all(&mut opener, &datagram);
        for (opened, plaintext) in opened.iter().flatten() {
            let sealed = [first, second][opened.number.seq as usize & 1];
            assert_eq!(
                plaintext, sealed,
                "another record was opened than was sealed"
            );
        }
        if datagram == original {
            assert_eq!(opened.iter().flatten().count(), 2, "both are good");
        }
        let again = open_all(&mut opener, &datagram);
        assert_eq!(
            again.iter().flatten().count(),
            0,
            "a record was opened twice"
        );
    }
}

/// Moves a window as the bytes say, four each: whether to commit, and a step.
pub fn dtls_window(data: &[u8]) {
    let steps = |(chunk, _): (&[[u8; 4]], &[u8])| {
        let step = |[commits, a, b, c]: &[u8; 4]| {
            let step = i32::from_be_bytes([*a, *b, *c, 0]) >> 8;
            (*commits & 1 == 0, i64::from(step))
        };
        chunk.iter().map(step).collect::<Vec<_>>()
    };
    let steps = steps(data.as_chunks());
    dtls_window_agrees::<2>(0, &steps);
    dtls_window_agrees::<33>(1 << 40, &steps);
}

/// Walks from number `start` by `steps`, commits where a step says so, and holds what a window
/// answers against a set of all numbers committed.
pub fn dtls_window_agrees<const WORDS: usize>(start: u64, steps: &[(bool, i64)]) {
    let mut window = ReplayWindow::<WORDS>::default();
    let mut committed = BTreeSet::new();
    let mut seq = start;
    for (commits, step) in steps {
        seq = seq.saturating_add_signed(*step).min((1 << 48) - 1);
        let age = committed
            .last()
            .map(|highest: &u64| highest.saturating_sub(seq));
        let expected = match age {
            Some(age) if age >= ReplayWindow::<WORDS>::SIZE => Err(Discard::TooOld),
            _ if committed.contains(&seq) => Err(Discard::Replayed),
            _ => Ok(()),
        };
        assert_eq!(window.check(seq), expected, "{seq}");
        if expected.is_ok() && *commits {
            window.commit(seq);
            committed.insert(seq);
            assert_eq!(window.check(seq), Err(Discard::Replayed));
        }
        let next = committed.last().map_or(0, |last| last + 1);
        assert_eq!(window.next(), next);
    }
}

/// Opens each record of `datagram`, with what holds of every outcome.
fn open_all(opener: &mut Opener, datagram: &[u8]) -> Vec<Result<(Opened, Vec<u8>), Discard>> {
    let mut datagram = datagram.to_vec();
    let mut rest = &mut datagram[..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let taken = opener.open(rest);
        assert!(0 < taken.len && taken.len <= rest.len(), "it must end");
        all.push(taken.opened.map(|opened| {
            assert_ne!(opened.content_type, ContentType::CHANGE_CIPHER_SPEC);
            let plaintext = rest[opened.plaintext.clone()].to_vec();
            (opened, plaintext)
        }));
        rest = &mut rest[taken.len..];
    }
    all
}

/// A version, keys and a connection ID that are the same for the same byte.
struct Sides {
    version: ProtocolVersion,
    algorithm: Algorithm,
    connection_id: ConnectionId,
}

impl Sides {
    fn chosen_by(choice: u8) -> Self {
        let id = [9; 7];
        let id = &id[..usize::from(choice >> 4) % 8];
        Self {
            version: match choice & 8 {
                0 => ProtocolVersion::Tls12,
                _ => ProtocolVersion::Tls13,
            },
            algorithm: Algorithm::ALL[usize::from(choice & 7) % Algorithm::ALL.len()],
            connection_id: ConnectionId::new(id).expect("seven bytes are not too many"),
        }
    }

    fn keys(&self) -> EpochKeys {
        let keys = match self.version {
            ProtocolVersion::Tls12 => EpochKeys::new(self.keys12(), 1),
            ProtocolVersion::Tls13 => {
                EpochSecret::new(self.algorithm, self.secret(), 3).map(|secret| secret.keys())
            }
        };
        keys.expect("the key has the length of its algorithm")
    }

    fn keys12(&self) -> TrafficKeys {
        let key = &[7; 32][..self.algorithm.key_len()];
        let keys = TrafficKeys::new(
            ProtocolVersion::Tls12,
            self.algorithm,
            key,
            [9; 12],
            SeqNo(0),
        );
        keys.expect("the key has the length of its algorithm")
    }

    /// As long as what the suite's hash makes.
    fn secret(&self) -> &'static [u8] {
        match self.algorithm {
            Algorithm::Aes256Gcm => &[7; 48],
            Algorithm::Aes128Gcm | Algorithm::ChaCha20Poly1305 | Algorithm::Aes128Ccm => &[7; 32],
        }
    }

    fn reference(&self, backend: Backend) -> Reference {
        let id = self.connection_id;
        match self.version {
            ProtocolVersion::Tls12 => Reference::of_dtls12(&self.keys12(), 1, id, backend),
            ProtocolVersion::Tls13 => {
                let secret = TrafficSecret::of_dtls(self.algorithm, self.secret());
                let secret = secret.expect("the secret has the hash's length");
                Reference::of_dtls13(&secret, 3, id, backend)
            }
        }
    }

    fn sealer(&self, backend: Backend) -> Sealer {
        let mut sealer = Sealer::with_backend(self.keys(), backend);
        sealer.set_connection_id(self.connection_id);
        sealer
    }

    fn opener(&self, backend: Backend) -> Opener {
        let window = ReplayWindow::default();
        let mut opener = Opener::with_backend(self.keys(), window, backend);
        opener.set_connection_id(self.connection_id);
        opener
    }
}
