//! A YAML value that knows where it stands. serde's derived readers stop at the first key they do
//! not know; reading into this first lets the loader report all of them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{MergeKeyPolicy, Spanned};

use crate::load::Location;

/// A value of any kind.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Text(String),
    /// A boolean or a number: what it is called, and how it is written.
    Scalar(&'static str, String),
    List(Vec<Spanned<Node>>),
    Mapping(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    /// What a message calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "text",
            Self::Scalar(kind, _) => kind,
            Self::List(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

/// How many documents a file may have.
const MAX_DOCUMENTS: usize = 1024;

/// How many texts, lists and mappings a file may have.
const MAX_NODES: usize = 250_000;

/// How deep lists and mappings may stand in each other.
const MAX_DEPTH: usize = 64;

/// How many bytes of texts a file may have.
const MAX_TEXT: usize = 64 * 1024 * 1024;

/// Every document of `text` that is not empty.
///
/// # Errors
/// Where the YAML is not well-formed, has a key twice, or would grow beyond the library's budget
/// (depth, aliases). Nothing after that place can be read.
pub(crate) fn documents(text: &str) -> Result<Vec<Spanned<Node>>, (Location, String)> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        reject_unsupported_tags: true,
        merge_keys: MergeKeyPolicy::Error,
        budget: serde_saphyr::budget! {
            max_documents: MAX_DOCUMENTS,
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            max_total_scalar_bytes: MAX_TEXT,
        },
        // More than any policy repeats, and little enough to be read in no time.
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 50_000,
        },
    };
    let mut documents: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| {
            let location = error.location().map_or(Location::START, Location::of);
            (location, message(&error))
        })?;
    documents.iter_mut().for_each(|node| as_written(node, text));
    Ok(documents)
}

/// Gives scalars back the text that they were read from: `1.10` is told apart from `1.1`.
fn as_written(node: &mut Spanned<Node>, text: &str) {
    let span = node.referenced.span();
    match &mut node.value {
        Node::Scalar(_, written) => {
            let start = span
                .byte_offset()
                .and_then(|start| usize::try_from(start).ok());
            let len = span.byte_len().and_then(|len| usize::try_from(len).ok());
            let source = start
                .zip(len)
                .and_then(|(start, len)| text.get(start..start + len));
            if let Some(source) = source.map(str::trim).filter(|source| !source.is_empty()) {
                *written = source.to_owned();
            }
        }
        Node::List(items) => items.iter_mut().for_each(|item| as_written(item, text)),
        Node::Mapping(entries) => {
            entries
                .iter_mut()
                .for_each(|(_, value)| as_written(value, text));
        }
        Node::Null | Node::Text(_) => {}
    }
}

/// The library's words, without the place that is reported beside them.
fn message(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::Budget { breach, .. } => return limit(breach),
        serde_saphyr::Error::MergeKeyNotAllowed { .. } => {
            return "`<<` merges a mapping into another, which is not supported: write its keys out"
                .to_owned();
        }
        _ => {}
    }
    let text = error.without_snippet().to_string();
    let words = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(words, _)| words);
    words
        .split_once(", set DuplicateKeyPolicy")
        .map_or(words, |(words, _)| words)
        .to_owned()
}

/// The limits that keep a file from taking more time and memory than any policy does.
fn limit(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Documents { .. } => {
            format!("has more than {MAX_DOCUMENTS} documents: split the file")
        }
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("has more than {MAX_NODES} texts, lists and mappings: split the file")
        }
        BudgetBreach::Depth { .. } => format!("is nested more than {MAX_DEPTH} deep"),
        BudgetBreach::ScalarBytes { .. } | BudgetBreach::InputBytes { .. } => {
            format!("has more than {MAX_TEXT} bytes of text: split the file")
        }
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. } => {
            "repeats more by `*name` than a file may: write it out".to_owned()
        }
        other => format!("is larger than a file of policies may be: {other:?}"),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind)
    }
}

struct AnyKind;

impl<'de> Visitor<'de> for AnyKind {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a list or a mapping")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar("a boolean", value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar("a number", value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar("a number", value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar("a number", value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut mapping = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            mapping.push(entry);
        }
        Ok(Node::Mapping(mapping))
    }
}
