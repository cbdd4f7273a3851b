//! Futures that are dropped while they wait: nothing of them is kept.

use underseal::Mux;
use underseal_testkit::{GivenUp, give_up};

use crate::bed::{client, frame, framing, recv, send};

fn kept(tasks: &[GivenUp]) -> usize {
    tasks.iter().filter(|task| task.is_kept()).count()
}

#[tokio::test]
async fn of_waits_for_an_end_that_were_given_up_nothing_is_kept() {
    let mux = Mux::new(framing());
    let (_peer, attached) = client(&mux, 64);
    let tasks: Vec<_> = (0..10_000).map(|_| give_up(attached.closed())).collect();
    assert_eq!(kept(&tasks), 0);
}

#[tokio::test]
async fn of_replies_detaches_and_shutdowns_that_were_given_up_nothing_is_kept() {
    let mux = Mux::builder(framing()).reply_limit(1).build();
    let mut worker = mux.worker();
    let (mut peer, attached) = client(&mux, 16);
    send(&mut peer, b"1").await;
    let (_, mut reply) = recv(&mut worker).await.into_parts();
    let long = frame(&[7; 100]);
    reply.send(&long).await.unwrap();
    let mut tasks: Vec<_> = (0..1000).map(|_| give_up(reply.send(&long))).collect();
    assert_eq!(kept(&tasks), 0, "of replies");
    tasks.extend((0..1000).map(|_| give_up(mux.shutdown())));
    assert_eq!(kept(&tasks), 0, "of shutdowns");
    tasks.push(give_up(attached.detach()));
    assert_eq!(kept(&tasks), 0, "of a detach");
    drop(reply);
}
