//! A listener and clients on real sockets.

#[cfg(test)]
mod plain;
