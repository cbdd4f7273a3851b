//! Kernel TLS: the upper layer protocol, its suites and its options.

use underseal_sys::Errno;
use underseal_sys::probe::{self, KernelTls};
use underseal_sys::tls::{Cipher, Direction, Version};

use super::report::{Answer, Column, Entry, Finding, Grid, Outcome, Section};

/// What was probed; apart from [`KernelTls`] so that tests can make it up.
pub(super) struct Facts<'a> {
    pub(super) ulp: probe::Answer,
    pub(super) rekey: probe::Answer,
    pub(super) zerocopy_ro: probe::Answer,
    pub(super) expect_no_pad: probe::Answer,
    pub(super) max_payload_len: probe::Answer,
    pub(super) suite: &'a dyn Fn(Version, Cipher, Direction) -> probe::Answer,
    /// Whether this process may make the kernel load a module.
    pub(super) privileged: bool,
}

/// In the order of [`COLUMNS`].
const ASKED: [(Version, Direction); 4] = [
    (Version::Tls12, Direction::Tx),
    (Version::Tls12, Direction::Rx),
    (Version::Tls13, Direction::Tx),
    (Version::Tls13, Direction::Rx),
];

const COLUMNS: [Column; 4] = [
    Column::new("tls12_tx", "1.2 send"),
    Column::new("tls12_rx", "1.2 receive"),
    Column::new("tls13_tx", "1.3 send"),
    Column::new("tls13_rx", "1.3 receive"),
];

/// What everything else says where there is no upper layer protocol to ask.
const NO_ULP: &str = "no kernel TLS to ask";

/// Asks the kernel.
pub(super) fn probe(privileged: bool) -> Section {
    let kernel = KernelTls::get();
    section(&Facts {
        ulp: kernel.ulp,
        rekey: kernel.rekey,
        zerocopy_ro: kernel.zerocopy_ro,
        expect_no_pad: kernel.expect_no_pad,
        max_payload_len: kernel.max_payload_len,
        suite: &|version, cipher, direction| kernel.suite(version, cipher, direction),
        privileged,
    })
}

pub(super) fn section(facts: &Facts<'_>) -> Section {
    let rows = Cipher::ALL.map(|cipher| {
        let outcomes = ASKED.map(|asked| suite(facts, cipher, asked));
        (cipher.name().to_owned(), outcomes.into())
    });
    let suites = Grid {
        key: "suites",
        title: "suites",
        columns: COLUMNS.into(),
        rows: rows.into(),
    };
    let option = |key, subject, answer, since| {
        let outcome = dependent(facts, answer);
        let outcome = match outcome.answer {
            Answer::No => outcome.or_fix(format!("Linux {since} or newer")),
            Answer::Yes | Answer::CannotTell => outcome,
        };
        Entry::Finding(Finding {
            key,
            subject,
            outcome,
        })
    };
    Section {
        key: "kernel_tls",
        title: "Kernel TLS",
        entries: vec![
            Entry::Finding(Finding {
                key: "ulp",
                subject: "upper layer protocol",
                outcome: ulp(facts),
            }),
            Entry::Grid(suites),
            option("rekey", "key updates", facts.rekey, "6.14"),
            option(
                "zerocopy_ro",
                "TLS_TX_ZEROCOPY_RO",
                facts.zerocopy_ro,
                "5.19",
            ),
            option(
                "expect_no_pad",
                "TLS_RX_EXPECT_NO_PAD",
                facts.expect_no_pad,
                "6.0",
            ),
            option(
                "max_payload_len",
                "TLS_TX_MAX_PAYLOAD_LEN",
                facts.max_payload_len,
                "6.19",
            ),
        ],
    }
}

fn ulp(facts: &Facts<'_>) -> Outcome {
    let outcome = Outcome::probed(facts.ulp);
    match facts.ulp {
        probe::Answer::Yes => outcome,
        probe::Answer::No(Errno::NOENT) if facts.privileged => {
            outcome.or_fix("kernel with CONFIG_TLS; in a container, modprobe tls on its host")
        }
        probe::Answer::No(Errno::NOENT) => {
            outcome.or_fix("as root: modprobe tls; echo tls >/etc/modules-load.d/tls.conf")
        }
        probe::Answer::CannotTell(Errno::PERM | Errno::ACCESS) => {
            outcome.or_fix("let the sandbox allow setsockopt(TCP_ULP)")
        }
        probe::Answer::No(_) => outcome.or_fix("Linux 4.13 or newer with CONFIG_TLS, not emulated"),
        probe::Answer::CannotTell(_) => {
            outcome.or_fix("bring the loopback interface up: ip link set lo up")
        }
    }
}

