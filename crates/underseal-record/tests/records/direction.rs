//! One sending direction and what is sealed in it, as proptest draws them.

use std::io::IoSlice;

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_record::{
    Algorithm, Backend, ContentType, Limits, Opener, Padding, ProtocolVersion, Sealer, SeqNo,
    TrafficKeys,
};

pub(crate) const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::Tls12, ProtocolVersion::Tls13];

/// Keys that can be made into any number of sealers and openers, which product code cannot do.
#[derive(Clone, Debug)]
pub(crate) struct DirectionalKeys {
    pub(crate) version: ProtocolVersion,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: [u8; 32],
    pub(crate) iv: [u8; 12],
    pub(crate) seq: u64,
}

impl DirectionalKeys {
    /// Fixed keys, for tests that look at one rule.
    pub(crate) fn of(version: ProtocolVersion, algorithm: Algorithm) -> Self {
        Self {
            version,
            algorithm,
            key: std::array::from_fn(|i| 0xa0 + i as u8),
            iv: std::array::from_fn(|i| 0x50 + i as u8),
            seq: 0,
        }
    }

    /// Every version with every algorithm.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        VERSIONS.into_iter().flat_map(|version| {
            Algorithm::ALL
                .into_iter()
                .map(move |algorithm| Self::of(version, algorithm))
        })
    }

    pub(crate) fn at(mut self, seq: u64) -> Self {
        self.seq = seq;
        self
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key[..self.algorithm.key_len()]
    }

    pub(crate) fn keys(&self) -> TrafficKeys {
        let (key, seq) = (self.key(), SeqNo(self.seq));
        TrafficKeys::new(self.version, self.algorithm, key, self.iv, seq).unwrap()
    }

    pub(crate) fn sealer(&self, backend: Backend) -> Sealer {
        Sealer::with_backend(self.keys(), backend)
    }

    pub(crate) fn opener(&self, backend: Backend) -> Opener {
        Opener::with_backend(self.keys(), backend)
    }
}

/// Any keys, at a sequence number that leaves room for some thousand records.
pub(crate) fn any_direction() -> impl Strategy<Value = DirectionalKeys> {
    let version = prop::sample::select(VERSIONS.to_vec());
    let algorithm = prop::sample::select(Algorithm::ALL.to_vec());
    let seq = prop_oneof![Just(0), 0..70_000u64, any::<u64>()];
    (
        version,
        algorithm,
        any::<[u8; 32]>(),
        any::<[u8; 12]>(),
        seq,
    )
        .prop_map(|(version, algorithm, key, iv, seq)| DirectionalKeys {
            version,
            algorithm,
            key,
            iv,
            seq: seq % (Limits::of(version, algorithm).hard - 10_000),
        })
}

pub(crate) fn any_backend() -> impl Strategy<Value = Backend> {
    prop::sample::select(Backend::ALL.to_vec())
}

pub(crate) fn any_padding() -> impl Strategy<Value = Padding> {
    prop_oneof![
        2 => Just(Padding::None),
        2 => any::<u16>().prop_map(Padding::Multiple),
        2 => (0..300u16).prop_map(Padding::Multiple),
        1 => Just(Padding::Full),
    ]
}

/// Any record size limit that `version` allows.
pub(crate) fn any_size_limit(version: ProtocolVersion) -> impl Strategy<Value = u16> {
    let most = largest_size_limit(version);
    prop_oneof![Just(64), 64..600u16, 64..=most, Just(most)]
}

pub(crate) fn largest_size_limit(version: ProtocolVersion) -> u16 {
    match version {
        ProtocolVersion::Tls12 => 1 << 14,
        ProtocolVersion::Tls13 => (1 << 14) + 1,
    }
}

/// One call of the application, which takes as many records as it needs.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) content_type: ContentType,
    /// The plaintext, in the slices that it was given in.
    pub(crate) slices: Vec<Vec<u8>>,
}

impl Write {
    pub(crate) fn data(bytes: &[u8]) -> Self {
        Self {
            content_type: ContentType::APPLICATION_DATA,
            slices: vec![bytes.to_vec()],
        }
    }

    pub(crate) fn plaintext(&self) -> Vec<u8> {
        self.slices.concat()
    }
}

/// Up to `most` bytes of plaintext in any list of slices, of any type that may be sent.
pub(crate) fn any_write(most: usize) -> impl Strategy<Value = Write> {
    let content_type = prop_oneof![
        8 => Just(ContentType::APPLICATION_DATA),
        1 => Just(ContentType::ALERT),
        1 => Just(ContentType::HANDSHAKE),
        1 => (24..=255u8).prop_map(ContentType),
    ];
    let len = prop_oneof![0..200usize, 0..=most];
    let plaintext = len.prop_flat_map(|len| vec(any::<u8>(), len));
    let cuts = vec(any::<prop::sample::Index>(), 0..6);
    (content_type, plaintext, cuts).prop_map(|(content_type, mut plaintext, cuts)| {
        if plaintext.is_empty() && content_type != ContentType::APPLICATION_DATA {
            plaintext.push(1);
        }
        Write {
            content_type,
            slices: split(&plaintext, &cuts),
        }
    })
}

/// `bytes` cut at `cuts`; two cuts at one place make an empty piece.
pub(crate) fn split(bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter()
        .map(|end| bytes[std::mem::replace(&mut start, end)..end].to_vec())
        .collect()
}

/// The three ways to seal the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Flat,
    Vectored,
    InPlace,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Flat, Self::Vectored, Self::InPlace];

    /// Seals all of `write`, asserting that every record is as long as was foretold. Returns the
    /// records.
    pub(crate) fn seal(self, sealer: &mut Sealer, write: &Write) -> Vec<Vec<u8>> {
        let plaintext = write.plaintext();
        let mut records = Vec::new();
        let mut done = 0;
        while done < plaintext.len() || records.is_empty() {
            let len = (plaintext.len() - done).min(sealer.max_plaintext());
            let mut record = vec![0x5a; sealer.record_len(len)];
            let sealed = self.seal_one(sealer, write, done, len, &mut record);
            assert_eq!(sealed, (len, record.len()), "{self:?}");
            done += len;
            records.push(record);
        }
        records
    }

    /// Seals the record that starts `done` bytes into `write`: bytes consumed and written.
    fn seal_one(
        self,
        sealer: &mut Sealer,
        write: &Write,
        done: usize,
        len: usize,
        record: &mut [u8],
    ) -> (usize, usize) {
        let plaintext = &write.plaintext()[done..];
        match self {
            Self::Flat => {
                let sealed = sealer.seal(write.content_type, plaintext, record).unwrap();
                (sealed.consumed, sealed.written)
            }
            Self::Vectored => {
                let mut slices: Vec<_> = write.slices.iter().map(|s| IoSlice::new(s)).collect();
                let mut slices = &mut slices[..];
                IoSlice::advance_slices(&mut slices, done);
                let sealed = sealer
                    .seal_vectored(write.content_type, slices, record)
                    .unwrap();
                (sealed.consumed, sealed.written)
            }
            Self::InPlace => {
                let prefix = sealer.prefix_len();
                record[prefix..prefix + len].copy_from_slice(&plaintext[..len]);
                let written = sealer.seal_in_place(write.content_type, record, len);
                (len, written.unwrap())
            }
        }
    }
}

pub(crate) fn any_way() -> impl Strategy<Value = Way> {
    prop::sample::select(Way::ALL.to_vec())
}
