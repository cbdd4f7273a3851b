//! What a request says, once its head was read.

use crate::host::Normal;

/// An HTTP request, as rules of policies see it. Only a head that was read and found unambiguous becomes one:
/// see [`http1::Head::request`](crate::http1::Head::request) and [`http2::read`](crate::http2::read); and
/// what goes on of it: see [`Outgoing::request`](crate::Outgoing::request).
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) path: Option<&'a [u8]>,
    /// The same as it was sent.
    pub(crate) sent: Option<&'a [u8]>,
    /// What stands behind the `?` of the target.
    pub(crate) query: Option<&'a [u8]>,
    pub(crate) host: Normal<'a>,
    pub(crate) fields: Fields<'a>,
}

impl<'a> Request<'a> {
    /// The method, as it was sent.
    pub fn method(&self) -> &'a [u8] {
        self.method
    }

    /// The path in normal form, without query; `None` for CONNECT, which has none.
    pub fn path(&self) -> Option<&'a [u8]> {
        self.path
    }

    /// The query as it was sent; `None` if the target has no `?`.
    pub fn query(&self) -> Option<&'a [u8]> {
        self.query
    }

    /// The host in normal form, without port: in lower case, without a dot at its end, an IPv6
    /// address as RFC 5952 writes it.
    pub fn host(&self) -> &'a [u8] {
        &self.host.text[..self.host.host_len]
    }

    /// The host in normal form, and its port if one was written.
    pub fn authority(&self) -> &'a [u8] {
        self.host.text
    }

    /// All field lines, name and value as they were sent, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let fields = self.fields;
        (0..fields.len()).map(move |index| fields.get(index))
    }

    /// The values of all field lines named `name` (lower case), in their order.
    pub fn header<'n>(
        &self,
        name: &'n [u8],
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + Clone + use<'a, 'n> {
        let fields = self.fields;
        (0..fields.len()).filter_map(move |index| {
            let (field, value) = fields.get(index);
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The values of all cookies named `name`, in their order, in however many lines they came
    /// (RFC 6265 section 4.2.1). One without `=` is empty.
    pub fn cookie<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let pairs = self.header(b"cookie");
        let pairs = pairs.flat_map(|line| line.split(|byte| *byte == b';'));
        pairs.filter_map(move |pair| {
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (own, value) = pair.split_at(equals.unwrap_or(pair.len()));
            let value = value.get(1..).unwrap_or_default();
            (own.trim_ascii() == name).then(|| value.trim_ascii())
        })
    }
}

/// From where to where a text stands in a head. Heads that are read, and what is written beside them,
/// are far shorter than 4 GiB.
pub(crate) type Range = (u32, u32);

/// What stands there.
pub(crate) fn part(head: &[u8], (from, to): Range) -> &[u8] {
    &head[from as usize..to as usize]
}

/// Where a field line stands in a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) name: Range,
    pub(crate) value: Range,
}

impl Span {
    /// Where `field`, which was found in `head`, stands in it.
    pub(crate) fn of(head: &[u8], field: &httparse::Header<'_>) -> Self {
        let range = |part: &[u8]| {
            let from = part.as_ptr().addr() - head.as_ptr().addr();
            (from as u32, (from + part.len()) as u32)
        };
        Self {
            name: range(field.name.as_bytes()),
            value: range(field.value),
        }
    }
}

/// The field lines of a request, wherever they are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fields<'a> {
    Head(&'a [u8], &'a [Span]),
    Pairs(&'a [(&'a [u8], &'a [u8])]),
}

impl<'a> Fields<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Head(_, spans) => spans.len(),
            Self::Pairs(pairs) => pairs.len(),
        }
    }

    /// Name and value of a field line; `index` is less than [`Self::len`].
    pub(crate) fn get(&self, index: usize) -> (&'a [u8], &'a [u8]) {
        match self {
            Self::Head(head, spans) => {
                let Span { name, value } = spans[index];
                (part(head, name), part(head, value))
            }
            Self::Pairs(pairs) => pairs[index],
        }
    }
}
