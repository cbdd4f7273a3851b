//! A thousand rules as a mesh may have them, or fewer, and a head of 600 bytes as a browser sends it.

use std::fmt::Write as _;

/// The policy file: a rule in three names an exact path, one a prefix, one a template. The rule that
/// allows [`head`] is the last, or the third from the end of a thousand.
pub(crate) fn policy(rules: usize) -> String {
    let mut text = "apiVersion: underseal/v1alpha1\nkind: AuthorizationPolicy\n\
                    metadata: { name: thousand }\nspec:\n  rules:\n"
        .to_owned();
    let first = 998_usize.saturating_sub(rules);
    for index in first..first + rules {
        let service = index / 10;
        let path = match index % 3 {
            0 => format!("/v1/service{service}/items/{index}"),
            1 => format!("/v1/service{service}/items/{index}/*"),
            _ => format!("/v1/service{service}/{{*}}/parts/{index}"),
        };
        let principal = format!(
            "spiffe://corp.example/ns/shop{}/sa/web{}",
            index % 7,
            index % 50
        );
        writeln!(
            text,
            "  - from: [{{ source: {{ principals: ['{principal}'] }} }}]\n    \
             to: [{{ operation: {{ methods: [GET, HEAD], paths: ['{path}'], hosts: ['*.example.com'] }} }}]"
        )
        .expect("a String takes all");
    }
    text
}

/// Who sends [`head`]: the rule of item 997 allows it, and no other.
pub(crate) const PRINCIPAL: &str = "spiffe://corp.example/ns/shop3/sa/web47";

/// A GET whose path is not in normal form.
pub(crate) fn head() -> Vec<u8> {
    let mut head = "GET /v1/service99/./items/997/%61ll?page=2&sort=price HTTP/1.1\r\n\
        Host: shop.example.com\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
        Accept-Language: en-US,en;q=0.5\r\n\
        Accept-Encoding: gzip, deflate, br, zstd\r\n\
        Referer: https://shop.example.com/v1/service99/items\r\n\
        Connection: keep-alive\r\n\
        X-Request-Id: 5f1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8\r\n\
        Cookie: session="
        .to_owned();
    let padding = 600 - head.len() - 4;
    head.extend(std::iter::repeat_n('a', padding));
    head += "\r\n\r\n";
    head.into_bytes()
}
