//! Whether a target is there and speaks what the test wants, found out before the load: one connection to each address,
//! no request.

use std::time::Duration;

use loadgrid_proto::ErrorKind;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::http2::frame;
use super::resolve::Target;
use super::secure::{Version, handshake_error};

/// Tries all targets, keeps of each the addresses that took the connection, and settles which protocol it speaks.
///
/// # Errors
/// A sentence for people: which target is not there or not what the test says, why, and what to do.
pub async fn reachable(targets: &mut [Target], timeout: Duration) -> Result<(), String> {
    for target in targets {
        let mut refusal = None;
        let mut taken = Vec::new();
        let mut http2 = None;
        for address in &target.addresses {
            match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    taken.push(*address);
                    if http2.is_none() {
                        let spoken = tokio::time::timeout(timeout, speak(target, stream)).await;
                        let silent = || Err(format!("it says nothing for {} s", timeout.as_secs_f64()));
                        http2 = Some(
                            spoken
                                .unwrap_or_else(|_| silent())
                                .map_err(|why| format!("{}:{} ({address}): {why}", target.host, target.port))?,
                        );
                    }
                }
                Ok(Err(error)) => refusal = Some((*address, error.to_string())),
                Err(_) => refusal = Some((*address, format!("no answer in {} s", timeout.as_secs_f64()))),
            }
        }
        if let (true, Some((address, why))) = (taken.is_empty(), refusal) {
            return Err(format!(
                "{}:{} ({address}) takes no connection: {why}. Start the service, or mend the URL",
                target.host, target.port
            ));
        }
        target.addresses = taken;
        target.http2 = http2.unwrap_or(false);
    }
    Ok(())
}

/// Whether the target speaks HTTP/2, where that is not for the test alone to say.
async fn speak(target: &Target, stream: TcpStream) -> Result<bool, String> {
    let Some(secure) = &target.secure else {
        return match target.version {
            Version::Http2 => preface(stream).await.map(|()| true),
            _ => Ok(false),
        };
    };
    let connector = TlsConnector::from(secure.config.clone());
    let stream = connector.connect(secure.name.clone(), stream).await.map_err(|error| handshake_error(&error).1)?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    match target.version {
        Version::Http2 if !http2 => {
            Err("it does not offer HTTP/2 (no ALPN answer): set http.version to 1.1 or auto".to_owned())
        }
        // In TLS 1.3 a server that wants a certificate says so only after the handshake.
        Version::Http2 | Version::Auto if http2 => preface(stream).await.map(|()| true),
        _ => Ok(false),
    }
}

/// Says hello in HTTP/2 and waits for the server to do the same (RFC 9113 §3.4).
async fn preface(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
    let mut hello = frame::PREFACE.to_vec();
    frame::settings(&mut hello, &[]);
    let told = stream.write_all(&hello).await;
    let mut head = [0; frame::HEAD_BYTES];
    let heard = match told {
        Ok(()) => stream.read_exact(&mut head).await.map(|_| ()),
        Err(error) => Err(error),
    };
    let mend = "set http.version to 1.1, or serve h2c";
    match heard {
        Ok(()) if head.starts_with(b"HTTP/1") => Err(format!("it answers HTTP/2's preface in HTTP/1.1: {mend}")),
        Ok(()) if frame::Head::parse(&head).kind == frame::SETTINGS => Ok(()),
        Ok(()) => Err(format!("it does not speak HTTP/2: {mend}")),
        Err(error) => match handshake_error(&error) {
            (ErrorKind::TlsHandshake, _) if error.get_ref().is_none() => {
                Err(format!("it ended the connection at HTTP/2's preface ({error}): {mend}"))
            }
            (_, why) => Err(why),
        },
    }
}
