//! Random messages, splits, workers and drops: every message is delivered once, whole, in order if
//! that is asked for, and replies never interleave.

use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use underseal::Mux;
use underseal::mux::{Ordering, Worker};

use crate::bed::{body, frame, framing, within};

/// One message of the model: bytes behind its head, its replies, and whether the worker drops it.
#[derive(Clone, Debug)]
struct Plan {
    filler: usize,
    replies: u8,
    is_dropped: bool,
}

#[derive(Clone, Debug)]
struct Case {
    /// By connection.
    plans: Vec<Vec<Plan>>,
    /// Bytes of the writes, over and over.
    splits: Vec<usize>,
    workers: usize,
    is_ordered: bool,
    in_flight: usize,
    reply_limit: usize,
    /// Bytes that a pipe holds.
    capacity: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let plan = (0_usize..300, 0_u8..4, prop::bool::weighted(0.02));
    let plan = plan.prop_map(|(filler, replies, is_dropped)| Plan {
        filler,
        replies,
        is_dropped,
    });
    let limits = (
        1_usize..5,
        any::<bool>(),
        1_usize..4,
        1_usize..600,
        1_usize..500,
    );
    (vec(vec(plan, 0..20), 1..5), vec(1_usize..400, 1..8), limits).prop_map(
        |(plans, splits, (workers, is_ordered, in_flight, reply_limit, capacity))| Case {
            plans,
            splits,
            workers,
            is_ordered,
            in_flight,
            reply_limit,
            capacity,
        },
    )
}

/// Which message of which connection, in front of every body.
fn head(connection: usize, message: usize) -> [u8; 2] {
    [connection as u8, message as u8]
}

fn request(case: &Case, connection: usize, message: usize) -> Vec<u8> {
    let plan = &case.plans[connection][message];
    let mut body = head(connection, message).to_vec();
    body.resize(2 + plan.filler, message as u8);
    frame(&body)
}

/// A reply is as long as its request, and says which one it is.
fn replies(case: &Case, connection: usize, message: usize) -> impl Iterator<Item = Vec<u8>> {
    let plan = case.plans[connection][message].clone();
    (0..plan.replies).map(move |number| {
        let mut body = head(connection, message).to_vec();
        body.push(number);
        body.resize(3 + plan.filler, message as u8);
        body
    })
}

type Log = Arc<Mutex<Vec<(usize, usize)>>>;

async fn work(case: Arc<Case>, mut worker: Worker, log: Log) {
    while let Some(message) = worker.recv().await {
        let (connection, number) = (body(&message)[0].into(), body(&message)[1].into());
        assert_eq!(
            message.bytes(),
            request(&case, connection, number),
            "not whole"
        );
        log.lock().unwrap().push((connection, number));
        if case.plans[connection][number].is_dropped {
            continue;
        }
        tokio::task::yield_now().await;
        let (_, mut replier) = message.into_parts();
        for reply in replies(&case, connection, number) {
            // A connection that another message ended takes none.
            if replier.send(&frame(&reply)).await.is_err() {
                break;
            }
        }
        replier.finish();
    }
}

/// Sends the messages of one connection, and returns every byte that came back.
async fn converse(case: Arc<Case>, connection: usize, peer: tokio::io::DuplexStream) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(peer);
    let all = (0..case.plans[connection].len()).flat_map(|n| request(&case, connection, n));
    let all: Vec<u8> = all.collect();
    let send = async {
        let mut rest = &all[..];
        for split in case.splits.iter().cycle() {
            let (now, later) = rest.split_at((*split).min(rest.len()));
            // The connection may have ended.
            if write.write_all(now).await.is_err() || later.is_empty() {
                break;
            }
            rest = later;
        }
        let _ = write.shutdown().await;
    };
    let receive = async {
        let mut received = Vec::new();
        let _ = read.read_to_end(&mut received).await;
        received
    };
    tokio::join!(send, receive).1
}

/// The bodies of whole frames, and how many bytes are left.
fn bodies(mut stream: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let mut bodies = Vec::new();
    while let [first, second, rest @ ..] = stream {
        let len = usize::from(u16::from_be_bytes([*first, *second]));
        if rest.len() < len {
            break;
        }
        bodies.push(rest[..len].to_vec());
        stream = &rest[len..];
    }
    (bodies, stream.len())
}

async fn run(case: Case) {
    let case = Arc::new(case);
    let ordering = match case.is_ordered {
        true => Ordering::PerConnection,
        false => Ordering::None,
    };
    let mux = Mux::builder(framing())
        .ordering(ordering)
        .in_flight(case.in_flight)
        .reply_limit(case.reply_limit)
        .check_replies(framing())
        .build();
    let log = Log::default();
    let workers = (0..case.workers).map(|_| {
        let worker = mux.worker();
        tokio::spawn(work(Arc::clone(&case), worker, Arc::clone(&log)))
    });
    let workers: Vec<_> = workers.collect();
    let peers = (0..case.plans.len()).map(|connection| {
        let (near, far) = duplex(case.capacity);
        mux.attach(far).expect("attach");
        tokio::spawn(converse(Arc::clone(&case), connection, near))
    });
    let peers: Vec<_> = peers.collect();
    drop(mux);
    for (connection, peer) in peers.into_iter().enumerate() {
        let received = within(peer).await.unwrap();
        let delivered = log.lock().unwrap();
        let delivered = delivered.iter().filter(|(other, _)| *other == connection);
        let delivered = delivered.map(|(_, number)| *number).collect();
        check(&case, connection, delivered, &received);
    }
    for worker in workers {
        within(worker).await.unwrap();
    }
}

fn check(case: &Case, connection: usize, mut delivered: Vec<usize>, received: &[u8]) {
    let (mut seen, left) = bodies(received);
    let plans = &case.plans[connection];
    let first_dropped = plans.iter().position(|plan| plan.is_dropped);
    if case.is_ordered {
        assert!(delivered.is_sorted(), "out of order: {delivered:?}");
    }
    delivered.sort_unstable();
    let len = delivered.len();
    delivered.dedup();
    assert_eq!(delivered.len(), len, "delivered twice");
    let until = first_dropped.unwrap_or(plans.len());
    let mut expected: Vec<_> = (0..until)
        .flat_map(|message| replies(case, connection, message))
        .collect();
    if first_dropped.is_some() {
        // Whatever arrived is a part of what was replied; under an order its beginning.
        if case.is_ordered {
            assert!(
                expected.starts_with(&seen),
                "replies of a connection that ended"
            );
        }
        return;
    }
    assert_eq!((delivered.len(), left), (plans.len(), 0), "lost, or cut");
    if !case.is_ordered {
        seen.sort_unstable();
        expected.sort_unstable();
    }
    assert!(
        seen == expected,
        "replies are lost, changed or out of order"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_message_is_delivered_once_whole_and_in_order(case in cases()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(case));
    }
}
