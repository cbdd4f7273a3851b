//! The functions of the C library that this one stands before. Each asks the table first and goes
//! on to the C library's where the number is no connection's.

mod address;
mod creation;
mod descriptor;
mod messages;
mod option;
mod readiness;
mod receive;
mod send;
mod sendfile;
mod splice;
