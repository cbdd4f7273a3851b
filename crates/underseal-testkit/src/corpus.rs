use std::fs;
use std::path::Path;

/// Gives `run` every input that is committed for a fuzz target, so that every test run drives it;
/// the name of each is printed first.
///
/// # Panics
///
/// If there is none.
pub fn over_corpus(target: &str, mut run: impl FnMut(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let files = fs::read_dir(corpus.join(target)).expect("the target has a corpus");
    let mut count = 0;
    for file in files {
        let path = file.expect("a file of the corpus").path();
        eprintln!("{}", path.display());
        run(&fs::read(&path).expect("a file of the corpus"));
        count += 1;
    }
    assert!(count > 0, "the corpus of {target} is empty");
}
