//! Reading a head, normalising its path and matching it against a thousand rules allocates nothing.
//! A test binary of its own: the allocator counts for the whole process.

#[path = "support/thousand.rs"]
mod thousand;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use underseal_http::{ReadOptions, Scratch, http1};
use underseal_policy::model::TrafficDirection;
use underseal_policy::{Connection, Fact, Labels, Matcher, Peer, PolicyFile, Reason, load};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn deciding_allocates_nothing() {
    let text = thousand::policy(1000);
    let file = PolicyFile {
        name: "thousand.yaml",
        text: &text,
    };
    let policies = load(&[file], &[]).expect("loads");
    let matcher =
        Matcher::new(&policies, &Labels::new(), TrafficDirection::Ingress).expect("compiles");
    let head = thousand::head();
    assert_eq!(head.len(), 600);
    let mut scratch = Scratch::default();
    let source = Peer {
        principal: Fact::Is(thousand::PRINCIPAL),
        ..Peer::default()
    };
    let connection = Connection {
        source,
        port: 8443,
        ..Connection::default()
    };

    let region = Region::new(ALLOCATOR);
    let read = http1::read(&head, &ReadOptions::default(), &mut scratch);
    let request = read.expect("unambiguous").expect("whole").request();
    let decision = matcher.decide(&connection, Some(&request));
    let denied = matcher.decide(&Connection::default(), Some(&request));
    let nearest = matcher.nearest(&Connection::default(), Some(&request));
    let change = region.change();

    assert_eq!(
        (
            change.allocations,
            change.reallocations,
            change.deallocations
        ),
        (0, 0, 0)
    );
    let Reason::Rule(rule) = decision.reason else {
        panic!("{decision:?}");
    };
    assert_eq!((rule.rule, rule.attribute), (997, Some("operation.paths")));
    assert_eq!(denied.reason, Reason::Default);
    assert_eq!(
        nearest.expect("a rule").attribute,
        Some("source.principals")
    );
}
