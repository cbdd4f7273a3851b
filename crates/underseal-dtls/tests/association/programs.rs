//! Programs see each datagram before it is sealed, and after it was opened.

use std::sync::{Arc, Mutex};

use underseal_dtls::message::{Denied, Filter, Message, MessageDirection, Peer, Program, Verdict};
use underseal_dtls::{Batch, Discard, Error};

use crate::blocking::pair;
use crate::end::moved;
use crate::{recv, socket_and_wire};

type Seen = Arc<Mutex<Vec<String>>>;

/// Notes what it sees; passes it in angle brackets, but for what begins with "bad".
fn program() -> (Seen, impl Program<Peer> + Send + 'static) {
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    let program = move |message: &mut Message<'_>| {
        let text = match message.is_empty() {
            true => String::new(),
            false => String::from_utf8(message.pull(..).unwrap().to_vec()).unwrap(),
        };
        message.push(0, b"<").unwrap();
        message.push(message.len(), b">").unwrap();
        let verdict = match text.starts_with("bad") {
            true => Verdict::Drop,
            false => Verdict::Pass,
        };
        notes.lock().unwrap().push(text);
        verdict
    };
    (seen, program)
}

#[test]
fn a_program_sees_each_datagram_before_it_is_sealed() {
    let (near, far) = pair();
    let (seen, program) = program();
    near.attach(Filter::egress(program)).unwrap();
    near.send(b"one").unwrap();
    assert!(matches!(
        near.send(b"bad one"),
        Err(Error::Denied(Denied::Dropped))
    ));
    near.send(b"").unwrap();
    // In batches, too: each once, and no train has one that was refused.
    let payloads = ["two", "six", "bad", "ten"];
    assert_eq!(near.send_batch(&payloads).unwrap(), 2);
    assert!(matches!(
        near.send_batch(&payloads[2..]),
        Err(Error::Denied(_))
    ));
    assert_eq!(near.send_batch(&payloads[3..]).unwrap(), 1);
    for text in ["<one>", "<>", "<two>", "<six>", "<ten>"] {
        assert_eq!(recv(&far).unwrap(), text);
    }
    let seen = seen.lock().unwrap();
    let expected = ["one", "bad one", "", "two", "six", "bad", "bad", "ten"];
    assert_eq!(*seen, expected);
    assert_eq!(near.counters().sealed, 5);
}

#[test]
fn a_program_sees_each_datagram_after_it_was_opened() {
    let (near, far) = pair();
    let (seen, program) = program();
    far.attach(Filter::ingress(program)).unwrap();
    for text in ["one", "bad one", "", "two"] {
        near.send(text.as_bytes()).unwrap();
    }
    for text in ["<one>", "<>", "<two>"] {
        assert_eq!(recv(&far).unwrap(), text);
    }
    assert_eq!(*seen.lock().unwrap(), ["one", "bad one", "", "two"]);
    assert_eq!(far.counters().refused, 1);
}

#[test]
fn payloads_that_a_program_changed_come_in_batches() {
    let (near, far) = pair();
    far.set_gro(true).unwrap();
    let (_, program) = program();
    far.attach(Filter::ingress(program)).unwrap();
    near.send_batch(&["one", "bad", "two"]).unwrap();
    let (mut batch, mut received) = (Batch::new(), Vec::new());
    while received.len() < 2 {
        far.recv_batch(&mut batch).unwrap();
        received.extend(batch.iter().map(<[u8]>::to_vec));
    }
    assert_eq!(received, [b"<one>", b"<two>"]);
}

