//! Keying material, whichever engine has the keys: before and after key updates it is the peer's.

use std::io::{Read, Write};
use std::thread;

use underseal::rustls::{ClientConnection, StreamOwned};
use underseal::{Direction, KeyUpdateRequest};

use crate::case::Case;
use crate::connect::{name, sockets};

const LABEL: &[u8] = b"EXPERIMENTAL underseal";
const CONTEXT: Option<&[u8]> = Some(b"context");

pub(crate) fn keying_material_is_the_peers(case: Case) {
    let (ours, theirs) = sockets();
    let config = case.configs().client;
    let peer = thread::spawn(move || {
        let connection = ClientConnection::new(config, name()).unwrap();
        let mut stream = StreamOwned::new(connection, theirs);
        let mut exported = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte).unwrap() > 0 {
            let export = |context| stream.conn.export_keying_material([0; 40], LABEL, context);
            exported.push([export(None).unwrap(), export(CONTEXT).unwrap()]);
            stream.write_all(&byte).unwrap();
        }
        exported
    });
    let mut stream = case.accept(ours);
    let rekeys = case.can_update_keys(&Direction::ALL);
    let mut exported = Vec::new();
    for round in 0..3 {
        if rekeys && round > 0 {
            stream.key_update(KeyUpdateRequest::Requested).unwrap();
        }
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let export = |context| stream.export_keying_material([0; 40], LABEL, context);
        exported.push([export(None).unwrap(), export(CONTEXT).unwrap()]);
    }
    assert_eq!(stream.engines(), case.engines);
    let updates = u32::from(rekeys) * 2;
    let counters = stream.counters();
    assert_eq!(
        (counters.tx_key_updates, counters.rx_key_updates),
        (updates, updates)
    );
    stream.shutdown().unwrap();
    assert_eq!(peer.join().unwrap(), exported);
    assert_eq!(exported, [exported[0]; 3]);
}
