//! The check of a client's certificate, which notes in words why one was refused: the handshake's error alone does not say
//! whose it was.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// Characters of a name that a log shows: it comes from anybody.
const NAME_MAX: usize = 80;

tokio::task_local! {
    static NOTE: RefCell<Option<String>>;
}

/// A handshake, and with it what was noted about the client's certificate meanwhile.
pub(super) async fn noting<F: Future>(handshake: F) -> (F::Output, Option<String>) {
    let noted = async {
        let output = handshake.await;
        (output, NOTE.with(RefCell::take))
    };
    NOTE.scope(RefCell::default(), noted).await
}

/// Decides as another verifier does.
#[derive(Debug)]
pub(super) struct Noting {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Noting {
    pub(super) fn new(verifier: Arc<dyn ClientCertVerifier>) -> Self {
        Noting { verifier }
    }
}

impl ClientCertVerifier for Noting {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(leaf, intermediates, now);
        if let Err(error) = &verified {
            // Outside of a handshake of ours there is nobody who would read it.
            let _ = NOTE.try_with(|note| note.replace(Some(in_words(leaf, error))));
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn in_words(leaf: &CertificateDer<'_>, error: &Error) -> String {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return "its certificate can't be read".to_owned();
    };
    let subject = short(certificate.subject());
    let validity = certificate.validity();
    let Error::InvalidCertificate(why) = error else { return format!("its certificate ({subject}): {error}") };
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("its certificate ({subject}) expired on {}: renew it", validity.not_after)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("its certificate ({subject}) is not valid before {}: set the clocks", validity.not_before)
        }
        // CAs that were made in the same way have the same name: then it is the signature that does not fit.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let issuer = short(certificate.issuer());
            format!("its certificate ({subject}, issued by {issuer}) is of another CA than the coordinator trusts")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("its certificate ({subject}) is none for clients: it lacks the usage clientAuth")
        }
        other => format!("its certificate ({subject}): {other}"),
    }
}

fn short(name: &X509Name<'_>) -> String {
    let name = name.to_string();
    let mut shown: String = name.chars().take(NAME_MAX).flat_map(char::escape_debug).collect();
    if name.chars().nth(NAME_MAX).is_some() {
        shown.push('…');
    }
    shown
}
