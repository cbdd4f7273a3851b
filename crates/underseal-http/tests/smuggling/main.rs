//! Request smuggling: what programs have been seen to read differently is refused with its reason,
//! or read in the one right way, which is how nginx and HAProxy read it.

mod corpus;
mod http1;
mod http2;
mod programs;
