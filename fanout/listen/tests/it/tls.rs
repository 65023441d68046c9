//! TLS sessions.

use std::sync::Arc;

use listen::Limits;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stand::{ONCE, Stand};

#[tokio::test]
async fn who_comes_back_resumes_without_the_server_keeping_anything() {
    let dir = tempfile::tempdir().unwrap();
    let tls = listen::tls::self_signed(dir.path(), vec!["localhost".to_owned()]).unwrap();
    assert_eq!(tls.max_early_data_size, 0, "early data can be replayed");
    assert!(tls.ticketer.enabled() && !tls.session_storage.can_cache());
    let stand = Stand::new(Limits::default(), Some(tls)).await;
    let mut roots = RootCertStore::empty();
    let cert = CertificateDer::from_pem_file(dir.path().join("cert.pem")).unwrap();
    roots.add(cert).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, stand.connect().await).await.unwrap();
        stream.write_all(ONCE.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _closed = stream.read_to_string(&mut answer).await;
        assert!(answer.ends_with("hello"), "{answer}");
        kinds.push(stream.get_ref().1.handshake_kind());
    }
    assert_eq!(
        kinds,
        [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed
        ]
        .map(Some)
    );
}
