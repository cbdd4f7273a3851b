use std::sync::Arc;

use super::*;
use crate::serve::site::Site;
use underseal_http::origin::path::DotNames;

struct Answered {
    reply: Reply,
    head: String,
    body: Vec<u8>,
}

fn files(dir: &tempfile::TempDir) -> OpenFiles {
    let site = Site::open(dir.path(), DotNames::Conceal).expect("root");
    OpenFiles::new(Arc::new(site))
}

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    let write = |name: &str, content: &[u8]| {
        std::fs::write(dir.path().join(name), content).expect("file");
    };
    write("f.txt", b"0123456789");
    write("empty", b"");
    write("f.txt.gz", b"packed");
    write("large", &vec![7; 100_000]);
    std::fs::create_dir(dir.path().join("d")).expect("directory");
    std::fs::create_dir(dir.path().join("i")).expect("directory");
    write("i/index.html", b"<p>");
    dir
}

fn ask(request: &str) -> Answered {
    let head = format!("{request}Host: h\r\n\r\n");
    let (request, _) = Request::parse(head.as_bytes())
        .expect("well-formed")
        .expect("complete");
    let mut out = Vec::new();
    let reply = answer(&files(&tree()), "today", true, &request, &mut out);
    let end = out
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("end of head")
        + 4;
    let body = out.split_off(end);
    assert_eq!(body.len() as u64, reply.inline_body);
    let head = String::from_utf8(out).expect("ASCII");
    assert!(
        head.starts_with(&format!("HTTP/1.1 {} ", reply.status)),
        "{head}"
    );
    Answered { reply, head, body }
}

fn get(path: &str) -> Answered {
    ask(&format!("GET {path} HTTP/1.1\r\n"))
}

#[test]
fn a_small_file_comes_with_its_head() {
    let answered = get("/f.txt");
    assert_eq!(answered.reply.status, 200);
    assert_eq!(answered.body, b"0123456789");
    for line in [
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Length: 10\r\n",
        "Accept-Ranges: bytes\r\n",
        "Vary: Accept-Encoding\r\n",
        "Date: today\r\n",
    ] {
        assert!(answered.head.contains(line), "{line} in {}", answered.head);
    }
}

#[test]
fn a_large_file_is_left_to_send_file() {
    let answered = get("/large");
    assert!(answered.body.is_empty());
    assert!(matches!(
        answered.reply.rest,
        Rest::File {
            range: Range {
                start: 0,
                end: 100_000
            },
            ..
        }
    ));
}

#[test]
fn head_has_the_length_and_no_body() {
    let answered = ask("HEAD /f.txt HTTP/1.1\r\nRange: bytes=1-2\r\n");
    assert_eq!(answered.reply.status, 200);
    assert!(answered.head.contains("Content-Length: 10\r\n"));
    assert!(answered.body.is_empty());
    let missing = ask("HEAD /none HTTP/1.1\r\n");
    assert!(missing.head.contains("Content-Length: 14\r\n") && missing.body.is_empty());
}

#[test]
fn gzip_is_chosen_by_the_client() {
    let packed = ask("GET /f.txt HTTP/1.1\r\nAccept-Encoding: gzip\r\n");
    assert_eq!(packed.body, b"packed");
    assert!(packed.head.contains("Content-Encoding: gzip\r\n"));
    assert!(
        packed
            .head
            .contains("Content-Type: text/plain; charset=utf-8\r\n")
    );
    let plain = ask("GET /empty HTTP/1.1\r\nAccept-Encoding: gzip\r\n");
    assert!(!plain.head.contains("Content-Encoding"));
}

#[test]
fn ranges_are_cut_out() {
    let one = ask("GET /f.txt HTTP/1.1\r\nRange: bytes=2-4\r\n");
    assert_eq!((one.reply.status, one.body.as_slice()), (206, &b"234"[..]));
    assert!(
        one.head
            .contains("Content-Range: bytes 2-4/10\r\nContent-Length: 3\r\n")
    );
    let none = ask("GET /f.txt HTTP/1.1\r\nRange: bytes=10-\r\n");
    assert_eq!(none.reply.status, 416);
    assert!(none.head.contains("Content-Range: bytes */10\r\n"));
    let many = ask("GET /f.txt HTTP/1.1\r\nRange: bytes=0-1,-2\r\n");
    assert_eq!(many.reply.status, 206);
    assert!(
        many.head
            .contains("Content-Type: multipart/byteranges; boundary=underseal-")
    );
    assert!(matches!(many.reply.rest, Rest::Parts { layout, .. } if layout.parts.len() == 2));
    let stale = ask("GET /f.txt HTTP/1.1\r\nRange: bytes=2-4\r\nIf-Range: \"old\"\r\n");
    assert_eq!(stale.reply.status, 200);
}

#[test]
fn directories_redirect_list_and_have_an_index() {
    let redirect = get("/d?a=b");
    assert_eq!(redirect.reply.status, 301);
    assert!(
        redirect.head.contains("Location: /d/?a=b\r\n"),
        "{}",
        redirect.head
    );
    assert!(get("//d").head.contains("Location: /d/\r\n"));
    let listing = String::from_utf8(get("/").body).expect("UTF-8");
    assert!(
        listing.contains("./f.txt") && !listing.contains("../"),
        "{listing}"
    );
    assert_eq!(get("/i/").body, b"<p>");
    assert_eq!(get("/none/").reply.status, 404);
}

#[test]
fn methods_beyond_get_and_head_are_refused_by_kind() {
    let post = ask("POST /f.txt HTTP/1.1\r\nContent-Length: 5\r\n");
    assert_eq!((post.reply.status, post.reply.discard), (405, 5));
    assert!(post.head.contains("Allow: GET, HEAD\r\n"));
    assert_eq!(ask("BREW / HTTP/1.1\r\n").reply.status, 501);
    assert_eq!(ask("OPTIONS * HTTP/1.1\r\n").reply.status, 405);
}

#[test]
fn bodies_are_discarded_up_to_a_bound() {
    let small = ask("GET /f.txt HTTP/1.1\r\nContent-Length: 65536\r\n");
    assert_eq!(
        (
            small.reply.status,
            small.reply.discard,
            small.reply.keep_alive
        ),
        (200, 65_536, true)
    );
    let large = ask("GET /f.txt HTTP/1.1\r\nContent-Length: 65537\r\n");
    assert_eq!((large.reply.status, large.reply.keep_alive), (413, false));
    let unsure = ask("POST / HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n");
    assert!(!unsure.reply.keep_alive && unsure.head.contains("Connection: close\r\n"));
}

#[test]
fn refused_paths_have_their_status() {
    for (path, status) in [
        ("/../x", 403),
        ("/%2e%2e/x", 403),
        ("/a%00", 400),
        ("/a\\b", 400),
        ("/.git", 404),
        ("/none", 404),
        ("/f.txt/", 404),
    ] {
        assert_eq!(get(path).reply.status, status, "{path}");
    }
}

#[test]
fn http10_is_told_about_the_connection() {
    let kept = ask("GET /f.txt HTTP/1.0\r\nConnection: keep-alive\r\n");
    assert!(kept.head.contains("Connection: keep-alive\r\n") && kept.reply.keep_alive);
    assert!(
        ask("GET /f.txt HTTP/1.0\r\n")
            .head
            .contains("Connection: close\r\n")
    );
}

#[test]
fn an_empty_file_needs_no_sending() {
    let empty = get("/empty");
    assert_eq!((empty.reply.status, empty.body.len()), (200, 0));
    assert!(matches!(empty.reply.rest, Rest::Nothing));
}
