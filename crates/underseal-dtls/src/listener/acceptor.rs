use std::fmt;

use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslOptions, SslStream, SslVerifyMode};
use underseal_record::dtls::{COOKIE_LEN, ClientHello};
use underseal_sys::openssl::set_max_cert_list;

use super::memory_io::MemoryIo;
use crate::Error;
use crate::handshake::{MTU, waits};

/// What a client's list of certificates may be long that is not asked for one: as the other messages that OpenSSL takes
/// from it. A callback of the context may still ask.
const NO_CERTIFICATE: u32 = 1 << 14;

/// What a listener makes handshakes with: certificate, key and options, as the `openssl` crate holds
/// them.
///
/// Cookies are the listener's own business, and so are those options and callbacks of the context.
#[derive(Clone)]
pub struct DtlsAcceptor {
    context: SslContext,
}

impl DtlsAcceptor {
    /// With a context for servers, `SslMethod::dtls_server()` or `dtls()`.
    pub fn new(mut context: SslContextBuilder) -> Self {
        context.set_options(SslOptions::COOKIE_EXCHANGE);
        // Whoever comes to OpenSSL has shown a cookie of ours; what OpenSSL makes is thrown away.
        context.set_cookie_generate_cb(|_, cookie| {
            cookie[..COOKIE_LEN].fill(0);
            Ok(COOKIE_LEN)
        });
        context.set_cookie_verify_cb(|_, _| true);
        Self {
            context: context.build(),
        }
    }

    /// A handshake that stands where the exchange of the cookie has ended: `hello`, which has one, is
    /// the next that it takes.
    pub(super) fn begin(&self, hello: &ClientHello<'_>) -> Result<SslStream<MemoryIo>, Error> {
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_accept_state();
        if !self.context.verify_mode().contains(SslVerifyMode::PEER) {
            set_max_cert_list(&mut ssl, NO_CERTIFICATE);
        }
        ssl.set_mtu(MTU)?;
        let mut stream = SslStream::new(ssl, MemoryIo::default())?;
        // The transcript begins behind this exchange (RFC 6347 section 4.2.1), so that OpenSSL may have
        // it with anybody: for each message that the client has sent, and we have forgotten.
        for seq in 0..hello.message_seq() {
            stream.get_mut().show(&hello.without_cookie(seq));
            match stream.do_handshake() {
                Err(error) if waits(&error) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => return Err(crate::Refusal::NotFinished.into()),
            }
        }
        stream.get_mut().begin(hello);
        Ok(stream)
    }
}

impl From<SslContextBuilder> for DtlsAcceptor {
    fn from(context: SslContextBuilder) -> Self {
        Self::new(context)
    }
}

impl fmt::Debug for DtlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsAcceptor").finish_non_exhaustive()
    }
}
