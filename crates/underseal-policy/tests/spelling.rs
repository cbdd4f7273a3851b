//! One thing has one name: whatever a policy or a request spells in another way that means the same
//! is decided alike.

#[path = "support/requests.rs"]
mod requests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use requests::Sent;
use underseal_policy::model::TrafficDirection;
use underseal_policy::{Connection, Fact, Labels, Matcher, Peer, PolicyFile, Verdict, load};

/// ALLOW and DENY policies with one rule.
fn matchers(rule: &str) -> [Matcher; 2] {
    ["ALLOW", "DENY"].map(|action| {
        let text = format!(
            "apiVersion: underseal/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {{ name: p }}\n\
             spec: {{ action: {action}, rules: [{rule}] }}\n"
        );
        let file = PolicyFile {
            name: "p.yaml",
            text: &text,
        };
        let policies = load(&[file], &[]).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        Matcher::new(&policies, &Labels::new(), TrafficDirection::Ingress).expect("valid")
    })
}

/// Whether the rule holds, which both actions say.
fn holds(rule: &str, connection: &Connection<'_>, sent: Option<&mut Sent>) -> bool {
    let request = sent.map(Sent::request);
    let [allow, deny] = matchers(rule)
        .map(|matcher| matcher.decide(connection, request.as_ref()).verdict == Verdict::Allow);
    assert_ne!(allow, deny, "{rule}");
    allow
}

fn operation(key: &str, value: &str) -> String {
    format!("{{ to: [{{ operation: {{ {key}: ['{value}'] }} }}] }}")
}

fn when(key: &str, value: &str) -> String {
    format!("{{ when: [{{ key: '{key}', values: ['{value}'] }}] }}")
}

/// The text with the case of letters as the bits say.
fn cased(text: &str, bits: u64) -> String {
    let cased = text
        .char_indices()
        .map(|(index, c)| match bits >> (index % 64) & 1 {
            0 => c.to_ascii_lowercase(),
            _ => c.to_ascii_uppercase(),
        });
    cased.collect()
}

/// An address in brackets, with all of its digits or as few as there may be.
fn bracketed(address: Ipv6Addr, bits: u64) -> String {
    let text = match bits & 3 {
        0 => address.to_string(),
        1 => address
            .segments()
            .map(|segment| format!("{segment:x}"))
            .join(":"),
        2 => address
            .segments()
            .map(|segment| format!("{segment:04x}"))
            .join(":"),
        _ => {
            let [front @ .., high, low] = address.segments();
            let end = (u32::from(high) << 16 | u32::from(low)).to_be_bytes();
            let front = front.map(|segment| format!("{segment:x}")).join(":");
            format!("{front}:{}", Ipv4Addr::from(end))
        }
    };
    format!("[{}]", cased(&text, bits >> 2))
}

fn port(port: Option<u16>, bits: u64) -> String {
    match (port, bits & 1) {
        (None, _) => String::new(),
        (Some(port), 0) => format!(":{port}"),
        (Some(port), _) => format!(":{port:05}"),
    }
}

/// The path in another spelling: letters encoded, dot segments, slashes that are doubled.
fn path_spelt(path: &str, bits: u64) -> String {
    let mut spelt = String::new();
    for (index, c) in path.char_indices() {
        match (c, bits >> (2 * index % 64) & 3) {
            ('/', 1) => spelt += "//",
            ('/', 2) => spelt += "/./",
            ('/', 3) => spelt += "/x/../",
            (c, 1) if c.is_ascii_alphanumeric() => spelt += &format!("%{:02x}", c as u32),
            (c, 2) if c.is_ascii_alphanumeric() => spelt += &format!("%{:02X}", c as u32),
            (c, _) => spelt.push(c),
        }
    }
    spelt
}

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z][a-z0-9-]{0,6}", 1..4).prop_map(|labels| labels.join("."))
}

/// Addresses with zeros in them, and those that are of IPv4.
fn address() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        any::<u128>().prop_map(Ipv6Addr::from),
        prop::array::uniform8(prop::sample::select(vec![0, 1, 0xdb8, 0xffff]))
            .prop_map(Ipv6Addr::from),
        any::<u32>().prop_map(|ip| Ipv4Addr::from(ip).to_ipv6_mapped()),
    ]
}

