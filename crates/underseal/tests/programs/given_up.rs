//! Futures that are dropped while they wait for the target of a redirect: of all those of one stream
//! the place for the next is kept, and of those that are gone with their stream nothing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underseal::message::{Filter, Message, MessageDirection, Peer, Verdict};
use underseal_testkit::{GivenUp, give_up};

use crate::pairs::{pair, soon};

/// What the target of every test takes.
const ROOM: usize = 10;

fn to(peer: &Peer) -> impl FnMut(&mut Message<'_>) -> Verdict<Peer> + Send + 'static {
    let peer = peer.clone();
    move |_| Verdict::Redirect {
        to: peer.clone(),
        direction: MessageDirection::Ingress,
    }
}

fn kept(tasks: &[GivenUp]) -> usize {
    tasks.iter().filter(|task| task.is_kept()).count()
}

#[tokio::test(start_paused = true)]
async fn of_writes_that_were_given_up_the_last_is_kept_until_there_is_room() {
    let (mut target, _target_peer) = pair(10_000).await;
    let peer = target.redirect_peer(ROOM);
    let (mut from, _from_peer) = pair(10_000).await;
    from.attach(Filter::egress(to(&peer))).unwrap();
    from.write_all(&[1; ROOM]).await.unwrap();
    let tasks: Vec<_> = (0..1000).map(|_| give_up(from.write(b"more"))).collect();
    assert!(kept(&tasks) <= 1, "{}", kept(&tasks));
    soon(target.read_exact(&mut [0; ROOM])).await.unwrap();
    assert_eq!(kept(&tasks), 0);
}

#[tokio::test(start_paused = true)]
async fn of_reads_that_were_given_up_the_last_is_kept_until_there_is_room() {
    let (mut target, _target_peer) = pair(10_000).await;
    let peer = target.redirect_peer(ROOM);
    let (mut from, mut from_peer) = pair(10_000).await;
    from.attach(Filter::ingress(to(&peer))).unwrap();
    for _ in 0..2 {
        from_peer.write_all(&[1; ROOM]).await.unwrap();
    }
    let mut byte = [0];
    let tasks: Vec<_> = (0..1000).map(|_| give_up(from.read(&mut byte))).collect();
    assert_eq!(peer.waiting(MessageDirection::Ingress), ROOM, "it is full");
    assert!(kept(&tasks) <= 2, "{}", kept(&tasks));
    soon(target.read_exact(&mut [0; ROOM])).await.unwrap();
    drop(from);
    assert_eq!(kept(&tasks), 0);
}

/// The target has not changed meanwhile.
#[tokio::test(start_paused = true)]
async fn of_streams_that_are_gone_nothing_is_kept_and_the_others_are_woken() {
    let (mut target, _target_peer) = pair(10_000).await;
    let peer = target.redirect_peer(ROOM);
    let (mut stays, _stays_peer) = pair(10_000).await;
    stays.attach(Filter::egress(to(&peer))).unwrap();
    stays.write_all(&[1; ROOM]).await.unwrap();
    let writer = tokio::spawn(async move { stays.write_all(&[2; ROOM]).await });
    tokio::task::yield_now().await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let (mut goes, _goes_peer) = pair(10_000).await;
        goes.attach(Filter::egress(to(&peer))).unwrap();
        tasks.push(give_up(goes.write(b"more")));
    }
    assert_eq!(kept(&tasks), 0);
    let mut got = [0; 2 * ROOM];
    soon(target.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, [[1; ROOM], [2; ROOM]].concat()[..]);
    soon(writer).await.unwrap().unwrap();
}
