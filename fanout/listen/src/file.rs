//! Bytes as a file in memory, which the kernel sends to thousands without copying them.

use std::fs;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// Shorter bodies cost less to copy.
const WORTH_BYTES: usize = 16 << 10;

/// Sealed: it never changes.
#[derive(Debug, Clone)]
pub struct File(Arc<fs::File>);

impl File {
    /// The bytes as a file; none where they are few, or the system gives none: then they are copied, and all is well.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < WORTH_BYTES {
            return None;
        }
        let made = memfd_create("ringside", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).ok()?;
        let mut file = fs::File::from(made);
        file.write_all(bytes).ok()?;
        let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, all).ok()?;
        Some(Self(Arc::new(file)))
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
