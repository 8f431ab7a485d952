//! A kubelet as far as a tunnel needs one: it takes the API server's port-forwards, over the WebSockets that clients
//! speak through it, and joins each with a socket of this machine. It runs no pods.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// What is spoken: a byte for the channel before each message, and the port as each channel's first message.
const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Takes port-forwards of any pod's port on a port of loopback, which it answers; all of them lead to `to`.
pub async fn start(to: SocketAddr) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let acceptor = acceptor();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(forward(socket, acceptor.clone(), to));
        }
    });
    port
}

/// With a certificate that nobody checks: the API server does so only where it is told to.
fn acceptor() -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).and_then(|params| params.self_signed(&key));
    let chain = vec![certificate.expect("a certificate").der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.expect("versions").with_no_client_auth().with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("a server's side")))
}

async fn forward(socket: TcpStream, acceptor: TlsAcceptor, to: SocketAddr) {
    let Ok(stream) = acceptor.accept(socket).await else { return };
    let mut port = None;
    // What a refusal would be is large, and there is none.
    #[allow(clippy::result_large_err)]
    let handshake = |request: &Request, mut response: Response| {
        let query = request.uri().query().unwrap_or_default();
        let ports =
            query.split('&').find_map(|part| part.strip_prefix("ports=").or_else(|| part.strip_prefix("port=")));
        port = ports.and_then(|port| port.parse::<u16>().ok());
        assert!(request.uri().path().starts_with("/portForward/"), "{}", request.uri());
        response.headers_mut().insert("sec-websocket-protocol", PROTOCOL.parse().expect("a header"));
        Ok(response)
    };
    let Ok(socket) = accept_hdr_async(stream, handshake).await else { return };
    let (mut send, mut receive) = socket.split();
    let port = port.expect("a port to forward").to_le_bytes();
    for channel in [DATA, ERROR] {
        let first = Message::binary(vec![channel, port[0], port[1]]);
        send.send(first).await.expect("a client that listens");
    }
    let target = match TcpStream::connect(to).await {
        Ok(target) => target,
        Err(error) => {
            let said = [&[ERROR], format!("failed to connect: {error}").as_bytes()].concat();
            let _ = send.send(Message::binary(said)).await;
            let _ = send.close().await;
            return;
        }
    };
    let (mut from, mut into) = target.into_split();
    let up = async {
        while let Some(Ok(message)) = receive.next().await {
            match message {
                Message::Binary(bytes) if bytes.first() == Some(&DATA) => match into.write_all(&bytes[1..]).await {
                    Ok(()) => {}
                    Err(_) => break,
                },
                Message::Close(_) => break,
                _ => {}
            }
        }
        let _ = into.shutdown().await;
    };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        buffer[0] = DATA;
        while let Ok(count @ 1..) = from.read(&mut buffer[1..]).await {
            if send.send(Message::binary(buffer[..=count].to_vec())).await.is_err() {
                break;
            }
        }
        let _ = send.close().await;
    };
    tokio::join!(up, down);
}
