//! How many connections one address has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// Counts connections by address, over all protocols that share it.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each_max: usize,
}

/// One connection's share of its address's allowance, until dropped.
#[derive(Debug)]
pub(crate) struct Share {
    addresses: Addresses,
    of: IpAddr,
}

impl Addresses {
    pub(crate) fn new(each_max: usize) -> Self {
        Self {
            open: Arc::default(),
            each_max,
        }
    }

    /// None where the address has as many as it may.
    pub(crate) fn take(&self, of: IpAddr) -> Option<Share> {
        let mut open = self.open();
        let count = open.entry(of).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Share {
            addresses: self.clone(),
            of,
        })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().expect("nothing panics while it counts")
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.addresses.open();
        if let Some(count) = open.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_no_memory_afterwards() {
        let addresses = Addresses::new(2);
        let (here, there) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let (first, _second) = (addresses.take(here).unwrap(), addresses.take(here).unwrap());
        assert!(addresses.take(here).is_none());
        assert!(addresses.take(there).is_some());
        drop(first);
        assert!(addresses.take(here).is_some());
        drop(_second);
        assert!(addresses.open().is_empty());
    }
}
