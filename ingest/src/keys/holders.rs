//! Who is in by which key, so that a key can take its publishers along when it goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

/// All publishers that are in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holders(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    next: u64,
    held: HashMap<u64, (Arc<str>, CancellationToken)>,
}

/// One of them, until dropped.
#[derive(Debug)]
pub(crate) struct Holder {
    number: u64,
    holders: Holders,
}

impl Holders {
    /// A publisher is in by key `id`; `closed` is cancelled once it has to go.
    pub(crate) fn enter(&self, id: Arc<str>, closed: CancellationToken) -> Holder {
        let mut inside = self.inside();
        let number = inside.next;
        inside.next += 1;
        inside.held.insert(number, (id, closed));
        Holder {
            number,
            holders: self.clone(),
        }
    }

    /// Closes those whose key `must_go`; gives how many.
    pub(crate) fn dismiss(&self, must_go: impl Fn(&str) -> bool) -> u64 {
        let mut dismissed = 0;
        for (id, closed) in self.inside().held.values() {
            if !closed.is_cancelled() && must_go(id) {
                tracing::warn!(key = %id, "stream key revoked; its encoder is closed");
                closed.cancel();
                dismissed += 1;
            }
        }
        dismissed
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().expect("nothing panics while it holds the table")
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.holders.inside().held.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_whose_key_must_go_are_closed_and_only_once() {
        let holders = Holders::default();
        let tokens = [(); 3].map(|()| CancellationToken::new());
        let [a, b, gone] = &tokens;
        let _first = holders.enter("a".into(), a.clone());
        let _second = holders.enter("b".into(), b.clone());
        drop(holders.enter("a".into(), gone.clone()));
        assert_eq!(holders.dismiss(|id| id == "a"), 1);
        assert_eq!(holders.dismiss(|id| id == "a"), 0);
        let closed = tokens.each_ref().map(CancellationToken::is_cancelled);
        assert_eq!(closed, [true, false, false]);
    }
}
