//! Programs that others wrote, under the library, with clients that others wrote.

#[path = "../harness/library.rs"]
mod library;
mod nginx;
mod replaced;
