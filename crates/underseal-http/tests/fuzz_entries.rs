//! The fuzz targets over their corpora, so that every test run drives them.

use underseal_http::fuzz;
use underseal_testkit::over_corpus;

#[test]
fn heads_and_bodies_of_the_corpus() {
    over_corpus("http1_head", fuzz::http1_head);
    over_corpus("http1_chunks", fuzz::http1_chunks);
    over_corpus("http1_response", fuzz::http1_response);
}

#[test]
fn requests_and_ranges_of_files_of_the_corpus() {
    over_corpus("origin_request", fuzz::origin_request);
    over_corpus("byte_ranges", fuzz::byte_ranges);
}

#[test]
fn cookies_of_the_corpus() {
    over_corpus("cookies", fuzz::cookies);
}

#[test]
fn proxy_headers_of_the_corpus() {
    over_corpus("proxy_protocol", fuzz::proxy_protocol);
}
