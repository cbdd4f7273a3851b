//! Backends that do what a test says, right or wrong.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use underseal_testkit::PATIENCE;

/// A server whose connections are served by a function, each on a thread of its own.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

/// One connection of it.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Backend {
    /// Serves each connection by `serve`.
    pub(crate) fn new(serve: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a port"), serve)
    }

    /// The same, with sockets that hold little of what is not read.
    pub(crate) fn with_small_buffer(
        serve: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let socket = socket2::SockRef::from(&listener);
        socket.set_recv_buffer_size(4096).expect("an option");
        Self::on(listener, serve)
    }

    /// Serves each connection of `listener`.
    pub(crate) fn on(
        listener: TcpListener,
        serve: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (counted, noted) = (Arc::clone(&connections), Arc::clone(&heads));
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                stream.set_nodelay(true).expect("an option");
                counted.fetch_add(1, Ordering::SeqCst);
                let (serve, heads) = (Arc::clone(&serve), Arc::clone(&noted));
                thread::spawn(move || {
                    let stream = BufReader::new(stream);
                    serve(&mut Connection { stream, heads });
                });
            }
        });
        Self {
            address,
            connections,
            heads,
        }
    }

    /// Answers every request by `answer`, which is a whole response, for as long as it is asked.
    pub(crate) fn answering(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::new(move |connection| {
            while connection.request().is_some() {
                connection.send(answer.as_ref());
            }
        })
    }

    /// Answers every request with the head that came, and the body behind it, as its body.
    pub(crate) fn echo() -> Self {
        Self::new(|connection| {
            while let Some((head, body)) = connection.request() {
                let length = head.len() + body.len();
                connection.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{head}"
                ));
                connection.send(body);
            }
        })
    }

    /// Answers every head by `answer`, without reading a body.
    pub(crate) fn answering_heads(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::new(move |connection| {
            while connection.head().is_some() {
                connection.send(answer.as_ref());
            }
        })
    }

    /// Says `answer` once a head has come, and then closes.
    pub(crate) fn closing_after(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::new(move |connection| {
            if connection.head().is_some() {
                connection.send(answer.as_ref());
            }
        })
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The heads that came.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

impl Connection {
    /// The next head; `None` if there is none any more.
    pub(crate) fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.stream.read_line(&mut head) {
                Ok(read) if read > 0 => {}
                _ => return None,
            }
        }
        self.heads.lock().expect("no panic").push(head.clone());
        Some(head)
    }

    /// The next head and, as it was framed, its body.
    pub(crate) fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.head()?;
        let body = self.body(&head)?;
        Some((head, body))
    }

    /// The body behind `head`, as it was framed.
    pub(crate) fn body(&mut self, head: &str) -> Option<Vec<u8>> {
        let lower = head.to_ascii_lowercase();
        let mut body = Vec::new();
        if let Some((_, rest)) = lower.split_once("content-length: ") {
            let length = rest.split("\r\n").next().expect("a line");
            body.resize(length.parse().expect("a length"), 0);
            self.stream.read_exact(&mut body).ok()?;
        } else if lower.contains("transfer-encoding: chunked") {
            self.chunks(&mut body)?;
        }
        Some(body)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let line = self.line(body)?;
            let size = line.trim().split(';').next().expect("a size").to_owned();
            let size = usize::from_str_radix(&size, 16).expect("hexadecimal");
            if size == 0 {
                while self.line(body)? != "\r\n" {}
                return Some(());
            }
            let from = body.len();
            body.resize(from + size + 2, 0);
            self.stream.read_exact(&mut body[from..]).ok()?;
        }
    }

    fn line(&mut self, body: &mut Vec<u8>) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        body.extend_from_slice(line.as_bytes());
        (!line.is_empty()).then_some(line)
    }

    /// Sends, whoever may still listen.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Sends all of it; says whether somebody took it.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Reads up to `length` bytes of what comes.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(length).expect("small");
        let _ = self.stream.by_ref().take(limit).read_to_end(&mut bytes);
        bytes
    }

    /// All that comes, if it ends in order.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// Ends the connection by a reset.
    pub(crate) fn reset(&mut self) {
        let linger = socket2::SockRef::from(self.stream.get_ref());
        linger
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("an option");
    }

    /// Ends this end's sending.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }
}
