//! Channels to a coordinator over the network: mutual TLS, or plaintext where that was asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::session::error_chain;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// HTTP/2 pings tell a dead peer from a quiet one.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// The three files a role needs.
#[derive(Clone, Debug)]
pub struct Files {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The contents of [`Files`], PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Material {
    pub ca: Vec<u8>,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl Files {
    /// The files of a role in a folder that `loadgrid certs` made (ca.pem, ROLE.pem, ROLE.key), or else in a mounted
    /// Secret of the type kubernetes.io/tls (ca.crt, tls.crt, tls.key).
    pub fn in_dir(dir: &Path, role: &str) -> Self {
        let certificate = dir.join(format!("{role}.pem"));
        let mounted = ["ca.crt", "tls.crt", "tls.key"].map(|name| dir.join(name));
        if !certificate.exists() && mounted.iter().any(|path| path.exists()) {
            let [ca, certificate, key] = mounted;
            return Files { ca, certificate, key };
        }
        Files { ca: dir.join("ca.pem"), certificate, key: dir.join(format!("{role}.key")) }
    }

    /// Reads them.
    ///
    /// # Errors
    /// A sentence for people: which file, why, and what to do.
    pub fn read(&self) -> Result<Material, String> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| {
                format!(
                    "{} can't be read ({error}): `loadgrid certs DIR` makes certificates, --tls-dir DIR names them, and \
                     --insecure does without",
                    path.display()
                )
            })
        };
        let material = Material { ca: read(&self.ca)?, certificate: read(&self.certificate)?, key: read(&self.key)? };
        // Nobody would be trusted, and it would be said only when somebody is met.
        for (path, pem) in [(&self.ca, &material.ca), (&self.certificate, &material.certificate)] {
            if !matches!(CertificateDer::pem_slice_iter(pem).next(), Some(Ok(_))) {
                return Err(format!("{} holds no certificate: it is a PEM file with at least one", path.display()));
            }
        }
        Ok(material)
    }
}

/// The way to a coordinator: its URL, and the certificates to show there, which may be renewed at any time.
pub struct Way {
    url: String,
    /// Folder and role; `None` for plaintext.
    tls: Option<(PathBuf, String)>,
    last: Mutex<Last>,
}

/// What could be used last.
struct Last {
    endpoint: Endpoint,
    material: Option<Material>,
    /// What was said about files that could not be used since.
    complaint: Option<String>,
}

impl Way {
    /// The way to `url` with the certificates of a role in a folder, or without any.
    ///
    /// # Errors
    /// A sentence for people: what of the URL or the certificates can't be used.
    pub fn new(url: &str, tls: Option<(&Path, &str)>) -> Result<Self, String> {
        let material = tls.map(|(dir, role)| Files::in_dir(dir, role).read()).transpose()?;
        let last = Last { endpoint: endpoint(url, material.clone())?, material, complaint: None };
        let tls = tls.map(|(dir, role)| (dir.to_owned(), role.to_owned()));
        Ok(Way { url: url.to_owned(), tls, last: Mutex::new(last) })
    }

    /// For the next dial: with the files as they are now. If those can't be used, half written as they may be, what
    /// could be used last stays, and that is said once.
    pub fn endpoint(&self) -> Endpoint {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((dir, role)) = &self.tls else { return last.endpoint.clone() };
        let read = Files::in_dir(dir, role).read();
        if read.as_ref().is_ok_and(|material| last.material.as_ref() == Some(material)) {
            last.complaint = None;
            return last.endpoint.clone();
        }
        let renewed = read.and_then(|material| Ok((endpoint(&self.url, Some(material.clone()))?, material)));
        match renewed {
            Ok((endpoint, material)) => {
                tracing::info!("the certificates in {} were renewed", dir.display());
                *last = Last { endpoint, material: Some(material), complaint: None };
            }
            Err(why) if last.complaint.as_ref() != Some(&why) => {
                tracing::warn!("the certificates stay as they were: {why}");
                last.complaint = Some(why);
            }
            Err(_) => {}
        }
        last.endpoint.clone()
    }
}

