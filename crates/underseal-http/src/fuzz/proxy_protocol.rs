//! The header of the PROXY protocol.

use crate::proxy_protocol::{Parsed, parse, write};

/// Reads arbitrary bytes as a header.
///
/// Each beginning of a header says that more is wanted, no more than there is and so that no byte
/// behind the header is read; what was read is read again from what is written of it.
pub fn proxy_protocol(data: &[u8]) {
    let Ok(Parsed::Header(header)) = parse(data) else {
        return;
    };
    assert!(header.len <= data.len(), "it reads what is not there");
    for end in 0..header.len {
        match parse(&data[..end]) {
            Ok(Parsed::Incomplete { wanted }) => {
                assert!(end < wanted && wanted <= header.len, "{end} {wanted}");
            }
            other => panic!("a beginning of a header is {other:?}"),
        }
    }
    assert_eq!(parse(&data[..header.len]), Ok(Parsed::Header(header)));
    let mut written = Vec::new();
    write(header.addresses, &mut written);
    let Ok(Parsed::Header(again)) = parse(&written) else {
        panic!("what was written is no header");
    };
    assert_eq!(again.len, written.len());
    assert_eq!(again.addresses, header.addresses);
    assert_eq!(again.local, header.addresses.is_none());
}
