//! The coordinator's certificate and the CA of its clients, as files that may change under it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use loadgrid_worker::tls::{Files, Material};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::verifier::Noting;

/// The files are looked at once in this time at the most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whose certificate it is.
const ROLE: &str = "coordinator";

/// A folder with certificates, in either of the layouts that [`Files::in_dir`] knows. The CA's file may hold several: while
/// a CA is replaced, the old one and the new one.
pub struct Certificates {
    dir: PathBuf,
    every: Duration,
    looked: Instant,
    /// What was there at the last look, and whether it can be used is another matter.
    seen: Result<Material, String>,
    config: Arc<ServerConfig>,
}

impl Certificates {
    /// Reads the folder.
    ///
    /// # Errors
    /// A sentence for people: which file, why, and what to do.
    pub fn open(dir: &Path) -> Result<Self, String> {
        Self::looking(dir, LOOK_EVERY)
    }

    pub(super) fn looking(dir: &Path, every: Duration) -> Result<Self, String> {
        let material = Files::in_dir(dir, ROLE).read()?;
        let (config, until) = config(&material).map_err(|why| unusable(dir, &why))?;
        warn_if_expired(dir, &until);
        let (dir, config) = (dir.to_owned(), Arc::new(config));
        Ok(Certificates { dir, every, looked: Instant::now(), seen: Ok(material), config })
    }

    /// For the next handshake. If the files have changed and can be used, they are from now on; if they can't, being
    /// half written or worse, the ones before stay, and that is said once.
    pub(super) fn config(&mut self, now: Instant) -> Arc<ServerConfig> {
        if now.saturating_duration_since(self.looked) >= self.every {
            self.looked = now;
            self.look();
        }
        self.config.clone()
    }

    fn look(&mut self) {
        let found = Files::in_dir(&self.dir, ROLE).read();
        if found == self.seen {
            return;
        }
        let renewed = found
            .as_ref()
            .map_err(String::clone)
            .and_then(|material| config(material).map_err(|why| unusable(&self.dir, &why)));
        match renewed {
            Ok((config, until)) => {
                tracing::info!("the certificates in {} were renewed: good until {}", self.dir.display(), until.words);
                warn_if_expired(&self.dir, &until);
                self.config = Arc::new(config);
            }
            Err(why) => tracing::warn!("the certificates stay as they were: {why}"),
        }
        self.seen = found;
    }
}

/// The end of a certificate's validity.
struct Until {
    words: String,
    over: bool,
}

fn unusable(dir: &Path, why: &str) -> String {
    format!("the certificates in {} can't be used: {why}", dir.display())
}

fn warn_if_expired(dir: &Path, until: &Until) {
    if until.over {
        let dir = dir.display();
        tracing::warn!("the coordinator's certificate in {dir} expired on {}: clients will refuse it", until.words);
    }
}

/// What a handshake goes by.
///
/// # Errors
/// A part of a sentence: what is wrong with which of them.
fn config(material: &Material) -> Result<(ServerConfig, Until), String> {
    let mut roots = RootCertStore::empty();
    for authority in chain(&material.ca).map_err(|why| format!("the CA's file {why}"))? {
        roots.add(authority).map_err(|error| format!("the CA's certificate: {error}"))?;
    }
    let chain = chain(&material.certificate).map_err(|why| format!("the certificate's file {why}"))?;
    let until = chain.first().map(until).ok_or("the certificate's file has none")??;
    let key = PrivateKeyDer::from_pem_slice(&material.key).map_err(|error| format!("the key's file: {error}"))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| format!("the CA's file: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(Arc::new(Noting::new(verifier)))
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate and key: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A session that is resumed would not show its certificate again, which may have expired since.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((config, until))
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is no whole PEM file: {error}"))
}

fn until(certificate: &CertificateDer<'_>) -> Result<Until, String> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|error| format!("the certificate can't be read: {error}"))?;
    let end = certificate.validity().not_after;
    Ok(Until { words: end.to_string(), over: end < ASN1Time::now() })
}
