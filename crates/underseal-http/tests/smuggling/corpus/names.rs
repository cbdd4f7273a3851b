//! Names of fields, and what stands before their colons.

use underseal_http::Refusal::{FieldName, SpaceBeforeColon};

use super::{Case, refused};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    refused("space before the colon", post!("Content-Length : 6"), SpaceBeforeColon),
    refused("tab before the colon", post!("Transfer-Encoding\t: chunked"), SpaceBeforeColon),
    refused("space within a name", post!("Transfer Encoding: chunked"), FieldName),
    refused("NUL in a name", post!("Transfer-Encoding\0: chunked"), FieldName),
    refused("a name without colon", post!("Transfer-Encoding chunked"), FieldName),
    refused("no name", get!(": chunked"), FieldName),
    refused("a name in quotes", get!("\"Host\": b"), FieldName),
    refused("a name that is no ASCII", post!("Transfer\u{2010}Encoding: chunked"), FieldName),
    refused("CR before the colon", post!("Transfer-Encoding\r: chunked"), FieldName),
    refused("a bracket in a name", post!("Transfer-Encoding]: chunked"), FieldName),
];
