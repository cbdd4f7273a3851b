use proptest::prelude::*;

use super::*;

fn header(version_command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend_from_slice(&[version_command, family]);
    let length = u16::try_from(payload.len()).expect("a short payload");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn whole(bytes: &[u8]) -> Header {
    match parse(bytes) {
        Ok(Parsed::Header(header)) => header,
        other => panic!("no header: {other:?}"),
    }
}

const V4_BLOCK: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];

fn v4_addresses() -> Option<Addresses> {
    Some(Addresses {
        source: "192.0.2.1:56324".parse().expect("address"),
        destination: "198.51.100.7:443".parse().expect("address"),
    })
}

#[test]
fn addresses_of_both_families_are_read() {
    let bytes = header(0x21, 0x11, &V4_BLOCK);
    let expected = Header {
        len: 28,
        local: false,
        addresses: v4_addresses(),
    };
    assert_eq!(whole(&bytes), expected);
    let mut block = [0; 36];
    block[..2].copy_from_slice(&[0x20, 0x01]);
    block[15] = 1;
    block[31] = 1;
    block[32..].copy_from_slice(&[0, 1, 0, 2]);
    let read = whole(&header(0x21, 0x21, &block)).addresses.expect("told");
    assert_eq!(read.source, "[2001::1]:1".parse().expect("address"));
    assert_eq!(read.destination, "[::1]:2".parse().expect("address"));
}

#[test]
fn the_bytes_behind_a_header_are_not_looked_at() {
    let mut bytes = header(0x21, 0x11, &V4_BLOCK);
    bytes.extend_from_slice(&SIGNATURE);
    assert_eq!(whole(&bytes).len, 28);
}

#[test]
fn ipv4_within_ipv6_is_told_as_ipv4() {
    let mut block = [0; 36];
    for at in [0, 16] {
        block[at + 10..at + 16].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
    }
    let read = whole(&header(0x21, 0x21, &block)).addresses.expect("told");
    assert_eq!(read.source, "10.0.0.1:0".parse().expect("address"));
}

#[test]
fn who_speaks_for_itself_or_for_nobody_tells_no_address() {
    for (command, family, payload) in [
        (0x20, 0x00, &[][..]),
        (0x20, 0x11, &V4_BLOCK[..]),
        // Of a LOCAL header nothing is looked at, whatever it is.
        (0x20, 0x7f, &[9; 5][..]),
        (0x21, 0x00, &[][..]),
        (0x21, 0x00, &[1; 40][..]),
    ] {
        let bytes = header(command, family, payload);
        let read = whole(&bytes);
        assert_eq!(read.addresses, None);
        assert_eq!((read.local, read.len), (command == 0x20, bytes.len()));
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let tlv = |tail: &[u8]| [&V4_BLOCK, tail].concat();
    for (bytes, expected) in [
        (b"\x16\x03\x01".to_vec(), Malformed::Signature),
        (b"GET / HTTP/1.1\r\n".to_vec(), Malformed::Signature),
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Malformed::Signature),
        (b"PROXIES".to_vec(), Malformed::Signature),
        (header(0x11, 0x11, &V4_BLOCK), Malformed::Version),
        (header(0x31, 0x11, &V4_BLOCK), Malformed::Version),
        (header(0x22, 0x11, &V4_BLOCK), Malformed::Command),
        (header(0x21, 0x12, &V4_BLOCK), Malformed::Family),
        (header(0x21, 0x31, &[0; 216]), Malformed::Family),
        (header(0x21, 0x01, &V4_BLOCK), Malformed::Family),
        (header(0x21, 0x11, &V4_BLOCK[..11]), Malformed::Short),
        (header(0x21, 0x21, &[0; 35]), Malformed::Short),
        (header(0x21, 0x11, &tlv(&[4])), Malformed::Tlv),
        (header(0x21, 0x11, &tlv(&[4, 0, 2, 0])), Malformed::Tlv),
        (header(0x21, 0x11, &[0; MAX_PAYLOAD + 1]), Malformed::Long),
    ] {
        assert_eq!(parse(&bytes), Err(expected), "{bytes:02x?}");
    }
}

#[test]
fn the_text_form_tells_the_same() {
    for (line, addresses) in [
        ("TCP4 192.0.2.1 198.51.100.7 56324 443", v4_addresses()),
        (
            "TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.7 56324 443",
            v4_addresses(),
        ),
        ("UNKNOWN", None),
        ("UNKNOWN ffff::1 whatever 1", None),
    ] {
        let text = format!("PROXY {line}\r\n");
        let bytes = [text.as_bytes(), b"behind\r\n"].concat();
        let len = text.len();
        let expected = Header {
            len,
            local: false,
            addresses,
        };
        assert_eq!(whole(&bytes), expected, "{line}");
        for end in 0..len {
            match parse(&bytes[..end]) {
                Ok(Parsed::Incomplete { wanted }) => {
                    assert!(end < wanted && wanted <= len, "{line}: {end} {wanted}");
                }
                other => panic!("{line}: {other:?} from {end} bytes"),
            }
        }
    }
    let longest = format!(
        "PROXY TCP6 {0} {0} 65535 65535\r\n",
        "1111:1111:1111:1111:1111:1111:1111:1111"
    );
    assert_eq!(whole(longest.as_bytes()).len, longest.len());
}

