//! Nothing: each file below `examples` is a program of its own.
