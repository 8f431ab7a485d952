//! The service's certificate: read from a folder, or made there. Who connects needs none.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::grid::certs::{LEAF_DAYS, authority, lay_down, named, valid_for};

const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";

/// Names in a certificate that is made here.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What takes up connections with the certificate of a folder. Where there is neither certificate nor key, they are
/// made, with a CA for clients to trust whose own key is kept by nobody.
///
/// # Errors
/// A sentence for people: which file, why, and what to do.
pub(super) fn acceptor(dir: &Path) -> Result<TlsAcceptor, String> {
    match (dir.join(CERTIFICATE).exists(), dir.join(KEY).exists()) {
        (false, false) => {
            let made = make().map_err(|error| format!("the demo service's certificate can't be made: {error}"))?;
            lay_down(dir, made)?;
        }
        (true, true) => {}
        (certificate, _) => {
            let (there, missing) = if certificate { (CERTIFICATE, KEY) } else { (KEY, CERTIFICATE) };
            return Err(format!(
                "{} has {there} and no {missing}: add it, or name another folder with --tls-dir",
                dir.display()
            ));
        }
    }
    let (certificate, key) = (dir.join(CERTIFICATE), dir.join(KEY));
    let chain = read(&certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| no_pem(&certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|error| no_pem(&key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS can't be set up: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| format!("{} and {KEY} can't be used: {error}", certificate.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{} can't be read: {error}", path.display()))
}

fn no_pem(path: &Path, error: &dyn std::error::Error) -> String {
    format!("{} is no PEM file of the kind that belongs there: {error}", path.display())
}

fn make() -> Result<Vec<(String, String)>, rcgen::Error> {
    let (ca, issuer) = authority("loadgrid demo CA")?;
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    params.distinguished_name = named("loadgrid demo service");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    valid_for(&mut params, LEAF_DAYS);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    let files = [("ca.pem", ca), (CERTIFICATE, certificate.pem()), (KEY, key.serialize_pem())];
    Ok(files.map(|(name, pem)| (name.to_owned(), pem)).into())
}
