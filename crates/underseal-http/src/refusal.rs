//! Why a request is refused before any rule is asked.

use std::fmt;

use crate::fields::TooManyOptions;
use crate::path::PathFault;

/// What makes a request one that two programs may read differently, or none at all: the fault of
/// whoever sent it. The connection is not to be used for another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// More bytes than a head may have.
    HeadTooLong,
    /// More bytes before the end of the request line than a head may have.
    TargetTooLong,
    /// More field lines than a head may have.
    TooManyFields,
    /// A line that ends with LF and no CR before it (RFC 9112 section 2.2).
    BareLineFeed,
    /// CR without LF.
    BareCarriageReturn,
    /// A line that goes on with white space (RFC 9112 section 5.2).
    LineFolding,
    /// White space between a field's name and its colon (RFC 9112 section 5.1).
    SpaceBeforeColon,
    /// A field name that is none, in HTTP/2 also one with capitals.
    FieldName,
    /// A byte that no field value has.
    FieldValue,
    /// Not `METHOD SP TARGET SP HTTP/1.x CRLF` with one space each.
    RequestLine,
    /// Another version than HTTP/1.0 and HTTP/1.1.
    Version,
    /// A method that is no token.
    Method,
    /// A method that is longer than any.
    MethodTooLong,
    /// A registered method, or one that a policy names, in another case: the same to some programs.
    MethodCase,
    /// A field name that some programs cannot tell from one that a policy asks for, as `x_role` from
    /// `x-role`.
    FieldAlias,
    /// A target of none of the four forms, or one that does not go with the method.
    Target,
    /// A path that may be read in two ways.
    Path(PathFault),
    /// No Host field.
    NoHost,
    /// Several Host fields.
    SeveralHosts,
    /// A Host that is no host and port.
    Host,
    /// A target or `:authority` that names another host than Host does.
    HostDisagrees,
    /// Content-Length and Transfer-Encoding (RFC 9112 section 6.3).
    BothLengths,
    /// Several Content-Length fields or values, even if they agree.
    SeveralLengths,
    /// A Content-Length that is no number of bytes.
    Length,
    /// A Transfer-Encoding other than `chunked`, once, in HTTP/1.1.
    TransferEncoding,
    /// Connection names a field that says how the request is to be read, or has more than 32 options.
    Connection,
    /// A chunk size that is none, or a chunk that does not end where it says.
    Chunk,
    /// Trailers that say who sent the request, or what rules ask for and was judged before they came; or far too
    /// many of them.
    Trailers,
    /// A pseudo-header field that is unknown, comes twice, late, or is missing (RFC 9113 section
    /// 8.3).
    PseudoField,
    /// A field that HTTP/2 does not have (RFC 9113 section 8.2.2).
    ConnectionField,
}

impl Refusal {
    /// A word for logs and metrics: the name of the variant, in lower case and with hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path(fault) => fault.name(),
            Self::HeadTooLong => "head-too-long",
            Self::TargetTooLong => "target-too-long",
            Self::TooManyFields => "too-many-fields",
            Self::BareLineFeed => "bare-line-feed",
            Self::BareCarriageReturn => "bare-carriage-return",
            Self::LineFolding => "line-folding",
            Self::SpaceBeforeColon => "space-before-colon",
            Self::FieldName => "field-name",
            Self::FieldValue => "field-value",
            Self::RequestLine => "request-line",
            Self::Version => "version",
            Self::Method => "method",
            Self::MethodTooLong => "method-too-long",
            Self::MethodCase => "method-case",
            Self::FieldAlias => "field-alias",
            Self::Target => "target",
            Self::NoHost => "no-host",
            Self::SeveralHosts => "several-hosts",
            Self::Host => "host",
            Self::HostDisagrees => "host-disagrees",
            Self::BothLengths => "both-lengths",
            Self::SeveralLengths => "several-lengths",
            Self::Length => "length",
            Self::TransferEncoding => "transfer-encoding",
            Self::Connection => "connection",
            Self::Chunk => "chunk",
            Self::Trailers => "trailers",
            Self::PseudoField => "pseudo-field",
            Self::ConnectionField => "connection-field",
        }
    }

    /// The status code to refuse with.
    pub const fn status(self) -> u16 {
        match self {
            Self::TargetTooLong | Self::Path(PathFault::TooLong) => 414,
            Self::HeadTooLong | Self::TooManyFields => 431,
            Self::Version => 505,
            Self::MethodTooLong | Self::TransferEncoding => 501,
            _ => 400,
        }
    }
}

impl From<PathFault> for Refusal {
    fn from(fault: PathFault) -> Self {
        Self::Path(fault)
    }
}

impl From<TooManyOptions> for Refusal {
    fn from(TooManyOptions: TooManyOptions) -> Self {
        Self::Connection
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path(fault) => return fault.fmt(f),
            Self::HeadTooLong => "the head is too long",
            Self::TargetTooLong => "the request line is too long",
            Self::TooManyFields => "the head has too many fields",
            Self::BareLineFeed => "a line ends with LF alone",
            Self::BareCarriageReturn => "there is a CR without LF",
            Self::LineFolding => "a field goes on in a second line",
            Self::SpaceBeforeColon => "there is white space before a colon",
            Self::FieldName => "a field name is none",
            Self::FieldValue => "a field value has a byte that none has",
            Self::RequestLine => "the request line is none",
            Self::Version => "the version is neither HTTP/1.1 nor HTTP/1.0",
            Self::Method => "the method is none",
            Self::MethodTooLong => "the method is longer than any",
            Self::MethodCase => "the method is one in another case",
            Self::FieldAlias => "a field name can be taken for one that policies ask for",
            Self::Target => "the request target is none for this method",
            Self::NoHost => "there is no Host",
            Self::SeveralHosts => "there are several Hosts",
            Self::Host => "the Host is none",
            Self::HostDisagrees => "the target names another host than Host",
            Self::BothLengths => "there are Content-Length and Transfer-Encoding",
            Self::SeveralLengths => "there are several Content-Lengths",
            Self::Length => "the Content-Length is no number",
            Self::TransferEncoding => "the Transfer-Encoding is not `chunked` alone",
            Self::Connection => "Connection names a field that is not its own, or far too many",
            Self::Chunk => "a chunk is malformed",
            Self::Trailers => "a trailer says what only a proxy may say, or what was judged",
            Self::PseudoField => "the pseudo-header fields are not those of a request",
            Self::ConnectionField => "there is a field of a connection",
        })
    }
}
