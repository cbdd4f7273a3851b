//! What goes wrong around a kernel socket: the module disappears, another owner has the socket,
//! memory runs out, a child inherits it. The machine is changed on the way, so each test runs in a
//! VM of `cargo xtask vm`, as root, and alone.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic, as tests do")]

mod children;
mod choice;
mod connect;
mod interrupted;
mod machine;
mod memory;
mod modules;
mod moves;
mod owners;
mod refused_keys;
mod without_tls;
