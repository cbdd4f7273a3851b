//! How long is waited, and what does not count as going on.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::backend::Backend;
use crate::harness::Start;
use crate::http2_backends::silent;

/// Bytes that a client sends before anybody asks for them wake the exchange, and are no answer.
#[test]
fn a_client_that_goes_on_sending_does_not_have_a_silent_backend_waited_for() {
    let http1 = Backend::new(|connection| {
        connection.head();
        // It says nothing until the proxy gives up.
        connection.read(1);
    });
    let (http2, _told) = silent();
    for (address, options) in [
        (http1.address, &[][..]),
        (http2, &["--to-protocol", "h2"][..]),
    ] {
        let proxy = Start::new(address)
            .plain()
            .with(&["--response-timeout", "1"])
            .with(options)
            .start();
        let mut tcp = proxy.tcp();
        tcp.write_all(b"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("send");
        let mut more = tcp.try_clone().expect("a second handle");
        let is_answered = &AtomicBool::new(false);
        let status = thread::scope(|scope| {
            scope.spawn(move || {
                // Longer than any deadline, if nobody answers.
                for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: "
                    .iter()
                    .chain(&[b'x'; 40])
                {
                    if is_answered.load(Ordering::SeqCst) {
                        break;
                    }
                    let _ = more.write_all(&[*byte]);
                    thread::sleep(Duration::from_millis(100));
                }
            });
            tcp.set_read_timeout(Some(Duration::from_secs(6)))
                .expect("a timeout");
            let mut status = [0; 12];
            let read = tcp.read_exact(&mut status);
            is_answered.store(true, Ordering::SeqCst);
            read.map(|()| String::from_utf8_lossy(&status).into_owned())
        });
        assert_eq!(status.expect("an answer"), "HTTP/1.1 504");
    }
}
