//! Running out of file descriptors.

use crate::client::tcp;
use crate::harness::Server;
use crate::running::limited;

/// Ticks of CPU time that a process has used, from `/proc/PID/stat`.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("proc");
    let (_, after_name) = stat.rsplit_once(") ").expect("a name");
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<u64>().expect("a number");
    ticks(11) + ticks(12)
}

#[test]
fn without_descriptors_new_connections_wait_and_old_ones_are_served() {
    let server = Server::from_command(limited(64), &["--workers", "1"]);
    server.write("f", "content");
    let mut early = server.client();
    let crowd: Vec<_> = (0..80).map(|_| tcp(server.address)).collect();
    server.peer.wait_for("new connections have to wait");

    // Files of connections that are there can still be opened.
    for _ in 0..3 {
        early.get("/f");
        assert_eq!(early.response().text(), "content");
    }
    // A server that asked for connections all the time would use up every tick of a second.
    let before = cpu_ticks(server.peer.id());
    std::thread::sleep(std::time::Duration::from_secs(1));
    let used = cpu_ticks(server.peer.id()) - before;
    assert!(used < 50, "{used} of 100 ticks: it spins");

    drop(crowd);
    server.peer.wait_for("accepting connections again");
    let mut late = server.client();
    late.get("/f");
    assert_eq!(late.response().text(), "content");
    let stderr = server.stop().successful().stderr;
    let warnings = stderr.matches("new connections have to wait").count();
    assert_eq!(warnings, 1, "once per burst:\n{stderr}");
}
