//! The trusted certificate authorities: those of the system, or those of `AWS_CA_BUNDLE` in their place.

use std::ffi::OsString;

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{refused, text};
use crate::ConnectError;

const BUNDLE: &str = "AWS_CA_BUNDLE";

/// The authorities to trust by the environment that `variable` reads.
pub(super) fn trusted(
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<TlsContext, ConnectError> {
    let path = variable(BUNDLE)
        .map(|value| text(value, BUNDLE))
        .transpose()?;
    let store = match path.flatten() {
        Some(path) => read(&path).map_err(|reason| refused(BUNDLE, format!("{path}: {reason}")))?,
        None => TrustStore::default(),
    };
    let context = TlsContext::builder().with_trust_store(store).build();
    context.map_err(|error| refused(BUNDLE, error.to_string()))
}

fn read(path: &str) -> Result<TrustStore, String> {
    let bundle = std::fs::read(path).map_err(|error| error.to_string())?;
    let (mut usable, mut store) = (RootCertStore::empty(), TrustStore::empty());
    for certificate in CertificateDer::pem_slice_iter(&bundle) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        let text = pem(&certificate);
        // Bundles have certificates that cannot be used, and the client would panic at them.
        if usable.add(certificate).is_ok() {
            store.add_pem_certificate(text);
        }
    }
    match usable.is_empty() {
        true => Err("it has no certificate of an authority".to_owned()),
        false => Ok(store),
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = BASE64_STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
