use std::sync::{Mutex, OnceLock, PoisonError};

use boring::ex_data::Index;
use boring::ssl::{Ssl, SslContextBuilder, SslRef};
use zeroize::Zeroizing;

use crate::Error;
use crate::handover13::Secrets;

/// Has the handshakes of a context keep their traffic secrets for the hand-over. It takes the place of the
/// context's own key log.
pub fn keep_secrets(context: &mut SslContextBuilder) {
    context.set_keylog_callback(|ssl, line| {
        if let Some(logged) = logged_by(ssl) {
            logged
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .log(line);
        }
    });
}

/// Gives a handshake a place for its secrets: for those who drive it themselves, before it begins.
///
/// # Errors
///
/// [`Error::BoringSetup`].
pub fn prepare(ssl: &mut Ssl) -> Result<(), Error> {
    let index = index().ok_or_else(|| Error::BoringSetup(boring::error::ErrorStack::get()))?;
    ssl.replace_ex_data(index, Mutex::default());
    Ok(())
}

/// Those of both directions, as far as they were logged.
#[derive(Default)]
pub(super) struct Logged {
    pub(super) client: Secrets,
    pub(super) server: Secrets,
}

/// What `ssl` has logged; its secrets are not there any more.
pub(super) fn take_secrets(ssl: &SslRef) -> Option<Logged> {
    let logged = logged_by(ssl)?;
    let mut logged = logged.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = std::mem::take(&mut *logged);
    let all = [
        &taken.client.handshake,
        &taken.client.application,
        &taken.server.handshake,
        &taken.server.application,
    ];
    let is_whole = all.iter().all(|secret| !secret.is_empty());
    is_whole.then_some(taken)
}

fn logged_by(ssl: &SslRef) -> Option<&Mutex<Logged>> {
    ssl.ex_data(index()?)
}

/// Where a handshake keeps its secrets; `None` where BoringSSL has no memory for it.
fn index() -> Option<Index<Ssl, Mutex<Logged>>> {
    static INDEX: OnceLock<Option<Index<Ssl, Mutex<Logged>>>> = OnceLock::new();
    *INDEX.get_or_init(|| Ssl::new_ex_index().ok())
}

impl Logged {
    /// Takes a line of the format that NSS logs keys in: label, client random, secret.
    fn log(&mut self, line: &str) {
        let mut words = line.split(' ');
        let secret = match words.next() {
            Some("CLIENT_HANDSHAKE_TRAFFIC_SECRET") => &mut self.client.handshake,
            Some("SERVER_HANDSHAKE_TRAFFIC_SECRET") => &mut self.server.handshake,
            Some("CLIENT_TRAFFIC_SECRET_0") => &mut self.client.application,
            Some("SERVER_TRAFFIC_SECRET_0") => &mut self.server.application,
            _ => return,
        };
        if let Some(bytes) = words.nth(1).and_then(unhex) {
            *secret = bytes;
        }
    }
}

fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for pair in pairs {
        let digits = pair.map(|digit| char::from(digit).to_digit(16));
        let [Some(high), Some(low)] = digits else {
            return None;
        };
        bytes.push((high << 4 | low) as u8);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_from_the_lines_that_have_them() {
        let mut logged = Logged::default();
        for line in [
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET 00ff 0102",
            "SERVER_HANDSHAKE_TRAFFIC_SECRET 00ff a0B1",
            "CLIENT_TRAFFIC_SECRET_0 00ff 03",
            "SERVER_TRAFFIC_SECRET_0 00ff 0x",
            "SERVER_TRAFFIC_SECRET_0 00ff 012",
            "EXPORTER_SECRET 00ff 05",
            "",
        ] {
            logged.log(line);
        }
        assert_eq!(*logged.client.handshake, [1, 2]);
        assert_eq!(*logged.server.handshake, [0xa0, 0xb1]);
        assert_eq!(*logged.client.application, [3]);
        assert!(logged.server.application.is_empty());
    }
}
