//! Both renderings of reports that are made up, so that they are the same on every machine.
//!
//! `UPDATE_SNAPSHOTS=1` writes them anew.

use std::path::{Path, PathBuf};

use underseal::record::{Algorithm, ProtocolVersion};
use underseal::{Engine, Refusal};
use underseal_sys::Errno;
use underseal_sys::bpf::Bpf;
use underseal_sys::ethtool::Feature;
use underseal_sys::probe::{Answer, Memory};
use underseal_sys::tls::{Cipher, Direction, Version};
use underseal_sys::tun::Tun;
use underseal_sys::udp::Udp;

use super::report::{Choice, Machine, Report};
use super::{aead, datagrams, engines, json, kernel_tls, nic, programs, run, text};
use crate::exit::{Exit, Failure};

/// Debian 13 with a NIC that could do TLS, asked by root: what is missing is of several kinds.
fn server() -> Report {
    let suite = |version, cipher, _: Direction| match (version, cipher) {
        (_, Cipher::Sm4Gcm | Cipher::Sm4Ccm) => Answer::No(Errno::NOENT),
        (Version::Tls13, Cipher::Aria128Gcm | Cipher::Aria256Gcm) => Answer::No(Errno::INVAL),
        (_, Cipher::Aria128Gcm | Cipher::Aria256Gcm) => Answer::No(Errno::NOENT),
        _ => Answer::Yes,
    };
    let fixed = [Ok(Feature::Fixed); 3];
    let off = [Ok(Feature::Off), Ok(Feature::On), Ok(Feature::Fixed)];
    let bridges = (0..9).map(|index| (format!("veth{index}"), fixed));
    let interfaces = [("lo".to_owned(), fixed), ("eth0".to_owned(), off)];
    Report {
        machine: machine(true),
        sections: vec![
            engines::section(None, &|_, direction, version, algorithm| match (
                direction, version, algorithm,
            ) {
                (Direction::Rx, ..) => Ok(Engine::User),
                (_, ProtocolVersion::Tls13, _) => Err(Refusal::Rekey(underseal::Errno::BUSY)),
                (.., Algorithm::ChaCha20Poly1305) => Err(Refusal::Keys(underseal::Errno::NOENT)),
                _ => Ok(Engine::Kernel),
            }),
            kernel_tls::section(&kernel_tls::Facts {
                ulp: Answer::Yes,
                rekey: Answer::No(Errno::BUSY),
                zerocopy_ro: Answer::Yes,
                expect_no_pad: Answer::Yes,
                max_payload_len: Answer::No(Errno::NOPROTOOPT),
                suite: &suite,
                privileged: true,
            }),
            nic::section(Ok(interfaces.into_iter().chain(bridges).collect())),
            measured(),
            datagrams::udp(Udp {
                segment: Answer::Yes,
                gro: Answer::Yes,
            }),
            datagrams::tun(Tun {
                device: Answer::Yes,
                vnet_hdr: Answer::Yes,
                multi_queue: Answer::Yes,
                tso: Answer::Yes,
                uso: Answer::No(Errno::INVAL),
            }),
            programs::section(all_programs(Answer::Yes), Ok(None), None),
            run::section(run::Facts {
                preload: Ok(PathBuf::from("/usr/lib/underseal/libunderseal_preload.so")),
                is_loaded: Some(true),
                memory: memory(Answer::Yes),
                descriptors: Some(1024),
            }),
        ],
    }
}

/// A container, asked by a user: hardly anything can be told.
fn container() -> Report {
    let nothing = Answer::CannotTell(Errno::NOENT);
    let refused = Answer::CannotTell(Errno::PERM);
    Report {
        machine: machine(false),
        sections: vec![
            engines::section(None, &|_, direction, _, _| match direction {
                Direction::Tx => Err(Refusal::Ulp(underseal::Errno::NOENT)),
                Direction::Rx => Ok(Engine::User),
            }),
            kernel_tls::section(&kernel_tls::Facts {
                ulp: Answer::No(Errno::NOENT),
                rekey: nothing,
                zerocopy_ro: nothing,
                expect_no_pad: nothing,
                max_payload_len: nothing,
                suite: &|_, _, _| nothing,
                privileged: false,
            }),
            nic::section(Ok(vec![("lo".to_owned(), [Ok(Feature::Fixed); 3])])),
            measured(),
            datagrams::udp(Udp {
                segment: Answer::CannotTell(Errno::NETUNREACH),
                gro: Answer::CannotTell(Errno::NETUNREACH),
            }),
            datagrams::tun(Tun {
                device: Answer::No(Errno::NOENT),
                vnet_hdr: nothing,
                multi_queue: nothing,
                tso: refused,
                uso: refused,
            }),
            programs::section(
                all_programs(refused),
                Ok(Some(PathBuf::from("/sys/fs/cgroup"))),
                Some(refused),
            ),
            run::section(run::Facts {
                preload: Err(Failure::new(Exit::Failure, "not there", "put it there")),
                is_loaded: None,
                memory: memory(Answer::No(Errno::INVAL)),
                descriptors: None,
            }),
        ],
    }
}

fn machine(privileged: bool) -> Machine {
    Machine {
        underseal: "9.8.7".to_owned(),
        kernel: "6.12.43+deb13-amd64".to_owned(),
        privileged,
    }
}

fn memory(populate: Answer) -> Memory {
    Memory {
        wipe_on_fork: Answer::Yes,
        populate,
    }
}

fn all_programs(answer: Answer) -> Bpf {
    Bpf {
        sockmap: answer,
        sk_msg: answer,
        sock_ops: answer,
        cgroup_connect: answer,
    }
}

fn measured() -> super::report::Section {
    let choice = |name: &str, chosen: &str| Choice {
        key: name.to_owned(),
        subject: name.to_owned(),
        chosen: chosen.to_owned(),
        because: "the reason".to_owned(),
    };
    let speeds = vec![Some(7.126), Some(12.0), None, Some(0.5)];
    aead::section(
        vec![
            choice("AES-128-GCM", "aws-lc-rs"),
            choice("ChaCha20-Poly1305", "ring"),
        ],
        vec![("AES-128-GCM".to_owned(), speeds)],
    )
}

fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, actual).expect("write the snapshot");
    }
    let expected = std::fs::read_to_string(&path).expect("a snapshot");
    assert_eq!(
        actual, expected,
        "{name} differs; UPDATE_SNAPSHOTS=1 accepts the new text"
    );
}

#[test]
fn text_of_a_server() {
    check("doctor-server.txt", &text::render(&server(), false));
}

#[test]
fn text_of_a_container() {
    check("doctor-container.txt", &text::render(&container(), false));
}

#[test]
fn json_of_a_server() {
    check(
        "doctor-server.json",
        &format!("{:#}\n", json::render(&server())),
    );
}

#[test]
fn text_fits_a_screen_or_little_more() {
    for report in [server(), container()] {
        let text = text::render(&report, false);
        assert!(text.lines().count() <= 70, "{} lines", text.lines().count());
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
            assert_eq!(line, line.trim_end());
        }
    }
}

#[test]
fn colours_add_nothing_but_colours() {
    for report in [server(), container()] {
        let (plain, coloured) = (text::render(&report, false), text::render(&report, true));
        assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'));
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&without_escapes(&coloured)), words(&plain));
    }
}

/// The text without `ESC [ … m`.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + part.split_once('m').expect("an escape ends").1
    })
}