fn suite(facts: &Facts<'_>, cipher: Cipher, (version, direction): (Version, Direction)) -> Outcome {
    let answer = (facts.suite)(version, cipher, direction);
    let outcome = dependent(facts, answer);
    // Only what underseal's handshakes agree on is worth a fix.
    let (module, since) = match cipher {
        Cipher::Aes128Gcm | Cipher::Aes256Gcm => ("gcm", "5.1"),
        Cipher::ChaCha20Poly1305 => ("chacha20poly1305", "5.11"),
        _ => return outcome,
    };
    match answer {
        probe::Answer::No(Errno::NOENT) => {
            outcome.or_fix(format!("as root: modprobe {module}; or a kernel with it"))
        }
        probe::Answer::No(_) => outcome.or_fix(format!("Linux {since} or newer")),
        probe::Answer::Yes | probe::Answer::CannotTell(_) => outcome,
    }
}

/// What can be asked only of a socket that has the upper layer protocol.
fn dependent(facts: &Facts<'_>, answer: probe::Answer) -> Outcome {
    if facts.ulp.is_yes() {
        Outcome::probed(answer)
    } else {
        Outcome::said(Answer::CannotTell, NO_ULP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: Facts<'_> = Facts {
        ulp: probe::Answer::Yes,
        rekey: probe::Answer::Yes,
        zerocopy_ro: probe::Answer::Yes,
        expect_no_pad: probe::Answer::Yes,
        max_payload_len: probe::Answer::Yes,
        suite: &|_, _, _| probe::Answer::Yes,
        privileged: true,
    };

    #[test]
    fn a_kernel_with_everything_needs_nothing() {
        let section = section(&EVERYTHING);
        assert_eq!(section.outcomes(), vec![&Outcome::YES; 5 + 8 * 4]);
    }

    #[test]
    fn without_the_protocol_there_is_one_fix_and_it_fits_who_asks() {
        let ulp = probe::Answer::No(Errno::NOENT);
        let fixes = |privileged| {
            let section = section(&Facts {
                ulp,
                privileged,
                ..EVERYTHING
            });
            let outcomes = section.outcomes();
            assert!(
                outcomes[1..]
                    .iter()
                    .all(|outcome| outcome.answer == Answer::CannotTell)
            );
            let fixes = outcomes.iter().filter_map(|outcome| outcome.fix.clone());
            fixes.collect::<Vec<_>>()
        };
        let (root, other) = (fixes(true), fixes(false));
        assert_eq!((root.len(), other.len()), (1, 1));
        assert!(root[0].starts_with("kernel with CONFIG_TLS"), "{root:?}");
        assert!(other[0].starts_with("as root: modprobe tls"), "{other:?}");
    }

    #[test]
    fn what_kept_the_probe_from_asking_is_what_is_to_be_mended() {
        let fix = |ulp| ulp_fix(ulp).expect("there is no upper layer protocol");
        let sandbox = fix(probe::Answer::CannotTell(Errno::PERM));
        assert!(sandbox.contains("setsockopt(TCP_ULP)"), "{sandbox}");
        let no_loopback = fix(probe::Answer::CannotTell(Errno::NETUNREACH));
        assert!(no_loopback.contains("ip link set lo up"), "{no_loopback}");
        let emulated = fix(probe::Answer::No(Errno::NOPROTOOPT));
        assert!(emulated.contains("not emulated"), "{emulated}");
    }

    fn ulp_fix(ulp: probe::Answer) -> Option<String> {
        super::ulp(&Facts { ulp, ..EVERYTHING }).fix
    }

    #[test]
    fn an_old_kernel_is_told_which_one_to_get() {
        let section = section(&Facts {
            rekey: probe::Answer::No(Errno::BUSY),
            max_payload_len: probe::Answer::No(Errno::NOPROTOOPT),
            ..EVERYTHING
        });
        let not_yes = |outcome: &&&Outcome| outcome.answer != Answer::Yes;
        let outcomes = section.outcomes();
        let said: Vec<_> = outcomes
            .iter()
            .filter(not_yes)
            .map(|outcome| (outcome.said.as_deref(), outcome.fix.as_deref()))
            .collect();
        let expected = [
            (Some("EBUSY"), Some("Linux 6.14 or newer")),
            (Some("ENOPROTOOPT"), Some("Linux 6.19 or newer")),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn suites_that_are_never_agreed_on_need_no_fix() {
        let facts = Facts {
            suite: &|_, cipher, _| match cipher {
                Cipher::Sm4Gcm | Cipher::ChaCha20Poly1305 => probe::Answer::No(Errno::NOENT),
                _ => probe::Answer::Yes,
            },
            ..EVERYTHING
        };
        let of = |cipher| suite(&facts, cipher, ASKED[0]);
        assert_eq!(of(Cipher::Sm4Gcm).fix, None);
        let fix = of(Cipher::ChaCha20Poly1305).fix.unwrap();
        assert!(
            fix.starts_with("as root: modprobe chacha20poly1305"),
            "{fix}"
        );
    }
}
