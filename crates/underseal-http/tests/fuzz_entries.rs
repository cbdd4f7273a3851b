//! The fuzz targets over their corpora, so that every test run drives them.

use std::fs;
use std::path::Path;

use underseal_http::fuzz;

/// Runs `entry` on every file of a corpus.
fn over_corpus(target: &str, entry: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let files = fs::read_dir(corpus.join(target)).expect("the target has a corpus");
    let mut count = 0;
    for file in files {
        let path = file.expect("a file of the corpus").path();
        // Named if it fails.
        eprintln!("{}", path.display());
        entry(&fs::read(&path).expect("a file of the corpus"));
        count += 1;
    }
    assert!(count > 0, "the corpus of {target} is empty");
}

#[test]
fn heads_and_bodies_of_the_corpus() {
    over_corpus("http1_head", fuzz::http1_head);
    over_corpus("http1_chunks", fuzz::http1_chunks);
    over_corpus("http1_response", fuzz::http1_response);
}

#[test]
fn proxy_headers_of_the_corpus() {
    over_corpus("proxy_protocol", fuzz::proxy_protocol);
}
