//! Conditional requests with the validators that the server itself gave out.

use crate::client::{Client, Response};
use crate::harness::Server;

fn ask(client: &mut Client, fields: &str) -> Response {
    client.send(format!("GET /f HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
    let mut response = client.head();
    if response.status != 304 {
        let length = response
            .field("content-length")
            .and_then(|n| n.parse().ok());
        response.body = vec![0; length.expect("a length")];
        client.read_body(&mut response.body);
    }
    response
}

#[test]
fn a_client_that_has_the_file_is_not_sent_it_again() {
    let server = Server::start();
    server.write("f", "content");
    let mut client = server.client();
    let first = ask(&mut client, "");
    let etag = first.field("etag").expect("a tag").to_owned();
    let modified = first.field("last-modified").expect("a time").to_owned();
    for fields in [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-None-Match: \"other\", W/{etag}\r\n"),
        format!("If-Modified-Since: {modified}\r\n"),
    ] {
        let response = ask(&mut client, &fields);
        assert_eq!(response.status, 304, "{fields}");
        assert_eq!(response.field("etag"), Some(etag.as_str()));
        assert_eq!(response.field("content-length"), None);
    }
    server.write("f", "changed!");
    let changed = ask(&mut client, &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((changed.status, changed.text().as_str()), (200, "changed!"));
    assert_ne!(changed.field("etag"), Some(etag.as_str()));
}

#[test]
fn a_client_that_relies_on_a_version_is_told_when_it_is_gone() {
    let server = Server::start();
    server.write("f", "content");
    let mut client = server.client();
    let etag = ask(&mut client, "")
        .field("etag")
        .expect("a tag")
        .to_owned();
    assert_eq!(
        ask(&mut client, &format!("If-Match: {etag}\r\n")).status,
        200
    );
    assert_eq!(ask(&mut client, "If-Match: \"other\"\r\n").status, 412);
    let long_ago = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert_eq!(ask(&mut client, long_ago).status, 412);
}

#[test]
fn a_range_of_another_version_becomes_the_whole_file() {
    let server = Server::start();
    server.write("f", "content");
    let mut client = server.client();
    let first = ask(&mut client, "");
    let etag = first.field("etag").expect("a tag").to_owned();
    let modified = first.field("last-modified").expect("a time").to_owned();
    for current in [&etag, &modified] {
        let partial = ask(
            &mut client,
            &format!("Range: bytes=1-2\r\nIf-Range: {current}\r\n"),
        );
        assert_eq!((partial.status, partial.text().as_str()), (206, "on"));
    }
    let whole = ask(&mut client, "Range: bytes=1-2\r\nIf-Range: \"other\"\r\n");
    assert_eq!((whole.status, whole.text().as_str()), (200, "content"));
}
