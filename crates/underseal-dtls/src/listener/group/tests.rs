use super::*;

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn pair() -> [(Member, Inbox); 2] {
    let members = members(2, Box::new(|_, _| 1)).try_into();
    members.unwrap_or_else(|_| unreachable!("there are two"))
}

/// Hands datagrams on until there is no room for another one; the bytes of those that there was room for.
fn fill(member: &Member, steering: Steering, datagram: &[u8]) -> usize {
    let forward = || member.forward(1, steering, address(9).into(), datagram);
    (0..).take_while(|_| forward()).count() * datagram.len()
}

fn id(bytes: &[u8; 8]) -> ConnectionId {
    ConnectionId::new(bytes).expect("it is short enough")
}

fn by_id(bytes: &[u8; 8]) -> Steering {
    Steering::Id(id(bytes))
}

fn routed(port: u16) -> Steering {
    Steering::Route(address(port))
}

/// Whoever has seen a connection ID sends datagrams with it in any number.
#[test]
fn what_an_id_alone_steers_takes_no_room_from_clients_that_were_routed() {
    let [(near, _inbox), (_far, mut inbox)] = pair();
    let long = [25; 1 << 16];
    assert!(fill(&near, by_id(b"of ours!"), &long) <= BY_ID);
    assert!(near.forward(1, routed(1), address(1).into(), &[22; 1200]));
    assert!(fill(&near, routed(1), &long) <= ROUTED);
    // What was taken has given its room back.
    while inbox.try_recv().is_ok() {}
    assert!(fill(&near, by_id(b"of ours!"), &long) > 0);
    assert!(near.forward(1, routed(1), address(1).into(), &[22; 1200]));
}

#[test]
fn a_flood_for_one_peer_takes_no_room_from_the_others() {
    let [(near, _inbox), (_far, _its_inbox)] = pair();
    for (flooded, others) in [
        (by_id(b"of ours!"), by_id(b"another!")),
        (routed(1), routed(2)),
    ] {
        assert!(fill(&near, flooded, &[25; 1200]) > 0);
        for _ in 0..10 {
            assert!(near.forward(1, others, address(9).into(), &[25; 1200]));
        }
    }
}

#[test]
fn short_datagrams_are_no_way_to_more_memory() {
    let [(near, _inbox), (_far, _its_inbox)] = pair();
    let bytes = fill(&near, routed(1), &[22; 14]);
    assert!(bytes < ROUTED / 8, "{bytes}");
}

#[test]
fn what_a_worker_had_is_nobodys_when_it_is_gone() {
    let [(near, _inbox), (far, its_inbox)] = pair();
    let (id, other) = (id(b"of ours!"), id(b"of mine!"));
    assert!(far.take_id(id) && near.take_id(other));
    far.claim(address(1));
    near.claim(address(2));
    assert!(!near.take_id(id));
    drop(far);
    assert_eq!(near.elsewhere(address(1)), None);
    assert!(near.has(address(2)));
    assert_eq!(near.elsewhere_by_id(&id), None);
    assert!(near.take_id(id) && near.take_id(other));
    // A datagram may have been on its way there.
    drop(its_inbox);
    near.group.routes_mut().insert(address(1), 1);
    assert!(!near.forward(1, routed(1), address(1).into(), &[22; 14]));
    assert_eq!(near.elsewhere(address(1)), None);
}

#[test]
fn a_route_is_removed_by_whose_it_is_alone() {
    let [(near, _inbox), (far, _its_inbox)] = pair();
    far.claim(address(1));
    near.forget(address(1));
    near.give_up(address(1), 0);
    assert!(far.has(address(1)));
    far.forget(address(1));
    assert!(!far.has(address(1)));
    assert!(far.take_id(id(b"of ours!")));
    near.forget_id(&id(b"of ours!"));
    assert_eq!(near.elsewhere_by_id(&id(b"of ours!")), Some(1));
}
