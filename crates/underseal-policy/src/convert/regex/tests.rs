use proptest::prelude::*;

use super::*;

fn texts(expression: &str, kind: Kind) -> Result<Vec<String>, String> {
    patterns(expression, kind).map(|patterns| patterns.texts)
}

#[test]
fn patterns_in_disguise_are_found() {
    for (expression, kind, expected) in [
        ("GET", Kind::Method, &["GET"][..]),
        ("^GET$", Kind::Method, &["GET"]),
        ("^(GET|PUT)$", Kind::Method, &["GET", "PUT"]),
        ("GET|PUT|POST", Kind::Method, &["GET", "PUT", "POST"]),
        ("(GET)?", Kind::Method, &["GET"]),
        ("/public", Kind::Path, &["/public"]),
        ("/v1/.*", Kind::Path, &["/v1/*"]),
        (".*", Kind::Path, &["*"]),
        ("/.+", Kind::Path, &["/{*}", "/{*}/{**}"]),
        ("/a(/.*)?", Kind::Path, &["/a", "/a/*"]),
        ("/a/?", Kind::Path, &["/a", "/a/"]),
        (".*\\.example\\.com", Kind::Host, &["*.example.com"]),
        ("[^/]+\\.example\\.com", Kind::Host, &["*.example.com"]),
        ("a\\.b:80", Kind::Host, &["a.b:80"]),
        ("/a\\.html", Kind::Path, &["/a.html"]),
        ("/v1/[^/]+", Kind::Path, &["/v1/{*}"]),
        ("/v1/[^/]+/x/.*", Kind::Path, &["/v1/{*}/x/{**}"]),
        ("/a/.*/b", Kind::Path, &["/a/{**}/b"]),
        (
            "/(a|b)/(c|d)",
            Kind::Path,
            &["/a/c", "/a/d", "/b/c", "/b/d"],
        ),
        ("/(a\\|b)/c", Kind::Path, &["/a|b/c"]),
        ("/[ab]", Kind::Path, &["/a", "/b"]),
        ("/a\\|b", Kind::Path, &["/a|b"]),
        (
            "/[[:digit:]a]",
            Kind::Path,
            &[
                "/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9", "/a",
            ],
        ),
        ("/(?i:ab)", Kind::Path, &["/AB", "/Ab", "/aB", "/ab"]),
        ("/a{0,1}", Kind::Path, &["/", "/a"]),
    ] {
        let expected: Vec<_> = expected.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(texts(expression, kind), Ok(expected), "{expression}");
    }
}

#[test]
fn what_the_patterns_leave_out_is_told() {
    let narrower = |expression| patterns(expression, Kind::Path).map(|found| found.narrower);
    assert_eq!(narrower("/index.html"), Ok(vec![DOT]));
    assert_eq!(narrower("/v1/[^/]+"), Ok(vec![OPERATORS, QUERY]));
    assert_eq!(narrower("/v1/.+"), Ok(vec![OPERATORS, QUERY]));
    assert_eq!(narrower(".*/a"), Ok(vec![QUERY]));
    assert_eq!(narrower("/a/.*"), Ok(vec![]));
    assert_eq!(narrower("/a"), Ok(vec![]));
}

#[test]
fn what_no_pattern_says_is_refused() {
    for expression in [
        "/a*",
        "/a+",
        "/[0-9]+",
        "/\\d+",
        "/a{2}",
        ".*a.*",
        "/(a|b)+",
        "/(a",
        "/a)",
        "/a\\",
        "/a\\*",
        "/x.*y",
        "[^/]+.*?",
        "/a$b",
        "/a\\*.*",
        "/a\\b",
        "(^a|b)x$y",
        "a",
        "",
        "()",
        "/[a-c&&b]",
        "/[[ab]]",
        "/[a[b]]",
        "/[a-c--b]",
        "/(?x:a b)",
        "/(?-u:a)",
        "/a{,1}",
        "/a\\{b\\}",
        ".+/a",
    ] {
        let found = patterns(expression, Kind::Path);
        assert!(found.is_err(), "{expression}: {found:?}");
    }
    assert!(patterns("get", Kind::Method).is_err());
    assert!(patterns("Example", Kind::Host).is_err());
    assert!(patterns(&"(a|b|c|d)".repeat(8), Kind::Path).is_err());
}

/// Pieces that expressions are made of, and texts that they match or nearly do.
const PIECES: &[(&str, &[&str])] = &[
    ("/", &["/"]),
    ("a", &["a"]),
    ("b", &["b"]),
    ("\\|", &["|"]),
    ("\\.", &["."]),
    (".", &[".", "x"]),
    (".*", &["", "a", "/b", "a/b"]),
    (".+", &["a", "/b/", "b"]),
    ("[^/]+", &["a", "|", "ab"]),
    ("[^/]*", &["", "b"]),
    ("(a|b)", &["a", "b"]),
    ("(a\\|b)", &["a|b", "a", "b"]),
    ("(/a)?", &["", "/a"]),
    ("[ab]", &["a", "b"]),
    ("b?", &["", "b"]),
    ("(/|/.*)", &["/", "/a/b"]),
    ("|", &[""]),
];

fn pieces() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..PIECES.len(), 0..4_usize), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// What a pattern matches, the expression matches, as an engine reads it; and the other way
    /// round, where nothing is said to be left out.
    #[test]
    fn no_pattern_matches_more_than_its_expression(
        pieces in pieces(),
        others in prop::collection::vec(pieces_texts(), 0..6),
    ) {
        let expression: String = pieces.iter().map(|(piece, _)| PIECES[*piece].0).collect();
        let expression = format!("/{expression}");
        let engine = regex::Regex::new(&format!("^(?:{expression})$")).expect("an expression");
        let Ok(found) = patterns(&expression, Kind::Path) else {
            return Ok(());
        };
        let own = (0..4).map(|turn| text(&pieces, turn));
        for path in own.chain(others) {
            let path = format!("/{path}");
            // Only paths in normal form are compared.
            if !underseal_http::is_normal(path.as_bytes(), &Default::default()).unwrap_or(false) {
                continue;
            }
            let matches = found.texts.iter().any(|text| {
                Pattern::path(text).expect("checked").matches(path.as_bytes())
            });
            if matches {
                prop_assert!(engine.is_match(&path), "{expression} {:?} {path}", found.texts);
            } else if !found.narrower.contains(&DOT) {
                prop_assert!(!engine.is_match(&path), "{expression} {:?} {path}", found.texts);
            }
        }
    }
}

fn text(pieces: &[(usize, usize)], turn: usize) -> String {
    let texts = pieces.iter().map(|(piece, choice)| {
        let texts = PIECES[*piece].1;
        texts[(choice + turn) % texts.len()]
    });
    texts.collect()
}

fn pieces_texts() -> impl Strategy<Value = String> {
    pieces().prop_map(|pieces| text(&pieces, 0))
}
