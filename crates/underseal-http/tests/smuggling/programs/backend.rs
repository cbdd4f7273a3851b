//! A server that records the requests that it is sent.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::exchange::{Seen, decode};

/// The requests that came in whole, in their order.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<Seen>>>);

impl Record {
    fn add(&self, seen: Seen) {
        self.0.lock().expect("no reader panics").push(seen);
    }

    /// What came since it was asked last.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock().expect("no reader panics"))
    }
}

/// Starts a server; it ends with the test.
pub(crate) fn start() -> (SocketAddr, Record) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    let record = Record::default();
    let kept = record.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let record = record.clone();
            // A proxy that goes away in the middle of a request has not sent one.
            thread::spawn(move || serve(&stream, &record));
        }
    });
    (address, kept)
}

/// Reads requests up to one that does not come whole, and answers each.
fn serve(stream: &TcpStream, record: &Record) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        record.add(request(&mut reader)?);
        writer
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .ok()?;
    }
}

/// Reads as plainly as can be: what a proxy sends is well formed.
fn request(reader: &mut impl BufRead) -> Option<Seen> {
    let request_line = line(reader)?;
    let (method, target) = request_line.split_once(' ')?;
    let (target, _) = target.rsplit_once(' ')?;
    let mut fields = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let field = |wanted: &str| {
        let field = fields.iter().find(|(name, _)| name == wanted);
        field.map(|(_, value)| value.as_str())
    };
    let path = match (field("seen-path"), field("seen-uri")) {
        (Some(decoded), _) => decoded.to_owned(),
        // HAProxy has no path where a target has none.
        (None, Some("")) => match (method, target) {
            ("CONNECT", _) => String::new(),
            (_, "*") => "*".to_owned(),
            _ => "/".to_owned(),
        },
        (None, Some(path)) => decode(path.as_bytes()),
        // In a tunnel nothing is added; nor by a program that forwards what it normalised.
        (None, None) => decode(target.split('?').next().unwrap_or_default().as_bytes()),
    };
    let content = match field("transfer-encoding") {
        Some(_) => chunks(reader)?,
        None => {
            let len = field("content-length").map_or(Some(0), |len| len.parse().ok())?;
            skip(reader, len)?
        }
    };
    Some(Seen {
        method: method.to_owned(),
        path,
        host: host(field("seen-host").or(field("host")).unwrap_or_default()),
        content,
    })
}

/// A host without its port, and without a dot at its end.
fn host(text: &str) -> String {
    let name = text.split(':').next().unwrap_or_default();
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// A line, a character per byte.
fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    let line = line.strip_suffix(b"\r\n")?;
    Some(line.iter().copied().map(char::from).collect())
}

fn skip(reader: &mut impl BufRead, len: usize) -> Option<usize> {
    let mut content = vec![0; len];
    reader.read_exact(&mut content).ok()?;
    Some(len)
}

fn chunks(reader: &mut impl BufRead) -> Option<usize> {
    let mut content = 0;
    loop {
        let size = line(reader)?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            break;
        }
        content += skip(reader, size)?;
        line(reader)?;
    }
    while !line(reader)?.is_empty() {}
    Some(content)
}
