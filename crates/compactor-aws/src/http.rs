//! The HTTP client of all services. It uses the proxies and certificate authorities that the environment
//! names, as the AWS CLI does.

mod ca_bundle;
mod proxies;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use crate::ConnectError;
use proxies::Proxies;

/// Makes a client with the proxies and certificate authorities that the environment names. Its TLS uses
/// `ring`, which builds on every platform.
///
/// # Errors
/// [`ConnectError::Environment`] if a variable is not UTF-8, or names a malformed proxy or a bundle of
/// certificates that cannot be read.
pub fn http_client() -> Result<SharedHttpClient, ConnectError> {
    let variable = |name: &str| std::env::var_os(name);
    let client = Client {
        proxies: Proxies::named(variable)?,
        tls: ca_bundle::trusted(variable)?,
        connectors: Mutex::default(),
    };
    Ok(SharedHttpClient::new(client))
}

/// The value of a variable; `None` if it is blank.
fn text(value: OsString, variable: &'static str) -> Result<Option<String>, ConnectError> {
    let value = value
        .into_string()
        .map_err(|_| refused(variable, "it is not UTF-8"))?;
    let value = value.trim();
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

fn refused(variable: &'static str, reason: impl Into<String>) -> ConnectError {
    let reason = reason.into();
    ConnectError::Environment { variable, reason }
}

/// The connect and read timeouts of a connector. Calls with the same timeouts share its connections.
type Timeouts = (Option<Duration>, Option<Duration>);

struct Client {
    proxies: Proxies,
    tls: TlsContext,
    connectors: Mutex<HashMap<Timeouts, SharedHttpConnector>>,
}

impl Client {
    fn connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
        proxy: Option<&ProxyConfig>,
    ) -> SharedHttpConnector {
        let mut builder = Connector::builder().connector_settings(settings.clone());
        builder.set_sleep_impl(components.sleep_impl());
        builder.set_proxy_config(proxy.cloned());
        let builder = builder.tls_provider(Provider::Rustls(CryptoMode::Ring));
        SharedHttpConnector::new(builder.tls_context(self.tls.clone()).build())
    }
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        // A panic leaves the map with whole entries only.
        let mut connectors = self.connectors.lock();
        let connectors = connectors.as_mut().unwrap_or_else(PoisonError::get_mut);
        let made = connectors.entry(timeouts).or_insert_with(|| {
            let through = |proxy| self.connector(settings, components, proxy);
            match (&self.proxies.http, &self.proxies.https) {
                (None, None) => through(None),
                (http, https) => SharedHttpConnector::new(ByScheme {
                    http: through(http.as_ref()),
                    https: through(https.as_ref()),
                }),
            }
        });
        made.clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's address may have a password in it.
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A connector per scheme, since each scheme has a proxy of its own or none.
#[derive(Debug)]
struct ByScheme {
    http: SharedHttpConnector,
    https: SharedHttpConnector,
}

impl HttpConnector for ByScheme {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match request.uri().starts_with("https:") {
            true => self.https.call(request),
            false => self.http.call(request),
        }
    }
}
