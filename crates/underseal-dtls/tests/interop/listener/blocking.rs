//! A listener of a program without a runtime.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use underseal_dtls::blocking::{DtlsListener, DtlsSocket};
use underseal_dtls::{DtlsPeer, Error, Event, ListenerConfig};
use underseal_testkit::{Certificates, PATIENCE};

use super::workers::shared;
use crate::{SUITES, certificates, client, recv, server_context, socket_to};

pub(crate) fn listener(certificates: &Certificates) -> DtlsListener {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let context = server_context(certificates);
    DtlsListener::new(socket, context, ListenerConfig::default()).unwrap()
}

fn connect(certificates: &Certificates, listener: &DtlsListener) -> thread::JoinHandle<DtlsSocket> {
    let socket = socket_to(listener.get_ref().socket().local_addr().unwrap());
    let ssl = client(certificates, SUITES[0]);
    thread::spawn(move || DtlsSocket::connect(ssl, socket, PATIENCE).unwrap())
}

pub(crate) fn established(listener: &mut DtlsListener) -> DtlsPeer {
    match listener.recv(&mut []).unwrap() {
        Event::Established(new) => new.peer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_thread_accepts_receives_answers_and_is_told_of_the_end() {
    let certificates = certificates();
    let mut listener = listener(&certificates);
    let connecting = connect(&certificates, &listener);
    let peer = established(&mut listener);
    let client = connecting.join().unwrap();
    client.send(b"question").unwrap();
    let mut buffer = [0; 100];
    match listener.recv(&mut buffer).unwrap() {
        Event::Datagram { len, .. } => assert_eq!(&buffer[..len], b"question"),
        other => panic!("{other:?}"),
    }
    assert_eq!(peer.blocking_send(b"answer").unwrap(), 6);
    assert_eq!(recv(&client).unwrap(), "answer");
    client.close();
    let ended = listener.recv(&mut buffer).unwrap();
    assert!(
        matches!(
            ended,
            Event::Ended {
                why: Error::ClosedByPeer,
                ..
            }
        ),
        "{ended:?}"
    );
}

#[test]
fn a_thread_waits_no_longer_than_it_likes_and_loses_nothing() {
    let certificates = certificates();
    let mut listener = listener(&certificates);
    let connecting = connect(&certificates, &listener);
    let mut buffer = [0; 100];
    let brief = Duration::from_millis(1);
    let event = loop {
        if let Some(event) = listener.recv_timeout(&mut buffer, brief).unwrap() {
            break event;
        }
    };
    assert!(matches!(event, Event::Established(_)), "{event:?}");
    let client = connecting.join().unwrap();
    assert!(listener.recv_timeout(&mut buffer, brief).unwrap().is_none());
    client.send(b"late").unwrap();
    let event = listener.recv_timeout(&mut buffer, PATIENCE).unwrap();
    assert!(matches!(event, Some(Event::Datagram { len: 4, .. })));
}

#[test]
fn a_thread_sends_several_datagrams_in_one_call() {
    let certificates = certificates();
    let mut listener = listener(&certificates);
    let connecting = connect(&certificates, &listener);
    let peer = established(&mut listener);
    let client = connecting.join().unwrap();
    let payloads = ["one", "two", "3"];
    assert_eq!(peer.blocking_send_batch(&payloads).unwrap(), 3);
    assert_eq!(payloads.map(|_| recv(&client).unwrap()), payloads);
}

#[test]
fn threads_share_an_address_and_each_has_the_clients_that_were_picked_for_it() {
    let certificates = certificates();
    let first = shared(([127, 0, 0, 1], 0).into());
    let second = shared(first.local_addr().unwrap());
    let context = server_context(&certificates);
    let config = ListenerConfig::default();
    let listeners = DtlsListener::group(vec![first, second], context, &config, |_, _| 1);
    let [mut other, mut picked] = <[_; 2]>::try_from(listeners.unwrap()).unwrap();
    let connecting = connect(&certificates, &picked);
    // Whichever socket the kernel gives the client to, somebody has to hand it on.
    thread::spawn(move || while other.recv(&mut []).is_ok() {});
    let peer = established(&mut picked);
    let client = connecting.join().unwrap();
    peer.blocking_send(b"here").unwrap();
    assert_eq!(recv(&client).unwrap(), "here");
}
