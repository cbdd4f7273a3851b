//! A client that sends the bytes it is given, right or wrong, and reads responses one by one.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use underseal_testkit::{PATIENCE, SERVER_NAME};

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

pub(crate) struct Client {
    stream: BufReader<Tls>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A plain TCP connection whose reads do not wait for ever.
pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).expect("connect");
    tcp.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
    tcp.set_write_timeout(Some(PATIENCE))
        .expect("set a timeout");
    tcp
}

/// Ends a connection by a reset.
pub(crate) fn reset(tcp: TcpStream) {
    let linger = socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
    linger.expect("an option");
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, config: ClientConfig) -> Self {
        Self::over(tcp(address), config)
    }

    /// The same on a connection that may have said something before.
    pub(crate) fn over(tcp: TcpStream, config: ClientConfig) -> Self {
        let name = ServerName::try_from(SERVER_NAME).expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut stream = StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            stream
                .conn
                .complete_io(&mut stream.sock)
                .expect("handshake");
        }
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// The certificate the server showed.
    pub(crate) fn server_certificate(&self) -> Vec<u8> {
        let shown = self.stream.get_ref().conn.peer_certificates();
        shown.expect("a certificate")[0].to_vec()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("send");
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let stream = self.tls();
        stream.write_all(bytes.as_ref())?;
        stream.flush()
    }

    /// Updates the keys of both directions, with the next bytes that are sent.
    pub(crate) fn update_keys(&mut self) {
        let connection = &mut self.tls().conn;
        connection.refresh_traffic_keys().expect("TLS 1.3");
    }

    /// Sends a GET of `path` that keeps the connection.
    pub(crate) fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }

    /// Reads the head of a response, and leaves its body.
    pub(crate) fn head(&mut self) -> Response {
        let status_line = self.line();
        let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a field");
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Response {
            status: status.unwrap_or_else(|| panic!("no status in {status_line:?}")),
            fields,
            body: Vec::new(),
        }
    }

    /// Reads a response with its body.
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        if let Some(length) = response.field("content-length") {
            response.body = vec![0; length.parse().expect("a length")];
            self.read_body(&mut response.body);
        }
        response
    }

    /// Reads as much of a body as `body` is long.
    pub(crate) fn read_body(&mut self, body: &mut [u8]) {
        self.stream.read_exact(body).expect("the body");
    }

    /// Reads to the end: what came, and whether it ended with close_notify.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut rest = Vec::new();
        let ended = self.stream.read_to_end(&mut rest).map(drop);
        (rest, ended)
    }

    /// Expects the end of the connection, with close_notify and nothing before it.
    pub(crate) fn expect_close(&mut self) {
        let (rest, ended) = self.rest();
        assert_eq!(String::from_utf8_lossy(&rest), "");
        ended.expect("close_notify");
    }

    /// The TCP connection below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.stream.get_ref().sock
    }

    /// The TLS connection.
    pub(crate) fn tls(&mut self) -> &mut Tls {
        self.stream.get_mut()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        assert!(line.ends_with("\r\n"), "cut off: {line:?}");
        line.truncate(line.len() - 2);
        line
    }
}

impl Response {
    /// The value of the field with this lower-case name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
