//! Key updates of DTLS 1.3 over a path that loses, repeats and reorders.

use crate::dtls::{EpochSecret, Handled, KeyUpdates, Opener, ReplayWindow, Sealer};
use crate::{Algorithm, ContentType};

/// Most records that are on their way to a side.
const MAX_ON_THE_WAY: usize = 64;

struct Side {
    sealer: Sealer,
    opener: Opener,
    updates: KeyUpdates,
    /// Records on their way to it.
    inbox: Vec<Vec<u8>>,
}

/// Two sides send data and key updates as the bytes say, one step for each: who acts, and what becomes of
/// which record. Neither is ever ahead of what the other can open, and once nothing is lost any more
/// every update is acknowledged.
pub fn dtls_key_updates(data: &[u8]) {
    let mut sides = [Side::new(), Side::new()];
    for step in data {
        let (who, which) = (usize::from(step & 1), usize::from(step >> 4));
        match (step >> 1) % 8 {
            0 => send_data(&mut sides, who),
            1 => sides[who].send_late_data(),
            2 => send_update(&mut sides, who, which & 1 == 1),
            3 | 4 => deliver(&mut sides, who, which, false),
            5 => deliver(&mut sides, who, which, true),
            6 => drop(sides[who].take(which)),
            _ => drop(sides[who].opener.forget_previous()),
        }
        are_in_step(&sides);
    }
    settle(&mut sides);
}

impl Side {
    fn new() -> Self {
        let secret =
            || EpochSecret::new(Algorithm::Aes128Gcm, &[5; 32], 3).expect("the hash has 32 bytes");
        Self {
            sealer: Sealer::new(secret().keys()),
            opener: Opener::new(secret().keys(), ReplayWindow::default()),
            updates: KeyUpdates::new(secret(), secret(), 7, 7),
            inbox: Vec::new(),
        }
    }

    fn seal(&mut self, content_type: ContentType, body: &[u8]) -> Vec<u8> {
        let mut record = vec![0; body.len() + self.sealer.overhead()];
        let sealed = self.sealer.seal(content_type, body, &mut record);
        assert_eq!(sealed, Ok(record.len()));
        record
    }

    /// Data that nobody sees: its number is missing at the other side.
    fn send_late_data(&mut self) {
        self.seal(ContentType::APPLICATION_DATA, b"late");
    }

    fn take(&mut self, which: usize) -> Option<Vec<u8>> {
        let len = self.inbox.len();
        (len > 0).then(|| self.inbox.swap_remove(which % len))
    }
}

fn send(sides: &mut [Side; 2], from: usize, content_type: ContentType, body: &[u8]) {
    let record = sides[from].seal(content_type, body);
    let inbox = &mut sides[1 - from].inbox;
    if inbox.len() < MAX_ON_THE_WAY {
        inbox.push(record);
    }
}

/// Sends data that arrives at once, and so has to open.
fn send_data(sides: &mut [Side; 2], from: usize) {
    let mut record = sides[from].seal(ContentType::APPLICATION_DATA, b"data");
    let taken = sides[1 - from].opener.open(&mut record);
    assert!(taken.opened.is_ok(), "{:?}", taken.opened);
}

fn send_update(sides: &mut [Side; 2], from: usize, request: bool) {
    let side = &mut sides[from];
    let message = side.updates.message(request).expect("epochs are left");
    side.updates.carried(side.sealer.next_number());
    send(sides, from, ContentType::HANDSHAKE, &message);
}

/// Gives `to` a record of its inbox, which `stays` there or does not.
fn deliver(sides: &mut [Side; 2], to: usize, which: usize, stays: bool) {
    let side = &mut sides[to];
    let Some(mut record) = side.take(which) else {
        return;
    };
    if stays {
        side.inbox.push(record.clone());
    }
    let Ok(opened) = side.opener.open(&mut record).opened else {
        return;
    };
    let body = &record[opened.plaintext];
    if opened.content_type == ContentType::ACK {
        let taken = side.updates.acknowledged(body, &mut side.sealer);
        taken.expect("the sealer is in the epoch of its secret");
        return;
    }
    let handled = side
        .updates
        .received(body, opened.number, &mut side.opener)
        .expect("its sender keeps the rules");
    if let Handled::Updated { ack, .. } | Handled::Repeated { ack } = handled {
        send(sides, to, ContentType::ACK, &ack);
    }
}

fn are_in_step(sides: &[Side; 2]) {
    for (near, far) in [(0, 1), (1, 0)] {
        let (sends, opens) = (
            sides[near].sealer.next_number().epoch,
            sides[far].opener.epoch(),
        );
        assert!(
            opens == sends || opens == sends + 1,
            "{sends} is sent, {opens} is opened"
        );
    }
}

/// Nothing is lost any more.
fn settle(sides: &mut [Side; 2]) {
    for _ in 0..3 {
        for who in 0..2 {
            while !sides[who].inbox.is_empty() {
                deliver(sides, who, 0, false);
            }
            if sides[who].updates.is_pending() {
                send_update(sides, who, false);
            }
        }
    }
    for side in sides {
        assert!(
            !side.updates.is_pending(),
            "an update was never acknowledged"
        );
    }
}
