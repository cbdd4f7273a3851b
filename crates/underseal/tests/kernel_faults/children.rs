//! Child processes that inherit a kernel socket: they speak plaintext, the wire does not.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use underseal_testkit::Suite;
use underseal_testkit::record_peer::{ALERT, APPLICATION_DATA};

use crate::connect::{Server, assert_alive, in_kernel, pattern};
use crate::machine::alone;

/// The stream's socket, for a child.
fn socket(server: &Server) -> Stdio {
    let socket: TcpStream = server.get_ref().0.try_clone().unwrap();
    Stdio::from(OwnedFd::from(socket))
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn what_a_child_writes_is_sealed() {
    let _machine = alone();
    for suite in Suite::EACH_VERSION {
        let (mut server, mut peer) = in_kernel(suite);
        server.write_all(b"before ").unwrap();
        let mut echo = Command::new("echo");
        echo.arg("child").stdout(socket(&server));
        assert!(echo.status().unwrap().success());
        server.write_all(b"after").unwrap();
        server.shutdown().unwrap();
        let received = peer.receive_data();
        assert_eq!(
            received,
            (b"before child\nafter".to_vec(), true),
            "{suite:?}"
        );
    }
}

/// `cat` sends the file by sendfile(2) or in large writes.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_file_that_a_child_copies_is_sealed() {
    let _machine = alone();
    let data = pattern(300_000);
    let path = std::env::temp_dir().join("underseal-kernel-faults");
    File::create(&path).unwrap().write_all(&data).unwrap();
    let (mut server, mut peer) = in_kernel(Suite::Tls13Aes128);
    let mut cat = Command::new("cat");
    let mut child = cat.arg(&path).stdout(socket(&server)).spawn().unwrap();
    let mut received = Vec::new();
    // On Linux 6.1 the last record of a sendfile stays open until something follows.
    while received.len() + 16_384 < data.len() {
        received.extend(peer.receive().unwrap().1);
    }
    assert!(child.wait().unwrap().success());
    server.write_all(b"after").unwrap();
    server.shutdown().unwrap();
    let (rest, closed) = peer.receive_data();
    received.extend(rest);
    std::fs::remove_file(path).unwrap();
    assert!(closed && received == [&data[..], b"after"].concat());
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn what_a_child_reads_is_opened() {
    let _machine = alone();
    for suite in Suite::EACH_VERSION {
        let (mut server, mut peer) = in_kernel(suite);
        peer.send(APPLICATION_DATA, b"child, parent");
        let mut dd = Command::new("dd");
        dd.args(["bs=7", "count=1"]).stdin(socket(&server));
        assert_eq!(dd.output().unwrap().stdout, b"child, ", "{suite:?}");
        let mut rest = [0; 6];
        server.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"parent", "{suite:?}");
        assert_alive(&mut server, &mut peer);
    }
}

/// A read that brings no record type along cannot tell an alert from data: the kernel answers EIO,
/// and the alert stays for the parent.
#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_child_that_reads_on_to_close_notify_gets_an_error() {
    let _machine = alone();
    let (mut server, mut peer) = in_kernel(Suite::Tls13Aes128);
    peer.send(APPLICATION_DATA, b"data");
    peer.send(ALERT, &[1, 0]);
    let mut dd = Command::new("dd");
    let dd = dd.arg("bs=4").stdin(socket(&server)).output().unwrap();
    assert_eq!(dd.stdout, b"data");
    let said = String::from_utf8_lossy(&dd.stderr);
    assert!(said.contains("Input/output error"), "{said}");
    assert_eq!(server.read(&mut [0]).unwrap(), 0, "the end of the stream");
}

#[test]
#[ignore = "needs kernel TLS: cargo xtask vm"]
fn a_child_that_outlives_the_stream_writes_on() {
    let _machine = alone();
    let (server, mut peer) = in_kernel(Suite::Tls13Aes128);
    let mut shell = Command::new("sh");
    shell.args(["-c", "read line; echo $line"]);
    shell.stdin(Stdio::piped()).stdout(socket(&server));
    let mut child = shell.spawn().unwrap();
    // The command has the socket as well.
    drop((server, shell));
    child.stdin.take().unwrap().write_all(b"late\n").unwrap();
    assert!(child.wait().unwrap().success());
    let received = peer.receive_data();
    assert_eq!(
        received,
        (b"late\n".to_vec(), false),
        "nobody sent close_notify"
    );
}
