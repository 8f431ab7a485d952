//! Certificates: a CA and one certificate a role, and the check of the role that a peer shows.
//!
//! Two things keep roles apart: the extended key usage (a worker's or operator's certificate can't be a server's), and
//! a URI in the subject alternative names that says what its holder may do.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use loadgrid_proto::ROLE_URI_PREFIX;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use tonic::Status;
use tonic::transport::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Validity of what `loadgrid certs` makes, days.
const CA_DAYS: i64 = 3650;
pub(crate) const LEAF_DAYS: i64 = 365;

/// The role in a DNS name: `worker.role.loadgrid.invalid`.
const ROLE_NAME_SUFFIX: &str = ".role.loadgrid.invalid";

/// What the holder of a certificate may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves sessions.
    Coordinator,
    /// Opens sessions.
    Worker,
    /// Looks at runs and stops them.
    Operator,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Coordinator, Role::Worker, Role::Operator];

    pub fn name(self) -> &'static str {
        match self {
            Role::Coordinator => "coordinator",
            Role::Worker => "worker",
            Role::Operator => "operator",
        }
    }
}

/// Refuses a peer whose certificate is not this role's.
///
/// # Errors
/// UNAUTHENTICATED without a certificate, PERMISSION_DENIED with another role's.
pub fn require_role(certificates: Option<&[CertificateDer<'static>]>, role: Role) -> Result<(), Status> {
    let Some(leaf) = certificates.and_then(<[_]>::first) else {
        return Err(Status::unauthenticated("no certificate was shown"));
    };
    let shown = role_of(leaf.as_ref());
    if shown.as_deref() == Some(role.name()) {
        return Ok(());
    }
    let shown = shown.map_or("a certificate without a role".to_owned(), |shown| format!("the {shown}'s certificate"));
    Err(Status::permission_denied(format!("{shown} was shown where the {}'s is needed", role.name())))
}

fn role_of(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix(ROLE_URI_PREFIX).map(str::to_owned),
        // For issuers that can't write URIs, such as Helm. Nobody can own the name (RFC 6761 §6.4).
        GeneralName::DNSName(name) => name.strip_suffix(ROLE_NAME_SUFFIX).map(str::to_owned),
        _ => None,
    })
}

/// Writes `ca.pem`, `ca.key`, and certificate and key of each role into a folder. `names` are the DNS names and IP
/// addresses that the coordinator is reached by.
///
/// # Errors
/// A sentence for people: a file is there already or can't be written, or a name is none.
pub fn write(dir: &Path, names: &[String]) -> Result<(), String> {
    let made = make(names).map_err(|error| format!("the certificates can't be made: {error}"))?;
    lay_down(dir, made)
}

/// Writes files (name, PEM) into a folder that need not be there yet.
///
/// # Errors
/// A sentence for people: a file is there already or can't be written.
pub(crate) fn lay_down(dir: &Path, made: Vec<(String, String)>) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|error| format!("{} can't be made: {error}", dir.display()))?;
    // All or nothing: a folder with two halves of different CAs would be hard to see through.
    if let Some((name, _)) = made.iter().find(|(name, _)| dir.join(name).exists()) {
        return Err(format!("{} is there already: name another folder, or remove it first", dir.join(name).display()));
    }
    for (name, pem) in made {
        let path = dir.join(&name);
        // Keys are for their owner alone.
        let mode = if name.ends_with(".key") { 0o600 } else { 0o644 };
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        file.and_then(|mut file| file.write_all(pem.as_bytes()))
            .map_err(|error| format!("{} can't be written: {error}", path.display()))?;
    }
    Ok(())
}

fn make(names: &[String]) -> Result<Vec<(String, String)>, rcgen::Error> {
    let (certificate, issuer) = authority("loadgrid CA")?;
    let mut made = vec![("ca.pem".to_owned(), certificate), ("ca.key".to_owned(), issuer.key().serialize_pem())];
    for role in Role::ALL {
        let (certificate, key) = leaf(role, names, &issuer)?;
        made.push((format!("{}.pem", role.name()), certificate));
        made.push((format!("{}.key", role.name()), key));
    }
    Ok(made)
}

/// A CA: its certificate, PEM, and what signs in its name.
pub(crate) fn authority(name: &str) -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, CA_DAYS);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

fn leaf(role: Role, names: &[String], issuer: &Issuer<'_, KeyPair>) -> Result<(String, String), rcgen::Error> {
    let names = if role == Role::Coordinator { names.to_vec() } else { Vec::new() };
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named(&format!("loadgrid {}", role.name()));
    params.subject_alt_names.push(SanType::URI(format!("{ROLE_URI_PREFIX}{}", role.name()).try_into()?));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match role {
        Role::Coordinator => ExtendedKeyUsagePurpose::ServerAuth,
        Role::Worker | Role::Operator => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    valid_for(&mut params, LEAF_DAYS);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

pub(crate) fn named(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

pub(crate) fn valid_for(params: &mut CertificateParams, days: i64) {
    let now = time::OffsetDateTime::now_utc();
    // Clocks of other machines may be a little behind.
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(days);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_certificate_shows_its_role_and_no_other() {
        let issuer_key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(CertificateParams::new(Vec::<String>::new()).unwrap(), issuer_key);
        for role in Role::ALL {
            let (pem, _) = leaf(role, &["localhost".to_owned()], &issuer).unwrap();
            let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
            let der = [CertificateDer::from(pem.contents)];
            for asked in Role::ALL {
                assert_eq!(require_role(Some(&der), asked).is_ok(), asked == role, "{role:?} as {asked:?}");
            }
        }
        assert!(require_role(None, Role::Worker).is_err());
    }

    #[test]
    fn a_role_may_be_a_name() {
        let issuer_key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(CertificateParams::new(Vec::<String>::new()).unwrap(), issuer_key);
        let shown = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
            role_of(certificate.der())
        };
        assert_eq!(shown(&["grid", "worker.role.loadgrid.invalid"]).as_deref(), Some("worker"));
        assert_eq!(shown(&["worker.role.loadgrid.invalid.example.com", "worker"]), None);
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = std::env::temp_dir().join(format!("loadgrid-certs-{}", std::process::id()));
        write(&dir, &["localhost".to_owned()]).unwrap();
        let ca = fs::read(dir.join("ca.pem")).unwrap();
        assert!(write(&dir, &["localhost".to_owned()]).unwrap_err().contains("is there already"));
        assert_eq!(fs::read(dir.join("ca.pem")).unwrap(), ca);
        fs::remove_dir_all(&dir).unwrap();
    }
}
