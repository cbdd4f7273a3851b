//! Requests: read, what goes on of them written down, and that written as HTTP/2 has it.

use h2::ext::Protocol;
use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use underseal_http::http1::Glimpse;
use underseal_http::http2::{self, Field};
use underseal_http::{Framing, Outgoing, Refusal, Request, Upgrade, Version};

use crate::exchange::{self, Client, Exchange, Fault, Incoming, Step};
use crate::service::Service;
use crate::session::Session;
use crate::values::Values;
use crate::websocket;
use underseal_server::deadline::Deadline;

/// Reads a request, which is at its end already if it `is_bare`; the key is that of a request for WebSocket.
pub(super) fn prepare<'c>(
    ends: (&'c Client, &'c Deadline),
    head: &Parts,
    is_bare: bool,
) -> (Exchange<'c>, Step, Option<websocket::Key>) {
    let (client, _) = ends;
    let mut exchange = Exchange::new(ends, client.line("h2", Version::Http2));
    let scheme = scheme_of(&client.session, head);
    let fields = fields(head, &scheme);
    let options = client.worker.listener.read_options();
    let mut scratch = client.process().scratch.borrow_mut();
    let request = match http2::read(&fields, &options, &mut scratch) {
        Ok(request) => request,
        Err(refusal) => {
            let fault = Fault::Refused(refusal);
            let step = exchange.refuse(&seen(head), fault);
            return (exchange, step, None);
        }
    };
    let is_connect = request.method() == b"CONNECT";
    let websocket = is_connect.then(|| switch(&client.service, head, &request));
    let incoming = match &websocket {
        None => Incoming {
            framing: framing(&request, is_bare),
            upgrade: Upgrade::None,
        },
        Some(Some(key)) => Incoming {
            framing: Framing::Empty,
            upgrade: Upgrade::WebSocket(key.as_str()),
        },
        Some(None) => {
            let asked = Glimpse {
                method: Some(request.method()),
                target: request.path(),
                host: Some(request.authority()),
                ..Glimpse::default()
            };
            let step = exchange.refuse(&asked, Fault::Connect);
            return (exchange, step, None);
        }
    };
    let outgoing = client.write_down(&request, incoming);
    (exchange, Ok(outgoing), websocket.flatten())
}

/// The key that a CONNECT goes on with if it asks for WebSocket (RFC 8441), and a backend may be asked.
fn switch(service: &Service, head: &Parts, request: &Request<'_>) -> Option<websocket::Key> {
    let protocol = head.extensions.get::<Protocol>()?;
    let is_so = protocol.as_str() == "websocket" && service.settings.to_protocol == Version::Http11;
    websocket::Key::for_http2(request).filter(|_| is_so && request.path().is_some())
}

/// What is logged of a head that is refused.
fn seen(head: &Parts) -> Glimpse<'_> {
    let target = head.uri.path_and_query();
    let authority = head
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let host = || head.headers.get(HOST).map(HeaderValue::as_bytes);
    Glimpse {
        method: Some(head.method.as_str().as_bytes()),
        target: target.map(|target| target.as_str().as_bytes()),
        host: authority.or_else(host),
        ..Glimpse::default()
    }
}

/// How the body would be delimited in HTTP/1.1. Whether it is as long as it says, the library sees to.
fn framing(request: &Request<'_>, is_bare: bool) -> Framing {
    let length = request.header(b"content-length").next();
    let length = length.and_then(|length| str::from_utf8(length).ok()?.parse().ok());
    match (is_bare, length) {
        (true, _) => Framing::Empty,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Chunked,
    }
}

/// The scheme that was sent. Without an authority beside it the library does not tell it, and then
/// it is the connection's.
fn scheme_of(session: &Session, head: &Parts) -> Scheme {
    let known = head.uri.scheme().cloned();
    known.unwrap_or_else(|| exchange::scheme(session))
}

/// The list of fields that the head was made of. The library has taken the pseudo-header fields
/// apart, after seeing that each came once and before all others.
fn fields<'a>(head: &'a Parts, scheme: &'a Scheme) -> Vec<Field<'a>> {
    let mut fields: Vec<Field<'a>> = Vec::with_capacity(head.headers.len() + 5);
    fields.push((b":method", head.method.as_str().as_bytes()));
    let target = head.uri.path_and_query();
    if let Some(target) = target {
        fields.push((b":scheme", scheme.as_str().as_bytes()));
        fields.push((b":path", target.as_str().as_bytes()));
    }
    if let Some(protocol) = head.extensions.get::<Protocol>() {
        fields.push((b":protocol", protocol.as_str().as_bytes()));
    }
    if let Some(authority) = head.uri.authority() {
        fields.push((b":authority", authority.as_str().as_bytes()));
    }
    let pairs = head.headers.iter();
    fields.extend(pairs.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
    fields
}

/// What goes on, as HTTP/2 has it.
///
/// # Errors
/// [`Fault::Refused`] if HTTP/2 cannot have it.
pub(crate) fn written(outgoing: &Outgoing, scheme: Scheme) -> Result<http::Request<()>, Fault> {
    let values = Values::of(outgoing.head());
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(authority(outgoing, &values)?);
    uri.path_and_query = Some(target(outgoing, &values)?);
    head(outgoing, &values, uri)
}

/// The authority of what goes on.
fn authority(outgoing: &Outgoing, values: &Values<'_>) -> Result<Authority, Fault> {
    let authority = values.share(outgoing.request().authority());
    Authority::from_maybe_shared(authority).map_err(|_| Fault::Refused(Refusal::Host))
}

/// Its path and query.
fn target(outgoing: &Outgoing, values: &Values<'_>) -> Result<PathAndQuery, Fault> {
    let target = values.share(outgoing.target());
    PathAndQuery::from_maybe_shared(target).map_err(|_| Fault::Refused(Refusal::Target))
}

/// What goes on, with this target.
fn head(
    outgoing: &Outgoing,
    values: &Values<'_>,
    uri: http::uri::Parts,
) -> Result<http::Request<()>, Fault> {
    let request = outgoing.request();
    let refused = |refusal| Fault::Refused(refusal);
    let mut fields = HeaderMap::with_capacity(request.fields().count());
    for (name, value) in request.fields() {
        let name = HeaderName::from_bytes(name).map_err(|_| refused(Refusal::FieldName))?;
        let value = HeaderValue::from_maybe_shared(values.share(value));
        fields.append(name, value.map_err(|_| refused(Refusal::FieldValue))?);
    }
    let mut head = http::Request::new(());
    *head.method_mut() =
        Method::from_bytes(request.method()).map_err(|_| refused(Refusal::Method))?;
    *head.uri_mut() = Uri::from_parts(uri).map_err(|_| refused(Refusal::Target))?;
    *head.headers_mut() = fields;
    Ok(head)
}
