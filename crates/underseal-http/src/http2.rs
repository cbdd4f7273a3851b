//! Heads of HTTP/2 requests, gRPC among them: field lists as HPACK gives them (RFC 9113 section 8).

use crate::fields::{in_value, is_token};
use crate::head::{MAX_FIELDS, ReadOptions, Scratch};
use crate::host::Authority;
use crate::http1::lengths::MAX_METHOD;
use crate::http1::{Target, content_length, split_query};
use crate::path::normalise;
use crate::refusal::Refusal;
use crate::request::{Fields, Request};

/// A field's name and value.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// What rules see of the request whose head is `fields`, in their order. Allocates nothing.
///
/// # Errors
/// Why it is refused: always the sender's fault; the stream is to be reset.
///
/// ```
/// use underseal_http::{ReadOptions, Scratch, http2};
///
/// let mut scratch = Scratch::default();
/// let fields: [http2::Field<'_>; 5] = [
///     (b":method", b"POST"),
///     (b":scheme", b"https"),
///     (b":path", b"/shop.Orders/Get"),
///     (b":authority", b"orders:8443"),
///     (b"content-type", b"application/grpc"),
/// ];
/// let request = http2::read(&fields, &ReadOptions::default(), &mut scratch)?;
/// assert_eq!(request.path(), Some(&b"/shop.Orders/Get"[..]));
/// assert_eq!(request.host(), b"orders");
/// # Ok::<(), underseal_http::Refusal>(())
/// ```
pub fn read<'a>(
    fields: &'a [Field<'a>],
    options: &ReadOptions,
    scratch: &'a mut Scratch,
) -> Result<Request<'a>, Refusal> {
    let size: usize = fields
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if size > options.max_head {
        return Err(Refusal::HeadTooLong);
    }
    let (pseudo, regular) = Pseudo::read(fields)?;
    if regular.len() > MAX_FIELDS {
        return Err(Refusal::TooManyFields);
    }
    let named = check_fields(regular)?;
    let host = match (pseudo.authority, named) {
        (Some(authority), None) => Authority::read(authority)?,
        (None, Some(named)) => Authority::read(named)?,
        (None, None) => return Err(Refusal::NoHost),
        (Some(authority), Some(named)) => {
            let authority = Authority::read(authority)?;
            let agrees = authority.is(&Authority::read(named)?, pseudo.default_port());
            agrees.then_some(authority).ok_or(Refusal::HostDisagrees)?
        }
    };
    let room = &mut *scratch.0;
    let target = pseudo.target()?;
    let (sent, query) = target.path();
    let path = match target {
        Target::Path(path, _) => Some(normalise(path, &options.path, &mut room.path)?),
        Target::Server | Target::Tunnel => sent,
    };
    Ok(Request {
        method: pseudo.method,
        path,
        sent,
        query,
        host: host.normal(&mut room.host),
        fields: Fields::Pairs(regular),
    })
}

/// The pseudo-header fields of a request (RFC 9113 section 8.3.1, RFC 8441 section 4).
#[derive(Debug, Default)]
struct Pseudo<'a> {
    method: &'a [u8],
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
}

impl<'a> Pseudo<'a> {
    /// The pseudo-header fields, and the fields after them.
    fn read(fields: &'a [Field<'a>]) -> Result<(Self, &'a [Field<'a>]), Refusal> {
        let is_pseudo = |(name, _): &Field<'_>| name.starts_with(b":");
        let count = fields.iter().take_while(|field| is_pseudo(field)).count();
        let (pseudo, regular) = fields.split_at(count);
        let mut read = Self::default();
        let mut method = None;
        for (name, value) in pseudo {
            let slot = match *name {
                b":method" => &mut method,
                b":scheme" => &mut read.scheme,
                b":authority" => &mut read.authority,
                b":path" => &mut read.path,
                b":protocol" => &mut read.protocol,
                _ => return Err(Refusal::PseudoField),
            };
            if slot.replace(*value).is_some() {
                return Err(Refusal::PseudoField);
            }
        }
        read.method = method.ok_or(Refusal::PseudoField)?;
        if read.method.is_empty() || !read.method.iter().all(is_token) {
            return Err(Refusal::Method);
        }
        if read.method.len() > MAX_METHOD {
            return Err(Refusal::MethodTooLong);
        }
        Ok((read, regular))
    }

    fn default_port(&self) -> Option<u16> {
        match self.scheme {
            Some(b"http") => Some(80),
            Some(b"https") => Some(443),
            _ => None,
        }
    }

    fn target(&self) -> Result<Target<'a>, Refusal> {
        let is_connect = self.method == b"CONNECT";
        match (self.scheme, self.path, self.protocol) {
            (None, None, None) if is_connect && self.authority.is_some() => Ok(Target::Tunnel),
            (Some(_), Some(b"*"), None) if self.method == b"OPTIONS" => Ok(Target::Server),
            // Extended CONNECT has a path, as a WebSocket has.
            (Some(b"http" | b"https"), Some(path), protocol)
                if protocol.is_some() == is_connect && path.starts_with(b"/") =>
            {
                split_query(path)?.with_ascii_query()
            }
            (Some(_), Some(_), _) => Err(Refusal::Target),
            _ => Err(Refusal::PseudoField),
        }
    }
}

/// Checks the fields that are no pseudo-header fields, and returns Host, if it is there.
fn check_fields<'a>(fields: &[Field<'a>]) -> Result<Option<&'a [u8]>, Refusal> {
    let mut host = None;
    let mut length = None;
    for (name, value) in fields {
        if name.starts_with(b":") {
            return Err(Refusal::PseudoField);
        }
        let good = |byte: &u8| is_token(byte) && !byte.is_ascii_uppercase();
        if name.is_empty() || !name.iter().all(good) {
            return Err(Refusal::FieldName);
        }
        check_value(value)?;
        match *name {
            b"host" if host.replace(*value).is_some() => return Err(Refusal::SeveralHosts),
            b"content-length" if length.replace(content_length(value)?).is_some() => {
                return Err(Refusal::SeveralLengths);
            }
            b"te" if !value.eq_ignore_ascii_case(b"trailers") => {
                return Err(Refusal::ConnectionField);
            }
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
            | b"upgrade" => return Err(Refusal::ConnectionField),
            _ => {}
        }
    }
    Ok(host)
}

/// RFC 9113 section 8.2.1, and what a program that speaks HTTP/1.1 behind would make of the rest.
fn check_value(value: &[u8]) -> Result<(), Refusal> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_space(value.first()) || is_space(value.last()) || !value.iter().all(in_value) {
        return Err(Refusal::FieldValue);
    }
    Ok(())
}
