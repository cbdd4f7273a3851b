//! A program, a map and an inbox together.

use std::io::{self, IoSlice};
use std::sync::Arc;

use underseal_message::{
    Decision, Filter, Inbox, Message, MessageDirection, Notify, Peer, Program, SockHash, Update,
    Verdict,
};

use crate::inbox::bell;

/// Messages are a key of one byte and three bytes of data; `-` is for nobody else.
fn by_key(message: &mut Message<'_>) -> Verdict<u8> {
    let Ok([to]) = message.pull(..1) else {
        return Verdict::Drop;
    };
    let to = *to;
    message.apply_bytes(4);
    match to {
        b'-' => Verdict::Pass,
        _ => Verdict::Redirect {
            to,
            direction: MessageDirection::Ingress,
        },
    }
}

/// A write as a socket does it: what the program passes goes to `own`.
fn write<P: Program<u8>>(
    filter: &mut Filter<P, u8>,
    map: &SockHash<u8, Peer>,
    notify: &Arc<dyn Notify>,
    bytes: &[u8],
    own: &mut Vec<u8>,
) -> io::Result<usize> {
    let slices = [IoSlice::new(bytes)];
    let mut offer = filter.offer(&slices);
    let mut stopped = None;
    while let Some(decision) = offer.next() {
        let taken = match decision {
            Decision::Pass(chunk) => {
                own.extend(chunk.slices().flatten());
                Some(Ok(chunk.len()))
            }
            Decision::Redirect {
                to,
                direction,
                chunk,
            } => map.get(to).map(|peer| peer.send(direction, chunk, notify)),
        };
        match taken {
            Some(Ok(taken)) => offer.taken(taken),
            None => offer.refuse(),
            Some(Err(error)) => {
                stopped = Some(error);
                break;
            }
        }
    }
    match (offer.accepted(), stopped) {
        (0, Some(error)) => Err(error.into()),
        _ => Ok(offer.finish()?),
    }
}

#[test]
fn messages_go_where_the_program_says() {
    let (mut inbox, mut map) = (Inbox::new(8, bell().1), SockHash::new(10));
    map.update(b'a', inbox.peer(), Update::NoExist).unwrap();
    let mut filter = Filter::egress(by_key);
    let (ring, notify) = bell();
    let mut own = Vec::new();
    let mut write = |bytes: &str| {
        let written = write(&mut filter, &map, &notify, bytes.as_bytes(), &mut own);
        written.map_err(|error| error.kind())
    };
    assert_eq!(write("-one"), Ok(4));
    // Two messages fit; the third one waits at its writer.
    assert_eq!(write("atwo-elsa333a444a555"), Ok(16 - 4));
    assert_eq!(write("a444"), Err(io::ErrorKind::WouldBlock));
    assert_eq!(ring.rings(), 0);
    assert_eq!(inbox.chunk(MessageDirection::Ingress), b"atwoa333");
    inbox.consume(MessageDirection::Ingress, 4);
    assert_eq!(ring.rings(), 1);
    assert_eq!(write("a444"), Ok(4));
    // Nobody has this key.
    assert_eq!(write("bxxx"), Err(io::ErrorKind::PermissionDenied));
    drop(inbox);
    assert_eq!(write("a555"), Err(io::ErrorKind::BrokenPipe));
    assert_eq!(write("-end"), Ok(4));
    assert_eq!(own, b"-one-els-end");
}
