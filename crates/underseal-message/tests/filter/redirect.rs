use std::io::IoSlice;

use underseal_message::{Denied, Filter, Message, MessageDirection, Program, Verdict};

use crate::run::{To, carry_out, text, write};

/// `1…` goes to socket 1; what starts with `+` is marked on its way there.
fn to_one(message: &mut Message<'_>) -> Verdict {
    let text = text(message);
    let redirect = Verdict::Redirect {
        to: 1,
        direction: MessageDirection::Ingress,
    };
    if text.starts_with('+') {
        message.push(1, b"!").expect("1 is in the message");
        return redirect;
    }
    match text.starts_with('1') {
        true => redirect,
        false => Verdict::Pass,
    }
}

#[test]
fn a_message_goes_to_another_socket_and_counts_as_accepted() {
    let mut filter = Filter::egress(to_one);
    let outcome = write(&mut filter, "1abc");
    let to = To::Peer(1, MessageDirection::Ingress);
    assert_eq!(outcome.result, Ok(4));
    assert_eq!(outcome.chunks, [(to, b"1abc".to_vec())]);
    assert_eq!(write(&mut filter, "+x").chunks, [(to, b"+!x".to_vec())]);
    assert_eq!(write(&mut filter, "abc").own(), ["abc"]);
}

#[test]
fn a_redirect_covers_bytes_in_advance() {
    let mut filter = Filter::ingress(|message: &mut Message<'_>| {
        message.apply_bytes(4);
        Verdict::Redirect {
            to: text(message).len(),
            direction: MessageDirection::Egress,
        }
    });
    let to = |len| To::Peer(len, MessageDirection::Egress);
    assert_eq!(write(&mut filter, "ab").chunks, [(to(2), b"ab".to_vec())]);
    let outcome = write(&mut filter, "cdefghi");
    let expected = [(to(2), &b"cd"[..]), (to(5), b"efgh"), (to(1), b"i")];
    assert_eq!(
        outcome.chunks,
        expected.map(|(to, bytes)| (to, bytes.to_vec()))
    );
}

fn refuse_all<P: Program>(filter: &mut Filter<P>, bytes: &[u8]) -> Result<usize, Denied> {
    let slices = [IoSlice::new(bytes)];
    let mut offer = filter.offer(&slices);
    while offer.next().is_some() {
        offer.refuse();
    }
    offer.finish()
}

#[test]
fn a_redirect_to_nowhere_is_a_drop() {
    for bytes in [&b"1abc"[..], b"+abc"] {
        let mut filter = Filter::egress(to_one);
        let refused = refuse_all(&mut filter, bytes);
        // What was changed had been accepted; its writer learns of the refusal with the next call.
        match bytes[0] {
            b'+' => assert_eq!(refused, Ok(4)),
            _ => assert_eq!(refused, Err(Denied::Dropped)),
        }
        let next = write(&mut filter, "good");
        assert_eq!(next.result.is_err(), bytes[0] == b'+');
        assert_eq!(write(&mut filter, "good").own(), ["good"]);
    }
}

#[test]
fn a_redirect_of_received_bytes_to_nowhere_loses_them() {
    for bytes in [&b"1abc"[..], b"+abc"] {
        let mut filter = Filter::ingress(to_one);
        assert_eq!(refuse_all(&mut filter, bytes), Ok(4));
        assert_eq!(carry_out(filter.flush()).chunks, []);
        assert_eq!(write(&mut filter, "good").own(), ["good"]);
    }
}
