//! A proxy that opens tunnels to the services. At the end of each tunnel is a TLS server whose
//! certificate no system authority signed.

use std::sync::{Arc, Mutex};

use compactor_testkit::emulator::endpoint;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// A running proxy.
pub(super) struct Tunnel {
    pub(super) address: String,
    /// The PEM certificate of the services, for `AWS_CA_BUNDLE`.
    pub(super) certificate: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    /// A tunnel to services whose host is `name`.
    pub(super) fn new(name: &str) -> Self {
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let secured = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key.into())
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, acceptor) = (Arc::clone(&seen), TlsAcceptor::from(Arc::new(secured)));
        tokio::spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                // The client and the services notice broken connections themselves.
                tokio::spawn(serve(client, acceptor.clone(), Arc::clone(&noted)));
            }
        });
        Self {
            address,
            certificate: own.cert.pem(),
            seen,
        }
    }

    /// The first line of each request so far, in order.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    client: TcpStream,
    acceptor: TlsAcceptor,
    seen: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && client.read_line(&mut head).await? > 0 {}
    let first = head.lines().next().unwrap_or_default().to_owned();
    seen.lock().unwrap().push(first);
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    let mut client = acceptor.accept(client).await?;
    let mut services = TcpStream::connect(endpoint().trim_start_matches("http://")).await?;
    copy_bidirectional(&mut client, &mut services).await?;
    Ok(())
}
