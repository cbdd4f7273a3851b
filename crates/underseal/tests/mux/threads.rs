//! Workers on plain threads.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use tokio::runtime::Builder;
use underseal::Mux;
use underseal::mux::Worker;
use underseal_testkit::PATIENCE;

use crate::bed::{client, frame, framing, reply, send, within};

fn echo_blocking(mut worker: Worker) {
    while let Some(message) = worker.recv_blocking() {
        let bytes = message.bytes().to_vec();
        let _ = message.reply_blocking(&bytes);
    }
}

#[tokio::test]
async fn threads_without_a_runtime_take_messages() {
    let mux = Mux::new(framing());
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let worker = mux.worker();
            thread::spawn(|| echo_blocking(worker))
        })
        .collect();
    let mut peers: Vec<_> = (0..10).map(|_| client(&mux, 64)).collect();
    for round in 0..20 {
        for (peer, _) in &mut peers {
            send(peer, &[round; 20]).await;
        }
        for (peer, _) in &mut peers {
            assert_eq!(reply(peer).await, [round; 20]);
        }
    }
    within(mux.shutdown()).await;
    for thread in threads {
        let joined = tokio::task::spawn_blocking(|| thread.join());
        within(joined).await.unwrap().unwrap();
    }
}

/// A TCP connection of `mux`, whose runtime nobody but its workers drives.
fn connect(mux: &Mux, runtime: &tokio::runtime::Runtime) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_read_timeout(Some(PATIENCE)).unwrap();
    let (far, _) = listener.accept().unwrap();
    far.set_nonblocking(true).unwrap();
    let _context = runtime.enter();
    let far = tokio::net::TcpStream::from_std(far).unwrap();
    mux.attach(far).expect("attach");
    near
}

#[test]
fn idle_threads_drive_the_runtime() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let runtime = Arc::new(runtime);
    let mux = Mux::new(framing());
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let worker = mux.driving_worker(&runtime);
            thread::spawn(|| echo_blocking(worker))
        })
        .collect();
    let mut peers: Vec<_> = (0..10).map(|_| connect(&mux, &runtime)).collect();
    for round in 0..50 {
        let request = frame(&[round; 100]);
        for peer in &mut peers {
            peer.write_all(&request).unwrap();
        }
        for peer in &mut peers {
            let mut reply = vec![0; request.len()];
            peer.read_exact(&mut reply).unwrap();
            assert_eq!(reply, request);
        }
    }
    // The runtime's tasks run, too.
    let spawned = runtime.spawn(async { 42 });
    let (sender, receiver) = std::sync::mpsc::channel();
    runtime.spawn(async move { sender.send(spawned.await.unwrap()) });
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), 42);
    drop((peers, mux));
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_thread_that_waits_for_room_goes_on_driving() {
    let runtime = Arc::new(Builder::new_current_thread().enable_all().build().unwrap());
    let mux = Mux::builder(framing()).reply_limit(1000).build();
    let mut worker = mux.driving_worker(&runtime);
    let mut peer = connect(&mux, &runtime);
    // More than the sockets hold.
    let replies = 2000;
    let serving = thread::spawn(move || {
        let (_, mut replier) = worker.recv_blocking().unwrap().into_parts();
        let long = frame(&[7; 20_000]);
        for _ in 0..replies {
            replier.send_blocking(&long).unwrap();
        }
        replier.finish();
        assert!(worker.recv_blocking().is_none());
    });
    drop(mux);
    peer.write_all(&frame(b"?")).unwrap();
    let mut reply = vec![0; 20_002];
    for _ in 0..replies {
        peer.read_exact(&mut reply).unwrap();
    }
    drop(peer);
    serving.join().unwrap();
}

#[test]
fn a_thread_with_enough_to_do_still_looks_for_others() {
    let runtime = Arc::new(Builder::new_current_thread().enable_all().build().unwrap());
    let mux = Mux::new(framing());
    let mut worker = mux.driving_worker(&runtime);
    let mut greedy = connect(&mux, &runtime);
    let mut modest = connect(&mux, &runtime);
    let flood: Vec<u8> = (0..2000).flat_map(|_| frame(b"")).collect();
    greedy.write_all(&flood).unwrap();
    worker.recv_blocking().unwrap().into_parts().1.finish();
    modest.write_all(&frame(b"me")).unwrap();
    let mut before = 0;
    loop {
        let message = worker.recv_blocking().unwrap();
        let is_mine = message.bytes() == frame(b"me");
        message.into_parts().1.finish();
        if is_mine {
            break;
        }
        before += 1;
    }
    assert!(before < 1000, "{before} messages of the other came first");
}
