//! Answers made by hand from the headers' layouts, and the answers of this machine's kernel.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;

use super::message::{Progress, read};
use super::*;
use crate::tls;

/// A netlink message: its header and `body`.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A netlink attribute, padded to four bytes as the kernel does.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `struct inet_diag_msg` of 127.0.0.1:443 with peer 10.0.0.2:50000, inode 77, user 1000.
fn diag_v4() -> Vec<u8> {
    let mut bytes = vec![2, 1, 0, 0];
    bytes.extend([0x01, 0xbb, 0xc3, 0x50]);
    bytes.extend([127, 0, 0, 1]);
    bytes.extend([0; 12]);
    bytes.extend([10, 0, 0, 2]);
    bytes.extend([0; 12]);
    bytes.extend([0; 12 + 12]);
    bytes.extend(1000u32.to_ne_bytes());
    bytes.extend(77u32.to_ne_bytes());
    bytes
}

/// What a kernel says of a socket that seals in software and opens in the device.
fn tls_attributes() -> Vec<u8> {
    let tls = [
        attribute(1, &0x0304u16.to_ne_bytes()),
        attribute(2, &51u16.to_ne_bytes()),
        attribute(3, &2u16.to_ne_bytes()),
        attribute(4, &3u16.to_ne_bytes()),
        attribute(5, &[]),
        attribute(7, &4096u16.to_ne_bytes()),
    ]
    .concat();
    // Nested attributes are marked so by the kernel (0x8000).
    let ulp = [attribute(1, b"tls\0"), attribute(0x8000 | 2, &tls)].concat();
    [attribute(2, &[0; 232]), attribute(0x8000 | 19, &ulp)].concat()
}

fn sockets(answer: &[u8]) -> Result<(Progress, Vec<TcpSocket>), Errno> {
    let mut sockets = Vec::new();
    let progress = read(answer, &mut sockets)?;
    Ok((progress, sockets))
}

#[test]
fn a_tls_socket_is_read_whole() {
    let body = [diag_v4(), tls_attributes()].concat();
    let (progress, found) = sockets(&message(20, 0, &body)).expect("a good answer");
    assert_eq!(progress, Progress::Done, "not one of several");
    let tls = TlsInfo {
        version: Some(0x0304),
        cipher: Some(51),
        tx: Config::Software,
        rx: Config::Device,
        zerocopy_ro: true,
        expect_no_pad: false,
        max_payload: Some(4096),
    };
    let expected = TcpSocket {
        local: "127.0.0.1:443".parse().expect("an address"),
        peer: "10.0.0.2:50000".parse().expect("an address"),
        inode: 77,
        uid: 1000,
        ulp: Some(Ulp {
            name: "tls".to_owned(),
            tls: Some(tls),
        }),
    };
    assert_eq!(found, [expected]);
}

#[test]
fn a_dump_goes_on_until_done() {
    let part = [message(20, 2, &diag_v4()), message(20, 2, &diag_v4())].concat();
    let (progress, found) = sockets(&part).expect("a good answer");
    assert_eq!((progress, found.len()), (Progress::More, 2));
    assert_eq!(found[0].ulp, None);
    let (progress, found) = sockets(&message(3, 2, &[0; 4])).expect("a good answer");
    assert_eq!((progress, found.len()), (Progress::Done, 0));
}

#[test]
fn an_error_is_the_kernels_own() {
    let answer = message(2, 0, &(-2i32).to_ne_bytes());
    assert_eq!(sockets(&answer), Err(Errno::NOENT));
}

#[test]
fn an_ipv4_address_in_an_ipv6_socket_is_given_as_ipv4() {
    let mut body = diag_v4();
    body[0] = 10;
    body[8..24].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
    body[24..40].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let (_, found) = sockets(&message(20, 0, &body)).expect("a good answer");
    assert_eq!(found[0].local.to_string(), "192.0.2.1:443");
    assert_eq!(found[0].peer.to_string(), "[2001:db8::1]:50000");
}

#[test]
fn answers_cut_anywhere_are_refused_or_end_without_harm() {
    let whole = message(20, 2, &[diag_v4(), tls_attributes()].concat());
    for length in 1..whole.len() {
        assert_eq!(sockets(&whole[..length]), Err(Errno::BADMSG), "{length}");
        // The message's own length agrees, so that its attributes are what is cut.
        let mut cut = whole[..length].to_vec();
        if length >= 4 {
            cut[..4].copy_from_slice(&(length as u32).to_ne_bytes());
            let cut_between_attributes = sockets(&cut).is_ok();
            assert!(!cut_between_attributes || length >= 16 + 72, "{length}");
        }
    }
}

