//! The tests of this package are all that there is.
