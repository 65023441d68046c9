//! Who is at the other end of a connection.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;

/// One for each connection; [`crate::Incoming::peer`] of its requests.
#[derive(Debug)]
pub struct Peer {
    address: IpAddr,
    /// Never held across an await.
    notes: Mutex<Extensions>,
}

impl Peer {
    /// A connection from this address.
    pub fn new(address: IpAddr) -> Self {
        Self {
            address,
            notes: Mutex::default(),
        }
    }

    /// Where it comes from.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// What a service keeps for this connection, one of each type; it dies with the connection.
    pub fn note<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(notes.get_or_insert_default::<Arc<T>>())
    }
}
