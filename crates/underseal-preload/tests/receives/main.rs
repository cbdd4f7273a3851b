//! A program that asks for TLS_RX: `program.c` reads in all the ways that it may, this end sends what it
//! waits for.

#[path = "../harness/library.rs"]
mod library;
#[path = "../harness/program.rs"]
mod program;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;

use underseal_record::{Algorithm, ContentType, ProtocolVersion, Sealer, SeqNo, TrafficKeys};
use underseal_testkit::{PATIENCE, Peer};

use program::program;

fn keys(byte: u8) -> TrafficKeys {
    let key = [byte; 16];
    let keys = TrafficKeys::new(
        ProtocolVersion::Tls13,
        Algorithm::Aes128Gcm,
        &key,
        [0; 12],
        SeqNo(0),
    );
    keys.expect("a key of the right length")
}

/// The other end of the program's connection.
struct Sender {
    stream: TcpStream,
    sealer: Sealer,
}

impl Sender {
    fn record(&mut self, content_type: ContentType, data: &[u8]) -> Vec<u8> {
        let mut record = vec![0; self.sealer.record_len(data.len())];
        let sealed = self.sealer.seal(content_type, data, &mut record);
        let sealed = sealed.expect("it can be sealed");
        record.truncate(sealed.written);
        record
    }

    fn send(&mut self, content_type: ContentType, data: &[u8]) {
        let record = self.record(content_type, data);
        self.stream.write_all(&record).expect("somebody who reads");
    }

    fn data(&mut self, text: &str) {
        self.send(ContentType::APPLICATION_DATA, text.as_bytes());
    }
}

#[test]
fn whatever_is_left_of_a_record_is_readable_and_nothing_else_is() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.arg(port.to_string());
    command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
    let program = Peer::spawn(&mut command);
    let (mut stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("a stream");
    program.wait_for("ready");
    let mut plain = [0; 5 + 5];
    stream.read_exact(&mut plain).expect("what it says");
    assert_eq!(plain, *b"plain\x17\x03\x03\x00\x17");
    let sealer = Sealer::new(keys(7));
    let mut sender = Sender { stream, sealer };

    let first = sender.record(ContentType::APPLICATION_DATA, b"first");
    let (part, rest) = first.split_at(12);
    sender.stream.write_all(part).expect("somebody who reads");
    program.wait_for("part");
    let mut both = rest.to_vec();
    both.extend(sender.record(ContentType::APPLICATION_DATA, b"second"));
    sender.stream.write_all(&both).expect("somebody who reads");
    program.wait_for("bytes");
    sender.send(ContentType::ALERT, &[1, 90]);
    program.wait_for("alert");
    sender.data("afterit");
    program.wait_for("types");
    sender.data("onetwothree");
    program.wait_for("several");
    // Together: the program does not wait for the second.
    let mut both = sender.record(ContentType::HANDSHAKE, &[24, 0, 0, 1, 0]);
    sender.sealer.replace_keys(keys(8));
    both.extend(sender.record(ContentType::APPLICATION_DATA, b"updated"));
    sender.stream.write_all(&both).expect("somebody who reads");
    program.wait_for("all");
    let over = sender.stream.shutdown(Shutdown::Write);
    over.expect("a stream");
    program.finish().successful();
}

/// Has the program do `what`, and sends `data` once it has said `step`.
fn beside(what: &str, step: &str, data: &[u8]) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.args([&port.to_string(), what]);
    command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
    let program = Peer::spawn(&mut command);
    let (stream, _) = listener.accept().expect("a connection");
    let sealer = Sealer::new(keys(7));
    let mut sender = Sender { stream, sealer };
    program.wait_for(step);
    sender.send(ContentType::APPLICATION_DATA, data);
    program.finish().successful();
}

#[test]
fn poll_and_select_tell_of_whole_records() {
    for call in ["poll", "select"] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mut command = program();
        command.args([&port.to_string(), call]);
        command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
        let program = Peer::spawn(&mut command);
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_nodelay(true).expect("a stream");
        let sealer = Sealer::new(keys(7));
        let mut sender = Sender { stream, sealer };
        let record = sender.record(ContentType::APPLICATION_DATA, b"text");
        let (part, rest) = record.split_at(12);
        program.wait_for("nothing");
        sender.stream.write_all(part).expect("somebody who reads");
        program.wait_for("waits");
        for byte in rest {
            sender
                .stream
                .write_all(&[*byte])
                .expect("somebody who reads");
            thread::yield_now();
        }
        program.finish().successful();
    }
}

#[test]
fn keys_to_send_with_and_options_do_not_wait_for_a_reader() {
    beside("keys", "set", b"text");
}

#[test]
fn a_record_is_spliced_where_new_pipes_are_smaller_than_it() {
    let data: Vec<u8> = (0..1 << 14).map(|i| i as u8).collect();
    beside("pipes", "small", &data);
}

#[test]
fn receiving_is_off_unless_it_is_switched_on() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = program();
    command.args([&port.to_string(), "refused"]);
    Peer::spawn(&mut command).finish().successful();
}
