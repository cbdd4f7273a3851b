//! Where messages end, in every parser.

mod cost;
mod http1;
mod http1_strict;
mod http2;
mod prefixed;
mod run;
mod stream;
