//! What one socket's program sends to another socket.

mod inbox;
mod model;
mod through_a_filter;
mod wakers;
