//! Heads of responses.

use crate::fields::{Kind, kind};
use crate::http1::{ResponseFraming, read_response};

/// Reads arbitrary bytes as the head of a response.
///
/// No beginning of a head that is read is taken for one or refused; bytes behind it change nothing;
/// what delimits its body is said once, and no line of it holds another.
pub fn http1_response(data: &[u8]) {
    let seen = read_response(data, |head| {
        let mut lengths = 0;
        for (name, value) in head.fields() {
            assert!(!name.is_empty());
            assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)));
            let delimits = matches!(kind(name), Kind::ContentLength | Kind::TransferEncoding);
            lengths += usize::from(delimits);
        }
        let framing = head.framing(head.minor_version(), false);
        if framing.is_ok() {
            assert!(lengths <= 1, "two lengths");
            assert_eq!(head.framing(1, true), Ok(ResponseFraming::Empty));
        }
        if framing == Ok(ResponseFraming::UntilClose) {
            assert_eq!(lengths, 0, "a length that is not kept to");
        }
        assert!((100..=999).contains(&head.status()));
        (head.len(), head.status(), framing)
    });
    let Ok(Some(seen)) = seen else {
        return;
    };
    let len = seen.0;
    for end in 0..len {
        assert_eq!(read_response(&data[..end], |_| ()), Ok(None), "{end}");
    }
    let alone = read_response(&data[..len], |head| {
        let framing = head.framing(head.minor_version(), false);
        (head.len(), head.status(), framing)
    });
    assert_eq!(alone, Ok(Some(seen)));
}
