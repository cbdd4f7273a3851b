use super::{MessageParser, ParseError, Parsed};

/// Messages whose length a closure finds from their first bytes, as BPF parsers do.
///
/// The closure is given all bytes of the message so far, and is asked again when as many more are
/// there as it said it needs: asking for one more each time looks at the same bytes again.
///
/// ```
/// use underseal_message::{Boundary, Head, Parsed, StreamParser};
///
/// let mut parser = StreamParser::new(
///     Head::new(|head: &[u8]| match head.first_chunk() {
///         Some(length) => Ok(Parsed::Message(4 + u64::from(u32::from_be_bytes(*length)))),
///         None => Ok(Parsed::NeedMore(4 - head.len() as u64)),
///     }),
///     1 << 20,
/// );
/// assert_eq!(parser.next(&[0, 0]), Ok(Boundary::Needs(2)));
/// assert_eq!(parser.next(&[0, 3, 1, 2, 3, 0]), Ok(Boundary::Ends(5)));
/// ```
#[derive(Clone, Debug)]
pub struct Head<F> {
    parse: F,
    /// Bytes of earlier calls.
    head: Vec<u8>,
    /// Bytes that the closure waits for.
    missing: u64,
}

impl<F: FnMut(&[u8]) -> Result<Parsed, ParseError>> Head<F> {
    /// A parser of a closure, which says of the bytes it is given how many bytes the message has in
    /// all, or how many it needs to see at least behind them.
    pub fn new(parse: F) -> Self {
        Self {
            parse,
            head: Vec::new(),
            missing: 0,
        }
    }
}

impl<F: FnMut(&[u8]) -> Result<Parsed, ParseError>> MessageParser for Head<F> {
    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, ParseError> {
        let before = self.head.len() as u64;
        if let Some(missing) = self.missing.checked_sub(bytes.len() as u64)
            && missing > 0
        {
            self.head.extend_from_slice(bytes);
            self.missing = missing;
            return Ok(Parsed::NeedMore(missing));
        }
        let parsed = if before == 0 {
            (self.parse)(bytes)?
        } else {
            self.head.extend_from_slice(bytes);
            (self.parse)(&self.head)?
        };
        if let Parsed::NeedMore(missing) = parsed {
            if before == 0 {
                self.head.extend_from_slice(bytes);
            }
            self.missing = missing.max(1);
            return Ok(parsed);
        }
        self.head = Vec::new();
        self.missing = 0;
        match parsed {
            Parsed::Message(total) => match total.checked_sub(before) {
                Some(more) if more > 0 => Ok(Parsed::Message(more)),
                _ => Err(ParseError::BadLength {
                    length: total,
                    why: "a message that ended before its length was known",
                }),
            },
            parsed => Ok(parsed),
        }
    }
}
