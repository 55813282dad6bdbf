//! The proxies of the environment: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in lower case too.

use std::ffi::OsString;

use aws_smithy_http_client::proxy::ProxyConfig;
use http::Uri;

use super::{refused, text};
use crate::ConnectError;

/// The addresses from which a machine, task or pod gets its own credentials. A proxy would answer with the
/// credentials of its own machine.
const METADATA: &str = "169.254.0.0/16,fe80::/10,fd00:ec2::/32";
/// Variables with other addresses of that kind.
const OTHER_METADATA: [&str; 2] = [
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
];

/// The proxy of each scheme.
#[derive(Debug)]
pub(super) struct Proxies {
    pub(super) http: Option<ProxyConfig>,
    pub(super) https: Option<ProxyConfig>,
}

impl Proxies {
    /// The proxies in the environment that `variable` reads.
    pub(super) fn named(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConnectError> {
        let direct = direct(&variable)?;
        let proxy = |names| {
            let Some((name, address)) = first_set(&variable, names)? else {
                return Ok(None);
            };
            let address = checked(&address).map_err(|reason| refused(name, reason))?;
            Ok::<_, ConnectError>(Some((name, address)))
        };
        let invalid = |name| move |error| refused(name, format!("{error}"));
        let http = match proxy(["http_proxy", "HTTP_PROXY"])? {
            Some((name, address)) => Some(ProxyConfig::http(address).map_err(invalid(name))?),
            None => None,
        };
        let https = match proxy(["https_proxy", "HTTPS_PROXY"])? {
            Some((name, address)) => Some(ProxyConfig::https(address).map_err(invalid(name))?),
            None => None,
        };
        Ok(Self {
            http: http.map(|proxy| proxy.no_proxy(&direct)),
            https: https.map(|proxy| proxy.no_proxy(&direct)),
        })
    }
}

/// The name and value of the first of two variables that is set. An empty one hides the other, as with the
/// AWS CLI.
fn first_set(
    variable: &impl Fn(&str) -> Option<OsString>,
    names: [&'static str; 2],
) -> Result<Option<(&'static str, String)>, ConnectError> {
    let mut found = names
        .into_iter()
        .filter_map(|name| Some((name, variable(name)?)));
    let Some((name, value)) = found.next() else {
        return Ok(None);
    };
    Ok(text(value, name)?.map(|value| (name, value)))
}

/// The hosts that are reached without a proxy.
fn direct(variable: &impl Fn(&str) -> Option<OsString>) -> Result<String, ConnectError> {
    let mut hosts = vec![METADATA.to_owned()];
    let named = first_set(variable, ["no_proxy", "NO_PROXY"])?;
    hosts.extend(named.map(|(_, hosts)| hosts));
    let others = OTHER_METADATA.into_iter().filter_map(variable);
    // The provider of credentials reports a malformed address.
    let others = others.filter_map(|address| address.to_str()?.parse::<Uri>().ok());
    hosts.extend(others.filter_map(|address| {
        let host = address.host()?;
        Some(host.trim_matches(['[', ']']).to_owned())
    }));
    Ok(hosts.join(","))
}

/// Parses the address of a proxy, whose scheme may be left out. Errors do not repeat the address, because
/// it may have a password.
fn checked(address: &str) -> Result<Uri, String> {
    let address = match address.contains("://") {
        true => address.to_owned(),
        false => format!("http://{}", address.trim_start_matches('/')),
    };
    let uri: Uri = address.parse().map_err(|error| format!("{error}"))?;
    let authority = uri.authority().ok_or("it names no host")?;
    let (_, place) = authority
        .as_str()
        .rsplit_once('@')
        .unwrap_or(("", authority.as_str()));
    let port = place.strip_prefix(authority.host()).unwrap_or_default();
    match port.is_empty() || authority.port_u16().is_some() {
        true => Ok(uri),
        false => Err("its port is no number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Result<Proxies, ConnectError> {
        Proxies::named(among(variables))
    }

    fn among(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            let mut named = variables.iter().filter(|(known, _)| *known == name);
            named.next().map(|(_, value)| value.into())
        }
    }

    fn shown(proxy: &Option<ProxyConfig>) -> String {
        format!("{proxy:?}")
    }

    #[test]
    fn each_scheme_has_its_own_proxy() {
        let proxies = named(&[]).unwrap();
        assert!(proxies.http.is_none() && proxies.https.is_none());
        let proxies = named(&[("HTTPS_PROXY", "http://outer:3128")]).unwrap();
        assert!(proxies.http.is_none());
        assert!(shown(&proxies.https).contains("http://outer:3128/"));
        let proxies = named(&[("http_proxy", "inner:8080"), ("https_proxy", "//me:pw@x")]).unwrap();
        assert!(shown(&proxies.http).contains("http://inner:8080/"));
        assert!(shown(&proxies.https).contains("http://me:pw@x/"));
    }

    #[test]
    fn lower_case_proxy_variable_wins_over_upper_case_even_if_empty() {
        let both = [
            ("https_proxy", "http://low"),
            ("HTTPS_PROXY", "http://high"),
        ];
        assert!(shown(&named(&both).unwrap().https).contains("http://low/"));
        let none = [("https_proxy", " "), ("HTTPS_PROXY", "http://high")];
        assert!(named(&none).unwrap().https.is_none());
    }

    #[test]
    fn credentials_of_the_machine_are_fetched_without_a_proxy() {
        let hosts = direct(&among(&[
            ("NO_PROXY", "localhost,.internal"),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://[fd00::23]:80/v1/credentials",
            ),
        ]));
        assert_eq!(
            hosts.unwrap(),
            format!("{METADATA},localhost,.internal,fd00::23")
        );
    }

    #[test]
    fn malformed_proxy_address_is_refused_and_not_printed() {
        for address in [
            "http://secret proxy",
            "secret:port",
            "socks5://secret:1",
            "http://secret:",
        ] {
            let refusal = named(&[("HTTP_PROXY", address)]).unwrap_err().to_string();
            assert!(refusal.starts_with("HTTP_PROXY: "), "{refusal}");
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }
}
