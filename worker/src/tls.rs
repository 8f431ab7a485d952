//! Channels to a coordinator over the network: mutual TLS, or plaintext where that was asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::session::error_chain;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// HTTP/2 pings tell a dead peer from a quiet one.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// The three files a role needs, as `loadgrid certs` lays them out.
#[derive(Clone, Debug)]
pub struct Files {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The contents of [`Files`], PEM.
#[derive(Clone)]
pub struct Material {
    pub ca: Vec<u8>,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl Files {
    /// The files of a role in a folder that `loadgrid certs` made.
    pub fn in_dir(dir: &Path, role: &str) -> Self {
        Files {
            ca: dir.join("ca.pem"),
            certificate: dir.join(format!("{role}.pem")),
            key: dir.join(format!("{role}.key")),
        }
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
        Ok(Material { ca: read(&self.ca)?, certificate: read(&self.certificate)?, key: read(&self.key)? })
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
