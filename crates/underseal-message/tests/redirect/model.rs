//! An inbox against a plain queue.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_message::{Inbox, MessageDirection, Notify, RedirectError};

use crate::inbox::{Bell, bell};

#[derive(Clone, Debug)]
enum Step {
    /// This sender sends so many bytes.
    Send(usize, usize),
    /// The owner consumes so much of its chunk, in percent.
    Consume(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3usize, 0..6000usize).prop_map(|(sender, len)| Step::Send(sender, len)),
        (0..3usize, 1..30usize).prop_map(|(sender, len)| Step::Send(sender, len)),
        (0..101usize).prop_map(Step::Consume),
    ]
}

/// A sender, and how often it should have been notified.
struct Sender {
    bell: Arc<Bell>,
    notify: Arc<dyn Notify>,
    is_waiting: bool,
    expected: usize,
}

fn sender() -> Sender {
    let (bell, notify) = bell();
    Sender {
        bell,
        notify,
        is_waiting: false,
        expected: 0,
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nobody_waits_for_ever(
        limit in prop_oneof![1..100usize, 1000..10_000usize],
        steps in vec(step(), 0..60),
    ) {
        let direction = MessageDirection::Ingress;
        let mut inbox = Inbox::new(limit, bell().1);
        let peer = inbox.peer();
        let mut senders = [sender(), sender(), sender()];
        let mut queue = VecDeque::new();
        let mut next = 0u8;
        for step in steps {
            match step {
                Step::Send(index, len) => {
                    let bytes: Vec<u8> = (0..len).map(|at| next.wrapping_add(at as u8)).collect();
                    let sender = &mut senders[index];
                    let sent = peer.send(direction, bytes[..].into(), &sender.notify);
                    let fits = queue.len() + len <= limit;
                    match sent {
                        Ok(accepted) => {
                            prop_assert_eq!(accepted, len.min(limit));
                            prop_assert!(fits || queue.is_empty());
                            queue.extend(&bytes[..accepted]);
                            next = next.wrapping_add(accepted as u8);
                        }
                        Err(error) => {
                            prop_assert_eq!(error, RedirectError::Full);
                            prop_assert!(!fits && !queue.is_empty());
                            sender.is_waiting = true;
                        }
                    }
                }
                Step::Consume(percent) => {
                    let chunk = inbox.chunk(direction).to_vec();
                    prop_assert_eq!(chunk.is_empty(), queue.is_empty());
                    let len = chunk.len() * percent / 100;
                    let expected: Vec<u8> = queue.iter().take(chunk.len()).copied().collect();
                    prop_assert_eq!(chunk, expected);
                    queue.drain(..len);
                    inbox.consume(direction, len);
                    for sender in &mut senders {
                        if queue.len() <= limit / 2 && std::mem::take(&mut sender.is_waiting) {
                            sender.expected += 1;
                        }
                    }
                }
            }
            prop_assert!(queue.len() <= limit);
            prop_assert_eq!(peer.waiting(direction), queue.len());
            for sender in &senders {
                prop_assert_eq!(sender.bell.rings(), sender.expected);
            }
        }
    }
}
