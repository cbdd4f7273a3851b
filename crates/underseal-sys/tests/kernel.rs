//! What each kernel's TLS is known to do, tried in that kernel: `cargo xtask vm`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use underseal_sys::Errno;
use underseal_sys::bpf::{Bpf, cgroup_hooks, cgroup_v2_mount};
use underseal_sys::probe::{Answer, KernelTls};
use underseal_sys::tls::{self, Cipher, CryptoInfo, Direction, Version};
use underseal_sys::tun::Tun;
use underseal_sys::udp::Udp;

/// The ciphers that Debian builds for TLS.
const DEBIAN_HAS: [Cipher; 4] = [
    Cipher::Aes128Gcm,
    Cipher::Aes256Gcm,
    Cipher::Aes128Ccm,
    Cipher::ChaCha20Poly1305,
];

/// The name of the kernel in `cargo xtask vm --list`.
fn kernel() -> String {
    std::env::var("UNDERSEAL_VM_KERNEL").expect("cargo xtask vm names the kernel")
}

/// Both ends of a loopback connection.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
    let (far, _) = listener.accept().expect("connected");
    (near, far)
}

fn keys(version: Version, cipher: Cipher) -> CryptoInfo {
    let key = [7; 32];
    CryptoInfo::new(version, cipher, &key[..cipher.key_len()], &[3; 12], 0)
        .expect("the lengths are the cipher's")
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn the_probe_finds_what_the_kernel_is_known_for() {
    let found = KernelTls::get();
    assert_eq!(found.ulp, Answer::Yes);
    assert_eq!(found.zerocopy_ro, Answer::Yes);
    assert_eq!(found.expect_no_pad, Answer::Yes);
    let (rekey, max_payload_len) = match kernel().as_str() {
        "6.1" | "6.12" => (Answer::No(Errno::BUSY), Answer::No(Errno::NOPROTOOPT)),
        "7.x" => (Answer::Yes, Answer::Yes),
        other => panic!("nothing is known about the kernel {other}"),
    };
    assert_eq!(found.rekey, rekey);
    assert_eq!(found.max_payload_len, max_payload_len);
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn the_kernel_takes_debians_suites_and_no_others() {
    for version in Version::ALL {
        for cipher in Cipher::ALL {
            for direction in Direction::ALL {
                let answer = KernelTls::get().suite(version, cipher, direction);
                let expected = DEBIAN_HAS.contains(&cipher);
                assert_eq!(
                    answer.is_yes(),
                    expected,
                    "{version:?} {cipher:?} {answer:?}"
                );
            }
        }
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn what_one_kernel_socket_seals_the_other_opens() {
    for version in Version::ALL {
        for cipher in DEBIAN_HAS {
            let (mut near, mut far) = connected();
            tls::attach(&near).expect("there is a module");
            tls::attach(&far).expect("there is a module");
            tls::set(&near, Direction::Tx, &keys(version, cipher)).expect("the suite is known");
            tls::set(&far, Direction::Rx, &keys(version, cipher)).expect("the suite is known");
            near.write_all(b"below the socket").expect("a live peer");
            let mut received = [0; 16];
            far.read_exact(&mut received).expect("a record that opens");
            assert_eq!(&received, b"below the socket", "{version:?} {cipher:?}");
        }
    }
}

#[test]
#[ignore = "needs a kernel without TLS: cargo xtask vm"]
fn without_tls_the_kernel_says_so() {
    assert_eq!(kernel(), "no-tls");
    assert_eq!(KernelTls::get().ulp, Answer::No(Errno::NOENT));
    let (near, _far) = connected();
    assert_eq!(tls::attach(&near), Err(Errno::NOENT));
}

#[test]
#[ignore = "needs root in a kernel that is known: cargo xtask vm"]
fn root_finds_what_every_debian_kernel_has() {
    let programs = Bpf {
        sockmap: Answer::Yes,
        sk_msg: Answer::Yes,
        sock_ops: Answer::Yes,
        cgroup_connect: Answer::Yes,
    };
    assert_eq!(Bpf::probe(), programs);
    let mount = cgroup_v2_mount().expect("proc").expect("vm/init mounts it");
    assert_eq!(mount.to_str(), Some("/sys/fs/cgroup"));
    let root = std::fs::File::open(mount).expect("a directory");
    assert_eq!(cgroup_hooks(&root), Answer::Yes);
    let udp = Udp {
        segment: Answer::Yes,
        gro: Answer::Yes,
    };
    assert_eq!(Udp::probe(), udp);
}

#[test]
#[ignore = "needs root in a kernel that is known: cargo xtask vm"]
fn tun_devices_cut_udp_from_linux_6_2_on() {
    let uso = match kernel().as_str() {
        "6.1" => Answer::No(Errno::INVAL),
        _ => Answer::Yes,
    };
    let expected = Tun {
        device: Answer::Yes,
        vnet_hdr: Answer::Yes,
        multi_queue: Answer::Yes,
        tso: Answer::Yes,
        uso,
    };
    assert_eq!(Tun::probe(), expected);
}
