//! HTTP/1.1 as RFC 9110 and RFC 9112 have it.

use underseal_testkit::Suite;

use crate::harness::Server;

/// Bytes that differ everywhere, so that a part in the wrong place shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i * 31 + (i >> 8) * 7 + (i >> 16)) as u8)
        .collect()
}

#[test]
fn a_connection_serves_many_requests() {
    let server = Server::start();
    server.write("a.txt", "one");
    server.write("b.html", "two");
    let mut client = server.client();
    for _ in 0..3 {
        client.get("/a.txt");
        let a = client.response();
        assert_eq!((a.status, a.text().as_str()), (200, "one"));
        assert_eq!(a.field("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(a.field("connection"), None);
        client.get("/b.html?query");
        assert_eq!(
            client.response().field("content-type"),
            Some("text/html; charset=utf-8")
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start();
    let large = pattern(300_000);
    server.write("large", &large);
    server.write("small", "small");
    let mut client = server.client();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    client.send([get("/small"), get("/large"), get("/none"), get("/small")].concat());
    assert_eq!(client.response().text(), "small");
    assert!(client.response().body == large);
    assert_eq!(client.response().status, 404);
    assert_eq!(client.response().text(), "small");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start();
    server.write("f", "content");
    let mut client = server.client();
    for byte in b"\r\nGET /f HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "content");
    client.get("/f");
    assert_eq!(client.response().text(), "content");
}

#[test]
fn files_of_every_size_arrive_whole_in_both_versions() {
    let server = Server::start();
    let sizes = [0, 1, 16_383, 16_384, 16_385, 70_000, 262_144, 3_000_001];
    for size in sizes {
        server.write(&format!("f{size}"), pattern(size));
    }
    for suite in Suite::EACH_VERSION {
        let mut client = server.client_with(suite);
        for size in sizes {
            client.get(&format!("/f{size}"));
            let response = client.response();
            assert_eq!(response.status, 200);
            assert!(response.body == pattern(size), "{size} bytes, {suite:?}");
        }
    }
}

#[test]
fn head_sends_the_fields_of_get_and_no_body() {
    let server = Server::start();
    server.write("large", pattern(100_000));
    server.write("small", "12345");
    let mut client = server.client();
    for path in ["/large", "/small", "/none", "/"] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let head = client.head();
        client.get(path);
        let get = client.response();
        let length = get.body.len().to_string();
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(
            head.field("content-length"),
            Some(length.as_str()),
            "{path}"
        );
        assert_eq!(head.field("etag"), get.field("etag"), "{path}");
    }
}

#[test]
fn http10_and_connection_close_end_with_close_notify() {
    let server = Server::start();
    server.write("f", "content");
    for head in [
        "GET /f HTTP/1.0\r\n\r\n",
        "GET /f HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    ] {
        let mut client = server.client();
        client.send(head);
        let response = client.response();
        assert_eq!(response.field("connection"), Some("close"), "{head}");
        assert_eq!(response.text(), "content");
        client.expect_close();
    }
    let mut client = server.client();
    for _ in 0..2 {
        client.send("GET /f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.response().field("connection"), Some("keep-alive"));
    }
}

#[test]
fn request_bodies_are_thrown_away_up_to_a_bound() {
    let server = Server::start();
    server.write("f", "content");
    let mut client = server.client();
    client.send("POST /f HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nGET / is no");
    let refused = client.response();
    assert_eq!(
        (refused.status, refused.field("allow")),
        (405, Some("GET, HEAD"))
    );
    let body = "x".repeat(65_536);
    client.send(format!(
        "GET /f HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n{body}"
    ));
    assert_eq!(client.response().text(), "content");
    client.get("/f");
    assert_eq!(client.response().text(), "content");
    client.send(format!(
        "GET /f HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n{body}x"
    ));
    let refused = client.response();
    assert_eq!(
        (refused.status, refused.field("connection")),
        (413, Some("close"))
    );
    client.expect_close();
}

/// It is refused at once, and the client may send all of it before it reads that.
#[test]
fn a_large_upload_that_is_refused_can_be_sent_to_its_end() {
    let server = Server::start();
    server.write("f", "content");
    let body = vec![b'x'; 20 << 20];
    for (method, status) in [("POST", 405), ("GET", 413)] {
        let mut client = server.client();
        let length = body.len();
        client.send(format!(
            "{method} /f HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send(&body);
        let refused = client.response();
        assert_eq!(
            (refused.status, refused.field("connection")),
            (status, Some("close"))
        );
        client.expect_close();
    }
}

#[test]
fn requests_that_could_be_read_in_two_ways_are_refused() {
    let server = Server::start();
    for (fields, status) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        ("Content-Length: 0x1\r\n", 400),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", 400),
        ("Transfer-Encoding: identity\r\n", 501),
        ("Transfer-Encoding: chunked\r\n", 411),
        ("Connection: content-length\r\n", 400),
        ("Host: another\r\n", 400),
    ] {
        let mut client = server.client();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n0\r\n\r\nGET /smuggled"
        ));
        let refused = client.response();
        assert_eq!(refused.status, status, "{fields}");
        assert_eq!(refused.field("connection"), Some("close"), "{fields}");
        client.expect_close();
    }
}

#[test]
fn methods_and_versions_that_are_not_served_have_their_status() {
    let server = Server::start();
    server.write("f", "content");
    for (line, status) in [
        ("DELETE /f HTTP/1.1", 405),
        ("OPTIONS * HTTP/1.1", 405),
        ("BREW /f HTTP/1.1", 501),
        ("GET /f HTTP/2.0", 505),
        ("GET /f HTTP/one", 505),
        ("GET http://h/f HTTP/1.1", 200),
        ("GET http://localhost/f HTTP/1.1", 400),
        ("GET /f#part HTTP/1.1", 400),
    ] {
        assert_eq!(
            server.status(&format!("{line}\r\nHost: h\r\n\r\n")),
            status,
            "{line}"
        );
    }
    assert_eq!(server.status("GET /f HTTP/1.1\r\n\r\n"), 400, "no Host");
    assert_eq!(server.status("GET /f HTTP/1.1\nHost: h\n\n"), 400, "LF");
}

/// What a proxy in front of others refuses, and clients of files do send.
#[test]
fn what_curl_sends_is_served() {
    let server = Server::start();
    for name in ["\u{e4} b.txt", "a;v=1", "a^{b}", "c#d"] {
        server.write(name, name);
    }
    let get = |options: &[&str], path: &str| server.curl(options, path).successful().text();
    for (path, name) in [
        // Bytes beyond ASCII as they were typed, in the path and in the query.
        ("/\u{e4}%20b.txt?\u{f6}", "\u{e4} b.txt"),
        ("/a;v=1", "a;v=1"),
        ("/a^%7bb}", "a^{b}"),
        ("/c%23d#part", "c#d"),
    ] {
        assert_eq!(get(&["--globoff"], path), name, "{path}");
    }
    assert_eq!(get(&["--http1.0", "--header", "Host:"], "/a;v=1"), "a;v=1");
    assert_eq!(get(&["--header", "Host: Other.:8443"], "/a;v=1"), "a;v=1");
    let upload = [
        "--header",
        "Transfer-Encoding: chunked",
        "--write-out",
        "%{http_code}",
        "--upload-file",
        "/dev/null",
    ];
    let refused = server.curl(&upload, "/new").text();
    assert!(refused.ends_with("405"), "{refused}");
}

#[test]
fn precompressed_neighbours_go_to_clients_that_take_them() {
    let server = Server::start();
    server.write("page.html", "<p>plain</p>");
    let packed = server.curl(&["--compressed", "--dump-header", "-"], "/page.html");
    let text = packed.successful().text();
    assert!(
        text.contains("<p>plain</p>") && !text.contains("Content-Encoding"),
        "{text}"
    );

    let python = "import gzip,sys; open(sys.argv[1],'wb').write(gzip.compress(b'<p>packed</p>'))";
    let made = std::process::Command::new(underseal_testkit::require_program("python3"))
        .args(["-c", python])
        .arg(server.path("page.html.gz"))
        .status();
    assert!(made.expect("python3 runs").success());
    let packed = server.curl(&["--compressed", "--dump-header", "-"], "/page.html");
    let text = packed.successful().text();
    assert!(text.contains("<p>packed</p>"), "{text}");
    for field in [
        "Content-Encoding: gzip",
        "Content-Type: text/html",
        "Vary: Accept-Encoding",
    ] {
        assert!(text.contains(field), "{field} in {text}");
    }
    let plain = server
        .curl(&["--dump-header", "-"], "/page.html")
        .successful()
        .text();
    assert!(
        plain.contains("<p>plain</p>") && plain.contains("Vary: Accept-Encoding"),
        "{plain}"
    );
}

#[test]
fn a_neighbour_older_than_its_file_is_not_sent() {
    let server = Server::start();
    server.write("f.gz", "old");
    let old = std::fs::File::options()
        .write(true)
        .open(server.path("f.gz"));
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    old.and_then(|file| file.set_modified(yesterday))
        .expect("set the time");
    server.write("f", "new");
    let mut client = server.client();
    client.send("GET /f HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.text().as_str(), response.field("content-encoding")),
        ("new", None)
    );
}

#[test]
fn directories_redirect_to_their_slash_then_show_index_or_listing() {
    let server = Server::start();
    server.write("with/index.html", "<p>index</p>");
    server.write("without/a & b.txt", "x");
    server.write("without/.secret", "x");
    let followed = server.curl(&["--location"], "/with").successful();
    assert_eq!(followed.text(), "<p>index</p>");
    let listing = server
        .curl(&["--location"], "/without?x=y")
        .successful()
        .text();
    assert!(
        listing.contains("<a href=\"./a%20%26%20b.txt\">a &amp; b.txt</a>"),
        "{listing}"
    );
    assert!(!listing.contains("secret"), "{listing}");
    assert_eq!(
        server
            .curl(&[], "/without/a%20%26%20b.txt")
            .successful()
            .text(),
        "x"
    );
    let mut client = server.client();
    client.get("//with?x=y");
    assert_eq!(client.response().field("location"), Some("/with/?x=y"));
}

#[test]
fn dot_names_are_served_only_on_request() {
    let server = Server::start();
    server.write(".secret", "x");
    assert_eq!(
        server.status("GET /.secret HTTP/1.1\r\nHost: h\r\n\r\n"),
        404
    );
    let server = Server::with(&["--hidden"]);
    server.write(".secret", "x");
    assert_eq!(
        server.status("GET /.secret HTTP/1.1\r\nHost: h\r\n\r\n"),
        200
    );
}
