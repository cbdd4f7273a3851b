//! Bodies whose length is said twice, or not as a number: CL.TE, TE.CL, TE.TE, CL.CL.

use underseal_http::Refusal::{BothLengths, FieldValue, Length, SeveralLengths, TransferEncoding};

use super::{Case, refused};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    refused("CL.TE", post!("Content-Length: 6\r\nTransfer-Encoding: chunked"), BothLengths),
    refused("TE.CL", post!("Transfer-Encoding: chunked\r\nContent-Length: 6"), BothLengths),
    refused("CL.0 with TE", post!("Content-Length: 0\r\ntransfer-encoding: chunked"), BothLengths),
    refused("CL.CL, different", post!("Content-Length: 6\r\nContent-Length: 5"), SeveralLengths),
    refused("CL.CL, alike", post!("Content-Length: 6\r\nContent-Length: 6"), SeveralLengths),
    refused("CL list", post!("Content-Length: 6, 6"), SeveralLengths),
    refused("CL with a sign", post!("Content-Length: +6"), Length),
    refused("CL below zero", post!("Content-Length: -6"), Length),
    refused("CL hexadecimal", post!("Content-Length: 0x6"), Length),
    refused("CL with a space within", post!("Content-Length: 1 0"), Length),
    refused("CL with a fraction", post!("Content-Length: 6.0"), Length),
    refused("CL with an underscore", post!("Content-Length: 1_0"), Length),
    refused("CL without digits", post!("Content-Length:"), Length),
    refused("CL beyond 64 bits", post!("Content-Length: 18446744073709551622"), Length),
    refused("TE another coding", post!("Transfer-Encoding: identity"), TransferEncoding),
    refused("TE two codings", post!("Transfer-Encoding: gzip, chunked"), TransferEncoding),
    refused("TE chunked not last", post!("Transfer-Encoding: chunked, identity"), TransferEncoding),
    refused("TE.TE, twice", post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: x"), TransferEncoding),
    refused("TE.TE, alike", post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), TransferEncoding),
    refused("TE xchunked", post!("Transfer-Encoding: xchunked"), TransferEncoding),
    refused("TE in quotes", post!("Transfer-Encoding: \"chunked\""), TransferEncoding),
    refused("TE with a parameter", post!("Transfer-Encoding: chunked;a=b"), TransferEncoding),
    refused("TE empty", post!("Transfer-Encoding:"), TransferEncoding),
    refused("TE with a vertical tab", post!("Transfer-Encoding:\x0bchunked"), FieldValue),
    refused("TE in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", TransferEncoding),
    refused("CL with a vertical tab", post!("Content-Length: 6\x0b"), FieldValue),
    refused("CL with a comma at the end", post!("Content-Length: 6,"), SeveralLengths),
    refused("CL in quotes", post!("Content-Length: \"6\""), Length),
    refused("CL with trailing letters", post!("Content-Length: 6abc"), Length),
    refused("TE with a comma at the end", post!("Transfer-Encoding: chunked,"), TransferEncoding),
    refused("TE with a comma first", post!("Transfer-Encoding: ,chunked"), TransferEncoding),
    refused("TE chunked twice in a list", post!("Transfer-Encoding: chunked, chunked"), TransferEncoding),
    refused("TE identity with CL", post!("Transfer-Encoding: identity\r\nContent-Length: 6"), TransferEncoding),
    refused("TE empty, then chunked", post!("Transfer-Encoding:\r\nTransfer-Encoding: chunked"), TransferEncoding),
    refused("TE in HTTP/1.0 with CL", b"POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX", BothLengths),
    refused("TE.CL in a GET", b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX", BothLengths),
];
