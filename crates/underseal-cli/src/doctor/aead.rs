//! The AEAD library that seals and opens: which, why, and how fast both are here.

use std::hint::black_box;
use std::time::{Duration, Instant};

use underseal::record::{
    Algorithm, Backend, ContentType, ProtocolVersion, Sealer, SeqNo, TrafficKeys,
};
use underseal::{BACKEND_VARIABLE, aead_backend};

use super::report::{Choice, Choices, Column, Entry, Section, Speeds};

/// Each speed is the best of these many measures: whatever disturbs one makes it slower.
const MEASURES: u32 = 3;
/// How long each measure takes. All together: 3 algorithms, 2 backends, 2 sizes, and a first round
/// that does not count.
const MEASURE: Duration = Duration::from_millis(8);

/// What is measured, in the order of [`COLUMNS`].
const MEASURED: [(Backend, usize); 4] = [
    (Backend::Ring, 16 << 10),
    (Backend::Ring, 1 << 10),
    (Backend::AwsLcRs, 16 << 10),
    (Backend::AwsLcRs, 1 << 10),
];

const COLUMNS: [Column; 4] = [
    Column::new("ring_16384", "ring 16 KiB"),
    Column::new("ring_1024", "1 KiB"),
    Column::new("aws_lc_rs_16384", "aws-lc-rs 16 KiB"),
    Column::new("aws_lc_rs_1024", "1 KiB"),
];

/// Asks for the choice, and measures.
pub(super) fn probe() -> Section {
    let asked = std::env::var(BACKEND_VARIABLE).ok();
    let choices = Algorithm::ALL.map(|algorithm| Choice {
        key: algorithm.to_string(),
        subject: algorithm.to_string(),
        chosen: aead_backend(algorithm).to_string(),
        because: because(algorithm, asked.as_deref()),
    });
    let rows = Algorithm::ALL.map(|algorithm| {
        let speeds = MEASURED.map(|(backend, len)| gb_per_s(algorithm, backend, len));
        (algorithm.to_string(), speeds.into())
    });
    section(choices.into(), rows.into())
}

pub(super) fn section(choices: Vec<Choice>, rows: Vec<(String, Vec<Option<f64>>)>) -> Section {
    Section {
        key: "aead",
        title: "AEAD",
        entries: vec![
            Entry::Choices(Choices {
                key: "backend",
                title: "backend",
                rows: choices,
            }),
            Entry::Speeds(Speeds {
                key: "gb_per_s",
                title: "sealing, GB/s",
                columns: COLUMNS.into(),
                rows,
            }),
        ],
    }
}

/// Why the backend of `algorithm` is what it is, where the environment says `asked`.
fn because(algorithm: Algorithm, asked: Option<&str>) -> String {
    let unknown = match asked.map(str::parse::<Backend>) {
        Some(Ok(_)) => return format!("{BACKEND_VARIABLE} says so"),
        Some(Err(error)) => format!("; {BACKEND_VARIABLE} is ignored: {error}"),
        None => String::new(),
    };
    let reason = match (algorithm, Backend::fastest(algorithm)) {
        (Algorithm::ChaCha20Poly1305, _) => "as fast as the other at 16 KiB, on every CPU",
        (_, Backend::AwsLcRs) => "faster at 16 KiB with AVX-512 and VAES, which this CPU has",
        (..) => "faster without AVX-512 and VAES, which this CPU lacks",
    };
    format!("{reason}{unknown}")
}

/// Plaintext sealed into records of TLS 1.3, the header and what the record layer does included.
fn gb_per_s(algorithm: Algorithm, backend: Backend, len: usize) -> Option<f64> {
    let key = vec![7; algorithm.key_len()];
    let keys = TrafficKeys::new(ProtocolVersion::Tls13, algorithm, &key, [9; 12], SeqNo(0));
    let mut sealer = Sealer::with_backend(keys.ok()?, backend);
    let plaintext = vec![0x5a; len];
    let mut record = vec![0; sealer.record_len(len)];
    let mut best = Duration::MAX;
    // The first measure faults pages in and fills caches; it does not count.
    let mut time_of_one = seal(&mut sealer, &plaintext, &mut record, 1)?;
    for _ in 0..MEASURES {
        let times = MEASURE.as_nanos() / MEASURES as u128 / time_of_one.as_nanos().max(1);
        let times = u32::try_from(times).unwrap_or(u32::MAX).max(1);
        time_of_one = seal(&mut sealer, &plaintext, &mut record, times)? / times;
        best = best.min(time_of_one);
    }
    (best > Duration::ZERO).then(|| len as f64 / best.as_nanos() as f64)
}

/// How long it takes to seal `times` records.
fn seal(sealer: &mut Sealer, plaintext: &[u8], record: &mut [u8], times: u32) -> Option<Duration> {
    let began = Instant::now();
    for _ in 0..times {
        sealer
            .seal(ContentType::APPLICATION_DATA, black_box(plaintext), record)
            .ok()?;
        black_box(&record);
    }
    Some(began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_speed_is_measured_and_a_speed() {
        for algorithm in Algorithm::ALL {
            for (backend, len) in MEASURED {
                let speed = gb_per_s(algorithm, backend, len).unwrap();
                assert!(
                    speed > 0.0 && speed < 1000.0,
                    "{algorithm} {backend} {speed}"
                );
            }
        }
    }

    #[test]
    fn the_environment_goes_before_the_cpu_and_nonsense_is_named() {
        let algorithm = Algorithm::Aes128Gcm;
        assert_eq!(because(algorithm, Some("ring")), "UNDERSEAL_AEAD says so");
        let by_cpu = because(algorithm, None);
        assert!(by_cpu.contains("AVX-512"), "{by_cpu}");
        let nonsense = because(algorithm, Some("openssl"));
        assert!(nonsense.starts_with(&by_cpu), "{nonsense}");
        assert!(nonsense.contains("UNDERSEAL_AEAD is ignored"), "{nonsense}");
    }
}
