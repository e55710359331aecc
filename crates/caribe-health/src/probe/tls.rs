//! TLS: the options of a probe's handshake, and the handshake itself.
//!
//! rustls speaks TLS 1.2 and 1.3. A server that can only older versions fails the handshake,
//! which is as well: no browser would talk to it either.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection::Connection;
use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::way::Way;
use super::{Code, PrepareError, socket};

/// How a probe's handshake goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    /// The name that is asked for (SNI), and that the certificate must be for. Without one no
    /// name is sent, and the certificate must be for the server's address.
    #[serde(default)]
    pub server_name: Option<TlsName>,
    /// Whose certificates are believed.
    #[serde(default)]
    pub verify: Verify,
    /// The certificate that the probe shows, if the server asks for one.
    #[serde(default)]
    pub identity: Option<Identity>,
}

/// Whose certificates are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Any: the probe asks whether the server serves, not who it is. The handshake's signatures
    /// are checked all the same.
    #[default]
    None,
    /// Those that this machine trusts.
    System,
    /// Those signed by an authority in this PEM file.
    Authorities(PathBuf),
}

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// PEM file of the certificate and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file of its private key, not encrypted.
    pub key: PathBuf,
}

/// A DNS name for SNI.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TlsName(String);

/// A name that TLS cannot ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no DNS name that TLS could ask for")]
pub struct TlsNameError(String);

impl TryFrom<String> for TlsName {
    type Error = TlsNameError;

    fn try_from(name: String) -> Result<TlsName, TlsNameError> {
        match ServerName::try_from(name.as_str()) {
            Ok(ServerName::DnsName(_)) => Ok(TlsName(name)),
            _ => Err(TlsNameError(name)),
        }
    }
}

impl From<TlsName> for String {
    fn from(name: TlsName) -> String {
        name.0
    }
}

impl TlsName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A handshake that must succeed, and nothing more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsCheck {
    /// How it goes.
    #[serde(default)]
    pub tls: TlsOptions,
}

impl TlsCheck {
    pub(super) async fn run(
        &self,
        connector: &Connector,
        target: &Way<'_>,
        deadline: &Deadline,
    ) -> Step<Found> {
        let stream = connector.connect(target, deadline).await?;
        let version = stream.get_ref().1.protocol_version();
        let version = version.and_then(|version| version.as_str());
        Ok(Found::new(
            Code::L6Ok,
            format_args!("{} speaks {}", target.address, version.unwrap_or("TLS")),
        ))
    }
}

/// Options made ready: files read, keys parsed.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// Reads the files that the options name. It blocks.
    pub(super) fn prepare(options: &TlsOptions, alpn: &[&[u8]]) -> Result<Connector, PrepareError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(PrepareError::Tls)?;
        let builder = match &options.verify {
            Verify::None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(BelieveAnyone(provider))),
            Verify::System => builder.with_root_certificates(system_authorities()?),
            Verify::Authorities(file) => builder.with_root_certificates(authorities(file)?),
        };
        let mut config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificates = certificates(&identity.certificate)?;
                let key = PrivateKeyDer::from_pem_file(&identity.key)
                    .map_err(|error| PrepareError::file("a private key", &identity.key, error))?;
                builder
                    .with_client_auth_cert(certificates, key)
                    .map_err(|error| {
                        PrepareError::file("the key of a certificate", &identity.key, error)
                    })?
            }
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        // A probe shall do what a new client does.
        config.resumption = rustls::client::Resumption::disabled();
        let name = options.server_name.as_ref().map(|name| {
            ServerName::try_from(name.0.clone()).map_err(|_| {
                // The type has seen to it; a name that fails nevertheless is told like a file.
                PrepareError::Name(name.0.clone())
            })
        });
        Ok(Connector {
            tls: TlsConnector::from(Arc::new(config)),
            name: name.transpose()?,
        })
    }

    /// Connects and shakes hands.
    pub(super) async fn connect(
        &self,
        target: &Way<'_>,
        deadline: &Deadline,
    ) -> Step<TlsStream<Connection>> {
        let stream = socket::connect_tcp(target, deadline).await?;
        let address = target.address;
        let name = self
            .name
            .clone()
            .unwrap_or_else(|| ServerName::from(address.ip()));
        deadline
            .bound(
                Code::L6Timeout,
                format_args!("TLS handshake with {address}"),
                self.tls.connect(name, stream),
            )
            .await?
            .map_err(|error| {
                Found::new(
                    Code::L6Response,
                    format_args!("TLS handshake with {address} failed: {error}"),
                )
            })
    }
}

/// The address for the `Host` header and its like: an IPv6 one in brackets.
pub(super) fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, PrepareError> {
    let failed = |error| PrepareError::file("certificates", file, error);
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed)?;
    if certificates.is_empty() {
        return Err(PrepareError::file(
            "certificates",
            file,
            "there is none in it",
        ));
    }
    Ok(certificates)
}

fn authorities(file: &Path) -> Result<RootCertStore, PrepareError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| PrepareError::file("an authority", file, error))?;
    }
    Ok(roots)
}

fn system_authorities() -> Result<RootCertStore, PrepareError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some of a system's authorities are always too odd for one library or another.
    let (added, _odd) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(PrepareError::NoSystemAuthorities {
            reason: found
                .errors
                .first()
                .map_or_else(|| "none found".to_owned(), ToString::to_string),
        });
    }
    Ok(roots)
}

/// Takes any certificate, for probes that do not ask who the server is.
#[derive(Debug)]
struct BelieveAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for BelieveAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_name() {
        assert!(TlsName::try_from("www.example.org".to_owned()).is_ok());
        for name in ["", "192.0.2.1", "::1", "a b", "a..b", "é.example"] {
            assert!(TlsName::try_from(name.to_owned()).is_err(), "{name}");
        }
    }

    #[test]
    fn files_that_are_missing_or_no_pem_are_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("missing.pem");
        let options = TlsOptions {
            verify: Verify::Authorities(missing.clone()),
            ..TlsOptions::default()
        };
        let error = Connector::prepare(&options, &[]).expect_err("refused");
        assert!(error.to_string().contains("missing.pem"), "{error}");
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "nothing").expect("written");
        let options = TlsOptions {
            identity: Some(Identity {
                certificate: empty.clone(),
                key: empty,
            }),
            ..TlsOptions::default()
        };
        let error = Connector::prepare(&options, &[]).expect_err("refused");
        assert!(error.to_string().contains("there is none in it"), "{error}");
    }
}