proptest! {
    #[test]
    fn of_a_host(
        name in name(),
        number in prop::option::of(1_u16..),
        bits in any::<[u64; 2]>(),
        dots in any::<[bool; 2]>(),
    ) {
        let [rule, host] = [0, 1].map(|place| {
            let dot = if dots[place] { "." } else { "" };
            format!("{}{dot}{}", cased(&name, bits[place]), port(number, bits[place] >> 63))
        });
        let mut sent = Sent::new("GET /", &host, &[]);
        prop_assert!(holds(&operation("hosts", &rule), &Connection::default(), Some(&mut sent)));
    }

    #[test]
    fn of_a_host_that_is_an_address(
        address in address(),
        other in address(),
        number in prop::option::of(1_u16..),
        bits in any::<[u64; 2]>(),
    ) {
        let [rule, _] = bits.map(|bits| bracketed(address, bits) + &port(number, bits >> 63));
        for (asked, expected) in [(address, true), (other, other == address)] {
            let host = bracketed(asked, bits[1]) + &port(number, bits[1] >> 63);
            let mut sent = Sent::new("GET /", &host, &[]);
            let rule = operation("hosts", &rule);
            prop_assert_eq!(holds(&rule, &Connection::default(), Some(&mut sent)), expected);
        }
    }

    #[test]
    fn of_a_server_name(name in name(), bits in any::<[u64; 2]>(), dots in any::<[bool; 2]>()) {
        let [rule, asked] = [0, 1].map(|place| {
            cased(&name, bits[place]) + if dots[place] { "." } else { "" }
        });
        let connection = Connection { sni: Fact::Is(&asked), ..Connection::default() };
        prop_assert!(holds(&when("connection.sni", &rule), &connection, None));
    }

    #[test]
    fn of_an_address_of_ipv4(ip in any::<u32>(), len in 0_u8..=32, spelt in any::<[bool; 2]>()) {
        let block = ipnet::Ipv4Net::new(ip.into(), len).expect("a length").trunc();
        let rule = match spelt[0] {
            false => block.to_string(),
            true => format!("{}/{}", block.addr().to_ipv6_mapped(), 96 + len),
        };
        let ip = Ipv4Addr::from(ip);
        let ip = match spelt[1] {
            false => IpAddr::V4(ip),
            true => IpAddr::V6(ip.to_ipv6_mapped()),
        };
        let source = Peer { ip: Some(ip), ..Peer::default() };
        let connection = Connection { source, ..Connection::default() };
        prop_assert!(holds(&when("source.ip", &rule), &connection, None));
    }

    #[test]
    fn of_the_name_of_a_field(name in "[A-Za-z][A-Za-z0-9-]{0,9}", bits in any::<[u64; 2]>()) {
        prop_assume!(!name.eq_ignore_ascii_case("host"));
        let lower = name.to_lowercase();
        let reserved = ["connection", "upgrade", "content-length", "transfer-encoding", "te"];
        prop_assume!(!reserved.contains(&&*lower));
        let [rule, asked] = bits.map(|bits| cased(&name, bits));
        let mut sent = Sent::new("GET /", "a", &[(&asked, "v")]);
        let rule = when(&format!("request.headers[{rule}]"), "v");
        prop_assert!(holds(&rule, &Connection::default(), Some(&mut sent)));
    }

    #[test]
    fn of_a_path(
        segments in prop::collection::vec("[a-zA-Z0-9_~-]{1,6}", 1..5),
        bits in any::<u64>(),
    ) {
        let path = format!("/{}", segments.join("/"));
        let mut sent = Sent::new(&format!("GET {}", path_spelt(&path, bits)), "a", &[]);
        for rule in [path.clone(), format!("{path}*"), path.replace(&segments[0], "{*}")] {
            let is_template = rule.contains('{');
            // A segment that another one holds is no segment.
            if !is_template || rule.split('/').all(|part| part == "{*}" || !part.contains('{')) {
                let rule = operation("paths", &rule);
                prop_assert!(holds(&rule, &Connection::default(), Some(&mut sent)), "{}", rule);
            }
        }
    }
}
