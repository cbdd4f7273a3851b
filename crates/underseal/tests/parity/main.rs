//! One suite for every engine: what a stream does must not depend on where its records are made.
//!
//! The same functions run for each version and for each engine of either direction, and those that
//! depend on keys, nonces or lengths for each suite, in modules that `matrix.rs` makes; a file here is a
//! theme. The stream under test is underseal's, over TCP on the loopback; the other end is mostly a
//! [`RecordPeer`](underseal_testkit::RecordPeer), which shares no code with it.

#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod bad_records;
mod cancelled;
mod case;
mod connect;
mod counters;
mod counts;
mod early_data;
mod endings;
mod exporters;
mod files;
mod first_data;
mod floods;
mod full;
mod gathering;
mod key_updates;
mod limits;
mod lingering;
mod matrix;
mod more;
mod moving;
mod no_rekey;
mod odd_records;
mod own_redirects;
mod peek;
mod program_ends;
mod programs;
mod readiness;
mod reading;
mod record_types;
mod sizes;
mod slow_peers;
mod small_buffers;
mod splices;
mod swaps;
mod tickets;
mod waiting_pipes;
mod wakers;
mod writing;

mod parity {
    mod tls13 {
        mod aes128gcm {
            crate::matrix::pairs!(Tls13Aes128: of_each_suite of_each_suite_in_tls13 of_each_version of_tls13 programs waiting; once_per_version once_in_tls13);
        }
        mod aes256gcm {
            crate::matrix::pairs!(Tls13Aes256: of_each_suite of_each_suite_in_tls13);
        }
        mod chacha20poly1305 {
            crate::matrix::pairs!(Tls13ChaCha20: of_each_suite of_each_suite_in_tls13);
        }
    }

    mod tls12 {
        mod aes128gcm {
            crate::matrix::pairs!(Tls12Aes128: of_each_suite of_each_suite_in_tls12 of_each_version of_tls12 programs waiting; once_per_version);
        }
        mod aes256gcm {
            crate::matrix::pairs!(Tls12Aes256: of_each_suite of_each_suite_in_tls12);
        }
        mod chacha20poly1305 {
            crate::matrix::pairs!(Tls12ChaCha20: of_each_suite of_each_suite_in_tls12);
        }
    }
}
