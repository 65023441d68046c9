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

/// The beginning of what a ClientHello of version 3.`minor` is answered (RFC 5246 §7.4.1.2; 3.3 is TLS 1.2).
async fn hello_of(minor: u8, stand: &Stand) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    // No session; ECDHE with ECDSA, AES-GCM and AES-CBC; no compression; P-256 and SHA-256.
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0]);
    body.extend([0, 16, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23]);
    let length = u8::try_from(body.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    let mut socket = stand.connect().await;
    socket.write_all(&record).await.unwrap();
    let mut answer = vec![0; 7];
    socket.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn rule_105_tls_is_1_2_or_newer_and_leads_to_http2() {
    use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};
    use rustls::version::{TLS12, TLS13};
    let dir = tempfile::tempdir().unwrap();
    let tls = listen::tls::self_signed(dir.path(), vec!["localhost".to_owned()]).unwrap();
    let stand = Stand::new(Limits::default(), Some(tls)).await;
    let mut roots = RootCertStore::empty();
    let cert = CertificateDer::from_pem_file(dir.path().join("cert.pem")).unwrap();
    roots.add(cert).unwrap();
    for (offered, wanted) in [
        (&[&TLS12, &TLS13][..], TLSv1_3),
        (&[&TLS13], TLSv1_3),
        (&[&TLS12], TLSv1_2),
    ] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(offered)
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, stand.connect().await).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(wanted));
        assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
    }
    // A ServerHello, and a fatal alert: protocol_version (RFC 8446 §6.2).
    assert_eq!(hello_of(3, &stand).await[0], 22);
    assert_eq!(hello_of(2, &stand).await, [21, 3, 3, 0, 2, 2, 70]);
}
