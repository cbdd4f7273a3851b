//! Records that are short or padded take more room than their bytes: nothing is lost for want of it.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::thread;

use rustix::pipe::fcntl_setpipe_size;
use underseal::record::Padding;
use underseal::{ServerConnection, blocking};
use underseal_testkit::{Certificates, KeyType, Pipe, RecordPeer, Suite, pair, pipe};

use crate::pairs::pattern;

/// A pipe that holds as much as any batch.
const PIPE: usize = 1 << 20;

fn with_records_of(
    max_fragment_size: usize,
    suite: Suite,
) -> (
    blocking::TlsStream<Pipe, ServerConnection>,
    RecordPeer<Pipe>,
) {
    let certificates = Certificates::new(KeyType::Ecdsa);
    let (left, right) = pair(1 << 22);
    let client = certificates.client_config(suite);
    let peer = thread::spawn(move || RecordPeer::client(right, client));
    let mut server = certificates.server_config(suite);
    server.max_fragment_size = Some(max_fragment_size);
    let acceptor = blocking::TlsAcceptor::from(Arc::new(server));
    (acceptor.accept(left).unwrap(), peer.join().unwrap())
}

/// As many bytes as the peer is told that they are.
#[test]
fn all_that_was_taken_out_of_a_pipe_is_sent() {
    // Sizes at which the last piece of a batch does not fit, in either version.
    for max_fragment_size in [32, 40, 48, 60, 256, 300, 350] {
        for (suite, padding) in [
            (Suite::Tls13Aes128, Padding::None),
            (Suite::Tls13Aes128, Padding::Multiple(64)),
            (Suite::Tls12Aes128, Padding::None),
        ] {
            let (mut stream, mut peer) = with_records_of(max_fragment_size, suite);
            stream.set_padding(padding).unwrap();
            let peer = thread::spawn(move || peer.receive_data());
            let (reader, mut writer) = pipe();
            fcntl_setpipe_size(&writer, PIPE).unwrap();
            let data = pattern(PIPE);
            writer.write_all(&data).unwrap();
            let mut sent = 0;
            let error = loop {
                match stream.splice_from(&reader, PIPE) {
                    Ok(n) => sent += n,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "the pipe is empty");
            assert_eq!(sent, PIPE, "{max_fragment_size} {suite:?} {padding:?}");
            stream.shutdown().unwrap();
            assert!(peer.join().unwrap() == (data, true));
        }
    }
}