#[test]
fn payloads_that_a_program_leaves_do_not_overtake_those_that_it_changes() {
    let (near, far) = pair();
    far.set_gro(true).unwrap();
    let changes_two = |message: &mut Message<'_>| {
        if message.len() == 3 && message.pull(..).is_ok_and(|text| text == b"two") {
            message.push(0, b"<").unwrap();
        }
        Verdict::Pass
    };
    far.attach(Filter::ingress(changes_two)).unwrap();
    near.send_batch(&["one", "two", "six", "ten"]).unwrap();
    let (mut batch, mut received) = (Batch::new(), Vec::new());
    while received.len() < 4 {
        far.recv_batch(&mut batch).unwrap();
        received.extend(batch.iter().map(<[u8]>::to_vec));
    }
    assert_eq!(received, [&b"one"[..], b"<two", b"six", b"ten"]);
}

#[test]
fn what_was_opened_before_a_program_came_is_judged_by_it() {
    let (socket, mut wire) = socket_and_wire();
    let records = ["one", "bad one", "two"].map(|text| wire.data(text));
    wire.send(&records.concat());
    assert_eq!(recv(&socket).unwrap(), "one");
    let (seen, program) = program();
    socket.attach(Filter::ingress(program)).unwrap();
    assert_eq!(recv(&socket).unwrap(), "<two>");
    assert_eq!(*seen.lock().unwrap(), ["bad one", "two"]);
    assert_eq!(socket.counters().refused, 1);
}

#[test]
fn a_program_that_panics_at_what_was_opened_before_it_came_ends_receiving() {
    let (socket, mut wire) = socket_and_wire();
    let records = ["one", "two", "six"].map(|text| wire.data(text));
    wire.send(&records.concat());
    assert_eq!(recv(&socket).unwrap(), "one");
    let panics = |_: &mut Message<'_>| panic!("the test has it panic");
    socket.attach(Filter::ingress(panics)).unwrap();
    for _ in 0..2 {
        assert!(matches!(
            recv(&socket),
            Err(Error::Denied(Denied::Panicked))
        ));
    }
    assert_eq!(socket.counters().dropped(Discard::Ended), 1);
}

#[test]
fn a_program_that_panics_ends_its_direction_alone() {
    let (near, far) = pair();
    let panics = |_: &mut Message<'_>| panic!("the test has it panic");
    far.attach(Filter::ingress(panics)).unwrap();
    near.send(b"one").unwrap();
    for _ in 0..2 {
        assert!(matches!(recv(&far), Err(Error::Denied(Denied::Panicked))));
    }
    assert!(matches!(
        far.detach(MessageDirection::Ingress),
        Err(Error::Denied(_))
    ));
    far.send(b"back").unwrap();
    assert_eq!(recv(&near).unwrap(), "back");
}

#[test]
fn programs_move_with_their_association() {
    let (near, far) = pair();
    let (_, out) = program();
    let (_, inward) = program();
    near.attach(Filter::egress(out)).unwrap();
    far.attach(Filter::ingress(inward)).unwrap();
    let (near, far) = (moved(near), moved(far));
    assert!(matches!(near.send(b"bad"), Err(Error::Denied(_))));
    near.send(b"one").unwrap();
    assert_eq!(recv(&far).unwrap(), "<<one>>");
    let panics = |_: &mut Message<'_>| panic!("the test has it panic");
    far.detach(MessageDirection::Ingress).unwrap();
    far.attach(Filter::ingress(panics)).unwrap();
    near.send(b"two").unwrap();
    assert!(recv(&far).is_err());
    let far = moved(far);
    assert!(matches!(recv(&far), Err(Error::Denied(Denied::Panicked))));
    assert!(far.detach(MessageDirection::Ingress).is_err());
}

#[test]
fn a_direction_has_one_program_at_a_time() {
    let (near, far) = pair();
    let (_, one) = program();
    let (_, another) = program();
    near.attach(Filter::egress(one)).unwrap();
    assert!(matches!(
        near.attach(Filter::egress(another)),
        Err(Error::ProgramAttached(MessageDirection::Egress))
    ));
    near.detach(MessageDirection::Egress).unwrap();
    near.detach(MessageDirection::Ingress).unwrap();
    near.send(b"bad, and nobody looks").unwrap();
    assert_eq!(recv(&far).unwrap(), "bad, and nobody looks");
}
