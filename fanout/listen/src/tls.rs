//! The certificate that HTTPS and RTMPS are served with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
    /// A file does not hold what it should.
    #[error("{0} is not a PEM file of the right kind")]
    Pem(PathBuf, #[source] rustls::pki_types::pem::Error),
    /// A certificate cannot be made.
    #[error("self-signed certificate")]
    Make(#[from] rcgen::Error),
    /// Certificate and key do not go together.
    #[error("certificate and key")]
    Pair(#[from] rustls::Error),
}

/// TLS with the certificate in `dir`, which is made on first use: self-signed, for the names given.
pub fn self_signed(dir: &Path, names: Vec<String>) -> Result<Arc<rustls::ServerConfig>, Error> {
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    if !cert.exists() || !key.exists() {
        std::fs::create_dir_all(dir).map_err(|error| Error::File(dir.to_owned(), error))?;
        let made = rcgen::generate_simple_self_signed(names)?;
        write_private(&key, &made.signing_key.serialize_pem())?;
        write_private(&cert, &made.cert.pem())?;
    }
    load(&cert, &key)
}

/// TLS with a certificate chain and its key, both PEM.
pub fn load(cert: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, Error> {
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |error| Error::Pem(path, error)
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem(cert))?;
    if chain.is_empty() {
        return Err(pem(cert)(rustls::pki_types::pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // What a client needs to come back travels with it, under a key that is rotated; nothing is kept here for it.
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Written whole or not at all, and never readable by others, not even for a moment.
fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |error| Error::File(path.to_owned(), error);
    let draft = path.with_extension("draft");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&draft).map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_does_not_fit_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        self_signed(&one, vec!["localhost".to_owned()]).unwrap();
        self_signed(&other, vec!["localhost".to_owned()]).unwrap();
        load(&one.join("cert.pem"), &one.join("key.pem")).unwrap();
        let refused = |cert: PathBuf, key: PathBuf| load(&cert, &key).unwrap_err();
        let mixed = refused(one.join("cert.pem"), other.join("key.pem"));
        assert!(matches!(mixed, Error::Pair(_)), "{mixed}");
        let swapped = refused(one.join("key.pem"), one.join("cert.pem"));
        assert!(swapped.to_string().contains("key.pem"), "{swapped}");
        let missing = refused(dir.path().join("none.pem"), one.join("key.pem"));
        assert!(missing.to_string().contains("none.pem"), "{missing}");
    }
}
