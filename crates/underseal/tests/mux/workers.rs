//! Who is woken.

use std::time::Duration;

use underseal::Mux;
use underseal::mux::Ordering;

use crate::bed::{body, client, framing, recv, send, settle};

/// A task with a worker, which takes one message.
fn taker(mux: &Mux) -> tokio::task::JoinHandle<Vec<u8>> {
    let mut worker = mux.worker();
    tokio::spawn(async move {
        let message = recv(&mut worker).await;
        let bytes = body(&message).to_vec();
        message.into_parts().1.finish();
        bytes
    })
}

#[tokio::test]
async fn one_idle_worker_is_woken_for_a_message_and_it_is_the_last() {
    let mux = Mux::new(framing());
    let (mut peer, _attached) = client(&mux, 4096);
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(taker(&mux));
        settle().await;
    }
    for left in (0..4).rev() {
        send(&mut peer, &[left]).await;
        settle().await;
        let done = workers.iter().map(tokio::task::JoinHandle::is_finished);
        let expected = (0..4).map(|worker| worker >= left);
        assert!(done.eq(expected), "{left} should be idle");
        assert_eq!(mux.statistics().woken, u64::from(4 - left));
    }
}

#[tokio::test]
async fn nobody_is_woken_while_all_are_busy() {
    let mux = Mux::new(framing());
    let mut worker = mux.worker();
    let (mut first, _attached) = client(&mux, 64);
    let (mut second, _attached) = client(&mux, 64);
    send(&mut first, b"1").await;
    let message = recv(&mut worker).await;
    let woken = mux.statistics().woken;
    send(&mut second, b"2").await;
    settle().await;
    let statistics = mux.statistics();
    assert_eq!((statistics.woken, statistics.waiting), (woken, 1));
    message.into_parts().1.finish();
    assert_eq!(body(&recv(&mut worker).await), b"2");
    assert_eq!(mux.statistics().woken, woken);
}

#[tokio::test]
async fn who_was_woken_and_leaves_passes_it_on() {
    let mux = Mux::new(framing());
    let (mut peer, _attached) = client(&mux, 64);
    let other = taker(&mux);
    settle().await;
    let mut worker = mux.worker();
    {
        let mut cancelled = Box::pin(worker.recv());
        let idle = tokio::time::timeout(Duration::from_millis(1), &mut cancelled).await;
        assert!(idle.is_err());
        // The last one that went idle is woken, and never polled again.
        send(&mut peer, b"x").await;
        settle().await;
        assert!(!other.is_finished());
    }
    settle().await;
    assert!(other.is_finished());
    assert_eq!(other.await.unwrap(), b"x");
}

#[tokio::test]
async fn a_cancelled_wait_has_taken_nothing() {
    let mux = Mux::new(framing());
    let (mut peer, _attached) = client(&mux, 64);
    let mut worker = mux.worker();
    for number in 0..10 {
        let short = tokio::time::timeout(Duration::from_millis(1), worker.recv());
        assert!(short.await.is_err());
        send(&mut peer, &[number]).await;
        let message = recv(&mut worker).await;
        assert_eq!(body(&message), [number]);
        message.into_parts().1.finish();
    }
}

#[tokio::test]
async fn a_slow_worker_delays_nobody_else() {
    let mux = Mux::builder(framing()).ordering(Ordering::None).build();
    let (mut peer, _attached) = client(&mux, 4096);
    let mut slow = mux.worker();
    send(&mut peer, b"slow").await;
    let in_hand = recv(&mut slow).await;
    let mut quick = mux.worker();
    for number in 0..100 {
        send(&mut peer, &[number]).await;
        let message = recv(&mut quick).await;
        assert_eq!(body(&message), [number]);
        message.into_parts().1.finish();
    }
    assert_eq!(body(&in_hand), b"slow");
}

#[tokio::test]
async fn a_worker_lets_its_task_rest_under_a_flood() {
    let mux = Mux::new(framing());
    let (mut peer, _attached) = client(&mux, 64 * 1024);
    // One read brings all of them.
    let flood: Vec<u8> = (0..10_000).flat_map(|_| crate::bed::frame(b"")).collect();
    tokio::io::AsyncWriteExt::write_all(&mut peer, &flood)
        .await
        .unwrap();
    let mut worker = mux.worker();
    let mut taken = 0;
    let flooded = async {
        while let Some(message) = worker.recv().await {
            message.into_parts().1.finish();
            taken += 1;
        }
    };
    // The worker comes first whenever the task is polled; the other one gets its turn before the
    // flood is over all the same.
    tokio::select! {
        biased;
        () = flooded => unreachable!("the connection is open"),
        () = tokio::task::yield_now() => {}
    }
    assert!((1..5_000).contains(&taken), "{taken} messages at a stretch");
}
