//! What a decision costs: `cargo run --release -p underseal-policy --example cost`.
//!
//! Each row is the best of some runs, since whatever disturbs one makes it slower.

#[path = "../tests/support/thousand.rs"]
mod thousand;

use std::hint::black_box;
use std::time::Instant;

use underseal_policy::model::Direction;
use underseal_policy::{
    Connection, Labels, Matcher, Peer, PolicyFile, ReadOptions, Scratch, Verdict, http1, load,
};

const ROUNDS: u32 = 20_000;
const RUNS: u32 = 15;

fn main() {
    let text = thousand::policy();
    let file = PolicyFile {
        name: "thousand.yaml",
        text: &text,
    };
    let policies = load(&[file], &[]).expect("the policy loads");
    let matcher = Matcher::new(&policies, &Labels::new(), Direction::Ingress).expect("valid");
    let head = thousand::head();
    let options = ReadOptions::default();
    let mut scratch = Scratch::default();
    let mut connection = Connection {
        port: 8443,
        ..Connection::default()
    };
    let mut row = |name: &str, connection: &Connection<'_>, expected: Verdict| {
        let nanoseconds = best(|| {
            let read = http1::read(black_box(&head), &options, &mut scratch);
            let request = read.expect("unambiguous").expect("whole").request();
            let decision = matcher.decide(black_box(connection), Some(&request));
            assert_eq!(decision.verdict, expected);
        });
        println!("{name:<46} {nanoseconds:>7.0} ns");
    };
    row(
        "read and match, 1000 rules, denied by default",
        &connection,
        Verdict::Deny,
    );
    connection.source = Peer {
        principal: Some(thousand::PRINCIPAL),
        ip: None,
    };
    row(
        "read and match, 1000 rules, allowed by rule 997",
        &connection,
        Verdict::Allow,
    );

    let mut scratch = Scratch::default();
    let nanoseconds = best(|| {
        let read = http1::read(black_box(&head), &options, &mut scratch);
        assert!(read.expect("unambiguous").is_some());
    });
    println!("{:<46} {nanoseconds:>7.0} ns", "read alone, 600 bytes");
    let read = http1::read(&head, &options, &mut scratch);
    let request = read.expect("unambiguous").expect("whole").request();
    let stranger = Connection::default();
    let nanoseconds = best(|| {
        let nearest = matcher.nearest(black_box(&stranger), Some(&request));
        assert!(nearest.is_some());
    });
    println!(
        "{:<46} {nanoseconds:>7.0} ns",
        "the nearest of 1000 rules, for the log"
    );
}

/// Nanoseconds that one call takes.
fn best(mut call: impl FnMut()) -> f64 {
    let runs = (0..RUNS).map(|_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| call());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
    });
    runs.fold(f64::INFINITY, f64::min)
}