#[test]
fn a_line_that_two_readers_may_read_differently_is_no_header() {
    for line in [
        "TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n",
        "TCP4  192.0.2.1 198.51.100.7 1 2\r\n",
        "TCP4 192.0.2.1 198.51.100.7 1\r\n",
        "TCP4 192.0.2.1 198.51.100.7 01 2\r\n",
        "TCP4 192.0.2.1 198.51.100.7 +1 2\r\n",
        "TCP4 192.0.2.1 198.51.100.7 1 65536\r\n",
        "TCP4 192.0.2.01 198.51.100.7 1 2\r\n",
        "TCP4 ::1 ::1 1 2\r\n",
        "TCP6 192.0.2.1 198.51.100.7 1 2\r\n",
        "TCP4 192.0.2.1\t198.51.100.7 1 2\r\n",
        "UDP4 192.0.2.1 198.51.100.7 1 2\r\n",
        "UNKNOWNS\r\n",
        "TCP4 192.0.2.1 198.51.100.7 1 2\n",
        "UNKNOWN \rx\r\n",
        "\r\n",
    ] {
        let bytes = format!("PROXY {line}");
        assert_eq!(parse(bytes.as_bytes()), Err(Malformed::Text), "{line}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert_eq!(parse(endless.as_bytes()), Err(Malformed::Long));
}

#[test]
fn tlvs_are_skipped_up_to_the_bound() {
    let tlvs = [&V4_BLOCK[..], &[0x04, 0, 0], &[0x05, 0, 2, 1, 2]].concat();
    assert_eq!(whole(&header(0x21, 0x11, &tlvs)).addresses, v4_addresses());
    let length = u16::try_from(MAX_PAYLOAD - 12 - 3).expect("a short TLV");
    let mut longest = [&V4_BLOCK[..], &[0x04], &length.to_be_bytes()].concat();
    longest.resize(MAX_PAYLOAD, 0);
    assert_eq!(
        whole(&header(0x21, 0x11, &longest)).addresses,
        v4_addresses()
    );
}

#[test]
fn mixed_families_are_written_as_ipv6() {
    let mixed = Addresses {
        source: "192.0.2.1:1".parse().expect("address"),
        destination: "[2001:db8::1]:2".parse().expect("address"),
    };
    let mut bytes = Vec::new();
    write(Some(mixed), &mut bytes);
    assert_eq!(bytes[13], 0x21);
    assert_eq!(whole(&bytes).addresses, Some(mixed));
}

#[test]
fn who_is_not_told_is_not_the_sender() {
    let mut bytes = Vec::new();
    write_untold(&mut bytes);
    let (len, local, addresses) = (bytes.len(), false, None);
    assert_eq!(
        whole(&bytes),
        Header {
            len,
            local,
            addresses
        }
    );
}

fn socket_address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip.to_canonical(), port))
}

proptest! {
    #[test]
    fn what_is_written_is_read_wherever_it_is_split(
        source in socket_address(),
        destination in socket_address(),
        told in any::<bool>(),
        behind in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let addresses = told.then_some(Addresses { source, destination });
        let mut bytes = Vec::new();
        write(addresses, &mut bytes);
        let len = bytes.len();
        bytes.extend_from_slice(&behind);
        for end in 0..len {
            match parse(&bytes[..end]) {
                Ok(Parsed::Incomplete { wanted }) => prop_assert!(end < wanted && wanted <= len),
                other => prop_assert!(false, "{other:?} from {end} bytes"),
            }
        }
        let expected = Header { len, local: !told, addresses };
        prop_assert_eq!(parse(&bytes), Ok(Parsed::Header(expected)));
    }

    #[test]
    fn any_bytes_are_read_alike_however_they_arrive(
        head in prop_oneof![Just(&SIGNATURE[..]), Just(&b""[..]), Just(&b"PROXY TCP4 "[..]), Just(&b"PROXY "[..])],
        tail in proptest::collection::vec(
            prop_oneof![Just(0x20), Just(0x21), Just(0x11), Just(0), Just(b'1'), Just(b'.'), Just(b'\r'), Just(b'\n'), any::<u8>()],
            0..120,
        ),
    ) {
        let bytes = [head, &tail].concat();
        // Once an answer is there, more bytes do not change it.
        let mut first = None;
        for end in 0..=bytes.len() {
            let parsed = parse(&bytes[..end]);
            match first {
                None if matches!(parsed, Ok(Parsed::Incomplete { .. })) => {}
                None => first = Some(parsed),
                Some(first) => prop_assert_eq!(parsed, first),
            }
        }
    }
}
