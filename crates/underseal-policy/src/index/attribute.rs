//! The attributes that are indexed.

use std::net::IpAddr;

use ipnet::IpNet;

use super::column::Column;
use crate::rule::{Clause, Facts, Reached, Rule, Subject, Test, Values};

/// What a column is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attribute {
    Text(&'static Subject),
    /// The source's address.
    Source,
    Port,
}

/// Those that tell most rules apart first.
pub(super) const ATTRIBUTES: [Attribute; 7] = [
    Attribute::Text(&Subject::Path),
    Attribute::Text(&Subject::SourcePrincipal),
    Attribute::Text(&Subject::SourceNamespace),
    Attribute::Source,
    Attribute::Text(&Subject::Host),
    Attribute::Text(&Subject::Method),
    Attribute::Port,
];

/// Room for the text of an address.
pub(super) const ADDRESS: usize = 129;

impl Attribute {
    /// What a request has to look up, written to `out` if it is no text.
    pub(super) fn value<'a>(
        self,
        facts: &Facts<'a>,
        out: &'a mut [u8; ADDRESS],
    ) -> Option<&'a [u8]> {
        match self {
            Self::Text(subject) => subject.text(facts),
            Self::Source => {
                let ip = facts.connection.source.ip?;
                let len = bits(ip.to_canonical(), out);
                Some(&out[..len])
            }
            Self::Port if facts.connection.port == 0 => None,
            Self::Port => {
                out[..2].copy_from_slice(&facts.connection.port.to_be_bytes());
                Some(&out[..2])
            }
        }
    }

    pub(super) fn is_unknown(self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Text(subject) => subject.is_unknown(facts),
            Self::Source => facts.connection.source.ip.is_none(),
            Self::Port => facts.connection.port == 0,
        }
    }

    /// Adds rule `id` to its `column`, and says how far the rule can come at most if the column
    /// leaves it out: to the test that asks, in the alternative where that stands last.
    pub(super) fn add(self, column: &mut Column, id: usize, rule: &Rule) -> Option<Reached> {
        let (part, clauses) = self.part(rule);
        let asks = |clause: &Clause| {
            let mut tests = clause.tests.iter();
            tests.position(|test| self.is_asked_by(test))
        };
        // An alternative that does not ask for it makes the rule one that may match any.
        let asked: Option<Vec<_>> = clauses.iter().map(asks).collect();
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
            column.add_any(id);
            return None;
        };
        for (clause, place) in clauses.iter().zip(&asked) {
            add_values(column, id, &clause.tests[*place].values);
        }
        asked.into_iter().max().map(|held| (part, held))
    }

    /// The part of a rule that asks for it, and how many parts come before.
    fn part(self, rule: &Rule) -> (usize, &[Clause]) {
        match self {
            Self::Text(Subject::SourcePrincipal | Subject::SourceNamespace) | Self::Source => {
                (0, &rule.from)
            }
            Self::Text(_) | Self::Port => (1, &rule.to),
        }
    }

    fn is_asked_by(self, test: &Test) -> bool {
        let same = match (&test.values, self) {
            (Values::Texts(found, _), Self::Text(subject)) => found == subject,
            (Values::SourceBlocks(_), Self::Source) | (Values::Ports(_), Self::Port) => true,
            _ => false,
        };
        same && !test.negated
    }
}

fn add_values(column: &mut Column, id: usize, values: &Values) {
    match values {
        Values::Texts(_, patterns) => {
            let patterns = patterns.iter();
            patterns.for_each(|pattern| column.add(id, pattern));
        }
        // Neither tokens are indexed, nor what proxies tell.
        Values::RequestPrincipals(_) | Values::RemoteBlocks(_) => column.add_any(id),
        Values::Ports(ports) => {
            let ports = ports.iter();
            ports.for_each(|port| column.add_exact(id, &port.to_be_bytes()));
        }
        Values::SourceBlocks(blocks) | Values::DestinationBlocks(blocks) => {
            for block in blocks {
                let mut out = [0; ADDRESS];
                bits(block.network(), &mut out);
                column.add_prefix(id, &out[..text_len(block)]);
            }
        }
    }
}

/// How much of its network's text what is in a block begins with.
fn text_len(block: &IpNet) -> usize {
    1 + usize::from(block.prefix_len())
}

/// Writes an address as a text, of which that of a block is the beginning: the family, and each bit
/// as a byte. Returns how long it is.
fn bits(ip: IpAddr, out: &mut [u8; ADDRESS]) -> usize {
    let (family, value, width) = match ip {
        // The bits that are there stand first.
        IpAddr::V4(ip) => (4, u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (6, ip.to_bits(), 128),
    };
    out[0] = family;
    for (place, bit) in out[1..=width].iter_mut().enumerate() {
        *bit = (value >> (127 - place)) as u8 & 1;
    }
    width + 1
}

#[cfg(test)]
mod tests {
    use super::super::bits::Bits;
    use super::*;
    use crate::connection::{Connection, Peer};

    #[test]
    fn an_address_is_in_the_blocks_that_hold_it_and_in_no_other() {
        let blocks = [
            "0.0.0.0/0",
            "128.0.0.0/1",
            "10.0.0.0/8",
            "10.1.0.0/17",
            "10.1.2.2/31",
            "10.1.2.3/32",
            "::/0",
            "::ffff:0:0/96",
            "2001:db8::/33",
            "2001:db8::1/128",
            "fe80::/10",
        ];
        let blocks = blocks.map(|block| block.parse::<IpNet>().expect("a block"));
        let mut column = Column::default();
        for (id, block) in blocks.iter().enumerate() {
            add_values(&mut column, id, &Values::SourceBlocks(vec![*block]));
        }
        column.finish(blocks.len());
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "10.1.128.3",
            "10.2.0.0",
            "192.0.2.1",
            "::",
            "::ffff:10.1.2.2",
            "2001:db8::1",
            "2001:db8:8000::",
            "fe80::1",
        ] {
            let address: IpAddr = address.parse().expect("an address");
            let source = Peer {
                ip: Some(address),
                ..Peer::default()
            };
            let connection = Connection {
                source,
                ..Connection::default()
            };
            let facts = Facts {
                connection: &connection,
                request: None,
            };
            let mut out = [0; ADDRESS];
            let left = column.left(Attribute::Source.value(&facts, &mut out));
            let mut expected = Bits::default();
            for (id, block) in blocks.iter().enumerate() {
                if block.contains(&address.to_canonical()) {
                    expected.insert(id);
                }
            }
            assert_eq!(left, expected, "{address}");
        }
    }
}
