//! Keys in a process that came by fork while other threads were in calls on the connection.

use super::*;

#[test]
fn a_process_that_came_by_fork_has_no_key_though_threads_of_its_parents_were_in_the_midst_of_calls()
{
    for way in ["open", "closed", "unseen"] {
        let (listener, port) = listener();
        let mut command = program();
        command.args([&port, "forked-under-calls", way]);
        command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
        let peer = Peer::spawn(&mut command);
        let _stream = listener.accept().expect("a connection");
        let said = peer.finish().successful().text();
        assert_eq!(said.trim(), "0 copies", "{way}");
    }
}

#[test]
fn a_signal_handler_that_forks_in_a_call_leaves_the_child_no_key_of_another_connection() {
    let (listener, port) = listener();
    let mut command = program();
    command.args([&port, "forked-by-a-handler", ""]);
    command.env("UNDERSEAL_PRELOAD_RECEIVE", "1");
    let peer = Peer::spawn(&mut command);
    let _streams = [(); 2].map(|()| listener.accept().expect("a connection"));
    let said = peer.finish().successful().text();
    assert_eq!(said.trim(), "0 copies");
}

#[test]
fn a_process_that_came_by_fork_looks_at_no_connection_that_was_closed() {
    let (listener, port) = listener();
    let mut command = program();
    command.args([&port, "forked-behind-connections", ""]);
    let peer = Peer::spawn(&mut command);
    // Before the connections are accepted, of which the last may not come.
    peer.finish().successful();
    let mut wire = Vec::new();
    for _ in 0..21 {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.read_to_end(&mut wire).expect("the end");
    }
    assert_eq!(text(&wire), "child");
}
