//! `underseal proxy` as its clients, its backends and its operators see it: the real binary on
//! loopback, between clients and backends that say exactly what a test wants said, and between
//! programs that others wrote.

mod backend;
#[path = "../serve/client.rs"]
#[allow(dead_code, reason = "the tests of serve use the rest of it")]
mod client;
mod closing;
mod deadlines;
mod departures;
mod faults;
mod forwarded;
mod forwarding;
mod haproxy;
mod harness;
mod health_checks;
mod http2;
mod http2_backends;
mod http2_drains;
mod http2_floods;
mod http2_frames;
mod http2_heads;
mod http2_limits;
mod http2_pieces;
mod http2_uploads;
#[path = "../../../underseal-proxy/src/tokens/tests/issuer.rs"]
#[allow(dead_code, reason = "the tests of the signatures use the rest of it")]
mod issuer;
mod judged;
mod limits;
mod log;
mod metrics_page;
mod named;
mod nghttp2;
mod options;
mod paths;
mod policy;
mod policy_files;
mod programs;
mod redirect;
mod reload;
mod request_lines;
mod responses;
mod retries;
#[path = "../serve/running.rs"]
#[allow(dead_code, reason = "the tests of serve use the rest of it")]
mod running;
mod smuggling;
mod spellings;
mod splices;
mod stalls;
mod tcp;
mod tls;
mod tokens;
mod unix;
mod upgrade;
mod upstream_ends;
mod websocket_http2;
