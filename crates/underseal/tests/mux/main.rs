//! Many connections in, whole messages out to a few workers.

mod bed;
mod delivery;
mod detaching;
mod endings;
mod model;
mod ordering;
mod replies;
mod shutdown;
mod threads;
mod tls;
mod workers;
