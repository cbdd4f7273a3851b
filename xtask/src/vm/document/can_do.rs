//! What a kernel answered when it was asked.

use super::row;
use crate::vm::results::Results;

/// The questions of the probe that are not about suites, in words.
const QUESTIONS: &[(&str, &str)] = &[
    ("ulp", "kernel TLS (`TCP_ULP`)"),
    ("rekey", "new keys after a KeyUpdate"),
    ("expect-no-pad", "`TLS_RX_EXPECT_NO_PAD`"),
    ("zerocopy-ro", "`TLS_TX_ZEROCOPY_RO`"),
    (
        "max-payload-len",
        "shorter records (`TLS_TX_MAX_PAYLOAD_LEN`)",
    ),
];

const CIPHERS: &[&str] = &[
    "AES-128-GCM",
    "AES-256-GCM",
    "ChaCha20-Poly1305",
    "AES-128-CCM",
    "SM4-GCM",
    "SM4-CCM",
    "ARIA-128-GCM",
    "ARIA-256-GCM",
];

/// A table of kernels and answers.
pub(super) fn can_do(text: &mut String, results: &[Results]) {
    text.push_str("## Can do\n\n");
    let names: Vec<_> = results.iter().map(|kernel| kernel.kernel.clone()).collect();
    row(text, "", &names);
    row(text, "---", &vec!["---".to_owned(); names.len()]);
    let of_each = |cell: &dyn Fn(&Results) -> String| results.iter().map(cell).collect::<Vec<_>>();
    row(
        text,
        "Debian's version",
        &of_each(&|kernel| kernel.version.clone()),
    );
    row(
        text,
        "`auto` sends files by the kernel with",
        &of_each(&automatic),
    );
    for (question, words) in QUESTIONS {
        row(text, words, &of_each(&|kernel| answer(kernel, question)));
    }
    for cipher in CIPHERS {
        row(text, cipher, &of_each(&|kernel| suite(kernel, cipher)));
    }
    text.push('\n');
}

/// What `Offload::Auto` comes to: see its documentation.
fn automatic(kernel: &Results) -> String {
    let is_yes = |question| answer(kernel, question) == "yes";
    let versions = match (is_yes("ulp"), is_yes("rekey")) {
        (true, true) => "TLS 1.2 and 1.3",
        (true, false) => "TLS 1.2",
        (false, _) => "nothing",
    };
    versions.to_owned()
}

/// The answer to a question that the kernel could be asked.
fn answer(kernel: &Results, question: &str) -> String {
    match kernel.answers.get(question) {
        Some(answer) if answer.starts_with("cannot tell") => "–".to_owned(),
        Some(answer) => answer.clone(),
        None => "not asked".to_owned(),
    }
}

/// The answers for both versions and directions of a cipher, as one.
fn suite(kernel: &Results, cipher: &str) -> String {
    let version = |version: &str| {
        let answers = ["Tx", "Rx"].map(|way| answer(kernel, &format!("{version}/{cipher}/{way}")));
        let [tx, rx] = answers;
        match (tx.as_str(), rx.as_str()) {
            _ if tx == rx => tx,
            ("yes", _) => format!("sending only ({rx})"),
            _ => format!("receiving only ({tx})"),
        }
    };
    let (v12, v13) = (version("Tls12"), version("Tls13"));
    match (v12.as_str(), v13.as_str()) {
        _ if v12 == v13 => v12,
        _ => format!("1.2: {v12}; 1.3: {v13}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_that_goes_one_way_only_says_so() {
        let mut kernel = Results::default();
        let mut set = |question: &str, answer: &str| {
            kernel
                .answers
                .insert(question.to_owned(), answer.to_owned());
        };
        for version in ["Tls12", "Tls13"] {
            set(&format!("{version}/A/Tx"), "yes");
            set(&format!("{version}/A/Rx"), "yes");
        }
        set("Tls13/A/Rx", "no: EINVAL");
        assert_eq!(
            suite(&kernel, "A"),
            "1.2: yes; 1.3: sending only (no: EINVAL)"
        );
        assert_eq!(suite(&kernel, "B"), "not asked");
    }
}