#[test]
fn lengths_that_lie_are_refused() {
    for length in [0u32, 1, 15, 16, u32::MAX] {
        let mut answer = message(20, 2, &diag_v4());
        answer[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(sockets(&answer), Err(Errno::BADMSG), "{length}");
    }
    for length in [0u16, 1, 3, u16::MAX] {
        let mut lying = attribute(19, &[0; 4]);
        lying[..2].copy_from_slice(&length.to_ne_bytes());
        let answer = message(20, 2, &[diag_v4(), lying].concat());
        assert_eq!(sockets(&answer), Err(Errno::BADMSG), "{length}");
    }
}

/// A connected pair on `address`: the listener's side first.
fn pair(address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).expect("bind");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    (server, client)
}

/// The inode that `/proc/self/fd` shows for a socket.
fn inode(stream: &TcpStream) -> u64 {
    use std::os::fd::AsRawFd as _;
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    std::fs::metadata(path).expect("an open file").ino()
}

fn addresses(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
    let local = stream.local_addr().expect("connected");
    (local, stream.peer_addr().expect("connected"))
}

#[test]
fn this_machines_kernel_lists_both_ends_of_a_connection() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (server, client) = pair(address);
        let all = tcp_sockets().expect("this kernel answers NETLINK_SOCK_DIAG");
        for stream in [&server, &client] {
            let (local, peer) = addresses(stream);
            let found: Vec<_> = all
                .iter()
                .filter(|socket| socket.local == local && socket.peer == peer)
                .collect();
            assert_eq!(found.len(), 1, "{local} in {all:?}");
            assert_eq!(u64::from(found[0].inode), inode(stream));
            assert_eq!(found[0].uid, rustix::process::geteuid().as_raw());
            assert_eq!(found[0].ulp, None);
        }
    }
}

#[test]
fn this_machines_kernel_finds_one_socket_and_misses_what_is_not_there() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (server, client) = pair(address);
        let (local, peer) = addresses(&server);
        let found = tcp_socket(local, peer).expect("the kernel answers");
        let found = found.expect("the socket is there");
        assert_eq!((found.local, found.peer), (local, peer));
        assert_eq!(u64::from(found.inode), inode(&server));
        assert_eq!(tcp_socket(local, local), Ok(None));
        drop(client);
    }
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_kernel_tls_socket_says_who_protects_each_direction() {
    let (server, _client) = pair("127.0.0.1:0");
    let (local, peer) = addresses(&server);
    let ulp = || tcp_socket(local, peer).map(|found| found.expect("there").ulp);
    assert_eq!(ulp(), Ok(None));
    tls::attach(&server).expect("a kernel with TLS");
    let attached = ulp().expect("the kernel answers").expect("a protocol");
    assert_eq!(attached.name, "tls");
    assert_eq!(attached.tls.expect("TLS").tx, Config::Base);

    let (version, cipher) = (tls::Version::Tls13, tls::Cipher::Aes256Gcm);
    let keys = tls::CryptoInfo::new(version, cipher, &[7; 32], &[8; 12], 0).expect("keys");
    tls::set(&server, tls::Direction::Tx, &keys).expect("keys for sending");
    let sealing = ulp().expect("the kernel answers").expect("a protocol");
    let said = sealing.tls.expect("TLS");
    assert_eq!((said.tx, said.rx), (Config::Software, Config::Base));
    assert_eq!(said.version, Some(version.to_wire()));
    assert_eq!(said.cipher, Some(cipher.id()));
    assert!(!said.zerocopy_ro && !said.expect_no_pad);
    // The dump says the same as the question for one socket.
    let all = tcp_sockets().expect("the kernel answers");
    let listed = all.into_iter().find(|socket| socket.local == local);
    assert_eq!(listed.expect("listed").ulp, Some(sealing));
}

#[test]
fn addresses_of_two_families_are_no_pair() {
    let (v4, v6) = ("127.0.0.1:1", "[::1]:1");
    let (v4, v6) = (v4.parse().expect("v4"), v6.parse().expect("v6"));
    assert_eq!(tcp_socket(v4, v6), Err(Errno::INVAL));
}

#[test]
fn a_dump_larger_than_one_answer_is_read_to_its_end() {
    let pairs: Vec<_> = (0..200).map(|_| pair("127.0.0.1:0")).collect();
    let all = tcp_sockets().expect("the kernel answers");
    for (server, client) in &pairs {
        for stream in [server, client] {
            let (local, peer) = addresses(stream);
            let times = all
                .iter()
                .filter(|socket| (socket.local, socket.peer) == (local, peer))
                .count();
            assert_eq!(times, 1, "{local}");
        }
    }
}