/// An endpoint for a coordinator's URL. `https` needs `material`, `http` must do without.
///
/// # Errors
/// A sentence for people: what of the URL or the certificates does not fit.
pub fn endpoint(url: &str, material: Option<Material>) -> Result<Endpoint, String> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|error| format!("{url} is not a coordinator's URL ({error}): write https://HOST:PORT"))?;
    let secure = endpoint.uri().scheme_str() == Some("https");
    let endpoint = match (secure, material) {
        (true, Some(material)) => endpoint
            .tls_config(
                ClientTlsConfig::new()
                    .ca_certificate(Certificate::from_pem(material.ca))
                    .identity(Identity::from_pem(material.certificate, material.key)),
            )
            .map_err(|error| format!("the certificates can't be used: {}", error_chain(&error)))?,
        (false, None) => endpoint,
        (true, None) => return Err(format!("{url} means TLS and --insecure means none: write http://")),
        (false, Some(_)) => {
            return Err(format!("{url} is plaintext: write https://, or accept that with --insecure"));
        }
    };
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(2 * KEEP_ALIVE)
        .keep_alive_while_idle(true))
}

/// Opens a channel.
///
/// # Errors
/// The transport's error with all its causes.
pub async fn connect(endpoint: Endpoint) -> Result<Channel, String> {
    endpoint.connect().await.map_err(|error| error_chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://localhost:7400";

    /// A certificate and its key, PEM.
    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("loadgrid-way-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn lay_down(dir: &Path, names: [&str; 3], (certificate, key): &(String, String)) {
        for (name, text) in names.iter().zip([certificate, certificate, key]) {
            fs::write(dir.join(name), text).unwrap();
        }
    }

    fn shown(way: &Way) -> (Vec<u8>, Option<String>) {
        way.endpoint();
        let last = way.last.lock().unwrap();
        (last.material.as_ref().unwrap().certificate.clone(), last.complaint.clone())
    }

    #[test]
    fn a_folder_is_as_certs_makes_it_or_as_a_secret_has_it() {
        let dir = dir("layouts");
        let missing = Files::in_dir(&dir, "worker").read().map(|_| ()).unwrap_err();
        assert!(missing.contains("ca.pem") && missing.contains("loadgrid certs DIR"), "{missing}");
        lay_down(&dir, ["ca.crt", "tls.crt", "tls.key"], &made());
        assert_eq!(Files::in_dir(&dir, "worker").certificate, dir.join("tls.crt"));
        fs::remove_file(dir.join("tls.crt")).unwrap();
        assert!(Files::in_dir(&dir, "worker").read().map(|_| ()).unwrap_err().contains("tls.crt"));
        lay_down(&dir, ["ca.pem", "worker.pem", "worker.key"], &made());
        assert_eq!(Files::in_dir(&dir, "worker").certificate, dir.join("worker.pem"));
        assert!(Way::new(URL, Some((&dir, "worker"))).is_ok());
        let error = Way::new("http://localhost:7400", Some((&dir, "worker"))).map(|_| ()).unwrap_err();
        assert!(error.contains("is plaintext"), "{error}");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn each_dial_shows_what_the_files_hold_then() {
        let dir = dir("renewed");
        let names = ["ca.crt", "tls.crt", "tls.key"];
        let (first, second) = (made(), made());
        lay_down(&dir, names, &first);
        let way = Way::new(URL, Some((&dir, "worker"))).unwrap();
        assert_eq!(shown(&way), (first.0.clone().into_bytes(), None));
        // The new certificate is there and its key is not yet.
        fs::write(dir.join("tls.crt"), &second.0).unwrap();
        let (certificate, complaint) = shown(&way);
        assert_eq!(certificate, first.0.clone().into_bytes());
        assert!(complaint.unwrap().contains("can't be used"));
        for (name, text) in [("ca.crt", ""), ("tls.crt", &second.0[..40])] {
            lay_down(&dir, names, &second);
            fs::write(dir.join(name), text).unwrap();
            let (certificate, complaint) = shown(&way);
            assert_eq!(certificate, first.0.clone().into_bytes());
            assert!(complaint.unwrap().contains(&format!("{name} holds no certificate")));
        }
        lay_down(&dir, names, &second);
        assert_eq!(shown(&way), (second.0.into_bytes(), None));
        fs::remove_dir_all(&dir).unwrap();
        assert!(shown(&way).1.unwrap().contains("can't be read"));
    }
}
