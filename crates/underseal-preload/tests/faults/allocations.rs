//! Calls that signal handlers may make.

use super::*;

#[test]
fn close_of_a_number_that_is_no_connections_frees_nothing() {
    assert_eq!(plaintext_after("close-watched"), "firstlast");
}

#[test]
fn the_c_librarys_functions_are_found_before_they_are_called() {
    assert_eq!(plaintext_after("c-library"), "firstlast");
}
