//! TLS towards the target: trust, identity, protocol negotiation, and what a refusal means in plain words.

use std::io;
use std::sync::Arc;

use loadgrid_proto::ErrorKind;
use loadgrid_proto::v1;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, PeerMisbehaved, RootCertStore,
    SignatureScheme,
};

/// How a test speaks TLS with a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM of the authorities to trust; empty for the platform's.
    pub ca: Vec<u8>,
    /// PEM of the client's chain and key, if it has one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Asked for and verified instead of the URL's host.
    pub server_name: Option<String>,
    /// Accept whatever certificate is shown. Reports say so.
    pub insecure_skip_verify: bool,
}

/// Which protocol a test wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    #[default]
    Http1,
    /// By ALPN; in cleartext with prior knowledge (RFC 9113 §3.3).
    Http2,
    /// By ALPN; in cleartext HTTP/1.1.
    Auto,
}

impl Version {
    /// As in a test's file.
    pub fn name(self) -> &'static str {
        match self {
            Version::Http1 => "1.1",
            Version::Http2 => "2",
            Version::Auto => "auto",
        }
    }

    fn alpn(self) -> Vec<Vec<u8>> {
        let (h1, h2) = (b"http/1.1".to_vec(), b"h2".to_vec());
        match self {
            Version::Http1 => vec![h1],
            Version::Http2 => vec![h2],
            Version::Auto => vec![h2, h1],
        }
    }
}

/// Everything that a handshake needs.
#[derive(Clone, Debug)]
pub struct Secure {
    pub config: Arc<ClientConfig>,
    pub name: ServerName<'static>,
}

impl Secure {
    /// Reads certificates and key; `host` is the URL's.
    ///
    /// # Errors
    /// A sentence: what is not PEM, does not fit together, or is missing on this machine.
    pub fn new(tls: &Tls, version: Version, host: &str) -> Result<Self, String> {
        let config = config(tls, &version.alpn())?;
        let name = tls.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("'{name}' is no name that a certificate can have: set tls.serverName"))?;
        Ok(Secure { config: Arc::new(config), name })
    }
}

/// A client's configuration for these protocols.
///
/// # Errors
/// As [`Secure::new`].
pub fn config(tls: &Tls, alpn: &[Vec<u8>]) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        builder.with_root_certificates(roots(&tls.ca)?)
    };
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
            let chain = chain.map_err(|error| format!("tls.cert is not a PEM certificate ({error})"))?;
            let key =
                PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("tls.key is not a PEM key ({error})"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("tls.cert and tls.key do not belong together ({error})"))?
        }
    };
    config.alpn_protocols = alpn.to_vec();
    // Each connection stands for a client that has not been here before: its handshake is a full one.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn roots(ca: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if ca.is_empty() {
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            return Err("this machine has no certificates of authorities to trust: install ca-certificates, set \
                        SSL_CERT_FILE, or give tls.ca"
                .to_owned());
        }
        return Ok(roots);
    }
    for certificate in CertificateDer::pem_slice_iter(ca) {
        let certificate = certificate.map_err(|error| format!("tls.ca is not a PEM certificate ({error})"))?;
        roots.add(certificate).map_err(|error| format!("tls.ca holds a certificate that can't be used ({error})"))?;
    }
    if roots.is_empty() { Err("tls.ca holds no PEM certificate".to_owned()) } else { Ok(roots) }
}

/// Accepts every certificate and name. The handshake's signature is still verified: the peer owns the key it shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The kind of a failed handshake, and a sentence for people.
pub fn handshake_error(error: &io::Error) -> (ErrorKind, String) {
    let tls: Option<&rustls::Error> = error.get_ref().and_then(|inner| inner.downcast_ref());
    match tls {
        Some(rustls::Error::InvalidCertificate(wrong)) => (ErrorKind::Certificate, certificate_error(wrong)),
        Some(
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
            | rustls::Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol),
        ) => (ErrorKind::Alpn, "it refuses the protocol that was offered (ALPN): set http.version to auto".to_owned()),
        Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            (ErrorKind::TlsHandshake, "it demands a client certificate: set tls.cert and tls.key".to_owned())
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            (ErrorKind::TlsHandshake, format!("it refused the TLS handshake ({alert:?})"))
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            (ErrorKind::TlsHandshake, "it does not speak TLS: write http:// or leave tls out".to_owned())
        }
        Some(other) => (ErrorKind::TlsHandshake, format!("the TLS handshake failed ({other})")),
        None => (ErrorKind::TlsHandshake, format!("the TLS handshake failed ({error})")),
    }
}

fn certificate_error(error: &CertificateError) -> String {
    use CertificateError as Wrong;
    let when = |time: &UnixTime| {
        jiff::Timestamp::from_second(time.as_secs() as i64)
            .map_or_else(|_| time.as_secs().to_string(), |t| t.to_string())
    };
    match error {
        Wrong::ExpiredContext { not_after, .. } => {
            format!("its certificate expired at {}: renew it, or set tls.insecureSkipVerify", when(not_after))
        }
        Wrong::NotValidYetContext { not_before, .. } => {
            format!("its certificate is not valid before {}: compare the clocks", when(not_before))
        }
        Wrong::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| plain_name(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("its certificate is not for {} but for {names}: set tls.serverName", expected.to_str())
        }
        Wrong::UnknownIssuer => {
            "its certificate is signed by nobody known here: give the authority's with tls.ca".to_owned()
        }
        Wrong::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it shows the certificate of an authority: sign one for the server with it, or set tls.insecureSkipVerify"
                .to_owned()
        }
        other => format!("its certificate is refused ({other})"),
    }
}

/// `DnsName("a")` to `a`.
fn plain_name(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, inner)| inner.trim_end_matches(')').trim_matches('"'))
}

impl From<v1::Tls> for Tls {
    fn from(message: v1::Tls) -> Self {
        Tls {
            identity: (!message.certificate.is_empty()).then_some((message.certificate, message.key)),
            ca: message.ca,
            server_name: Some(message.server_name).filter(|name| !name.is_empty()),
            insecure_skip_verify: message.insecure_skip_verify,
        }
    }
}

impl From<&Tls> for v1::Tls {
    fn from(tls: &Tls) -> Self {
        let (certificate, key) = tls.identity.clone().unwrap_or_default();
        v1::Tls {
            ca: tls.ca.clone(),
            certificate,
            key,
            server_name: tls.server_name.clone().unwrap_or_default(),
            insecure_skip_verify: tls.insecure_skip_verify,
        }
    }
}
