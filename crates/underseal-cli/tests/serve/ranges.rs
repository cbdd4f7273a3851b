//! Range requests, short ones out of the buffer and long ones out of the file.

use crate::client::{Client, Response};
use crate::harness::Server;
use crate::http::pattern;

fn ask(client: &mut Client, range: &str) -> Response {
    client.send(format!(
        "GET /f HTTP/1.1\r\nHost: h\r\nRange: {range}\r\n\r\n"
    ));
    client.response()
}

#[test]
fn one_range_is_cut_out() {
    let server = Server::start();
    let content = pattern(2_000_000);
    server.write("f", &content);
    let mut client = server.client();
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=777777-", 777_777, 2_000_000),
        ("bytes=-5", 1_999_995, 2_000_000),
        ("bytes=500000-1500000", 500_000, 1_500_001),
    ] {
        let response = ask(&mut client, range);
        let shown = format!("bytes {start}-{}/2000000", end - 1);
        assert_eq!(response.status, 206, "{range}");
        assert_eq!(response.field("content-range"), Some(shown.as_str()));
        assert!(response.body == content[start..end], "{range}");
    }
}

#[test]
fn several_ranges_come_as_multipart() {
    let server = Server::start();
    let content = pattern(400_000);
    server.write("f", &content);
    let mut client = server.client();
    let response = ask(&mut client, "bytes=10-19,100000-299999,-1");
    assert_eq!(response.status, 206);
    let content_type = response.field("content-type").expect("a type");
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("multipart");
    let mut expected = Vec::new();
    for (start, end) in [(10, 20), (100_000, 300_000), (399_999, 400_000)] {
        let preamble = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {start}-{}/400000\r\n\r\n",
            end - 1
        );
        expected.extend_from_slice(preamble.as_bytes());
        expected.extend_from_slice(&content[start..end]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(response.body == expected);
    client.get("/f");
    assert_eq!(client.response().body.len(), 400_000);
}

#[test]
fn ranges_beyond_the_file_are_not_satisfiable() {
    let server = Server::start();
    server.write("f", "0123456789");
    let mut client = server.client();
    let response = ask(&mut client, "bytes=10-");
    assert_eq!(
        (response.status, response.field("content-range")),
        (416, Some("bytes */10"))
    );
    assert_eq!(ask(&mut client, "lines=1-2").status, 200);
    assert_eq!(ask(&mut client, "bytes=0-,0-,0-").text(), "0123456789");
}

#[test]
fn curl_resumes_a_download() {
    let server = Server::start();
    let content = pattern(1_000_000);
    server.write("f", &content);
    let copy = server.path("copy");
    std::fs::write(&copy, &content[..333_333]).expect("write");
    let output = copy.to_str().expect("UTF-8");
    let _ = server
        .curl(&["--continue-at", "-", "--output", output], "/f")
        .successful();
    assert!(std::fs::read(&copy).expect("read") == content);
}
