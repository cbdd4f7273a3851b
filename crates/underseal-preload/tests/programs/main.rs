//! Programs that others wrote, under the library, with clients that others wrote.

mod library;
mod nginx;
mod replaced;
