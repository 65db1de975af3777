//! An HTTPS listener for the tests' own servers, with the stack's certificates.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::stack::Secure;

/// Takes connections over TLS; one whose handshake fails is dropped.
pub(crate) struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsListener {
    /// With the server's certificate; who comes must show one of the same authority, if so wanted.
    pub(crate) fn new(listener: TcpListener, secure: &Secure, wants_certificate: bool) -> Self {
        let certificates = |name| -> Vec<_> {
            CertificateDer::pem_file_iter(secure.pem(name)).unwrap().map(Result::unwrap).collect()
        };
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(certificates("ca.pem"));
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(trusted.into(), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = match wants_certificate {
            true => config.unwrap().with_client_cert_verifier(verifier.build().unwrap()),
            false => config.unwrap().with_no_client_auth(),
        };
        let key = PrivateKeyDer::from_pem_file(secure.pem("server.key")).unwrap();
        let config = config.with_single_cert(certificates("server.pem"), key).unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
