#![doc = include_str!("../README.md")]

mod call;
mod calls;
mod connection;
mod epoll;
mod file;
mod head;
mod inert;
mod inherited;
mod linger;
mod listing;
mod memory;
mod process;
mod real;
mod signals;
mod sys;
mod table;
