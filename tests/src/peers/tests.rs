use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// The settings that an HTTP/2 server sends first.
fn settings(address: SocketAddr) -> Vec<(u16, u32)> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[PREFACE, EMPTY_SETTINGS].concat()).unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4, "the first frame is SETTINGS: {head:?}");
    let mut body = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut body).unwrap();
    let setting = |s: &[u8]| (u16::from_be_bytes([s[0], s[1]]), u32::from_be_bytes([s[2], s[3], s[4], s[5]]));
    body.chunks_exact(6).map(setting).collect()
}

#[test]
fn nginx_counts_what_it_was_asked() {
    let Some(nginx) = Nginx::start(&NginxOptions::default()) else { return };
    assert_eq!((nginx.connections(), nginx.requests()), (0, 0));
    assert_eq!(get(nginx.http1, "/").unwrap(), "hello world");
    assert!(get(nginx.http1, "/echo").unwrap().starts_with("HTTP/1.1 GET /echo host=x"));
    assert_eq!(get(nginx.http1, "/large").unwrap().len(), LARGE);
    assert!(get(nginx.http1, "/503").is_err());
    assert_eq!((nginx.connections(), nginx.requests()), (4, 4));
    let log = nginx.log();
    assert_eq!(log.len(), 4);
    assert!(log[3].starts_with("HTTP/1.1 GET /503 503 ") && log[3].ends_with(" 1"), "{log:?}");
    assert!(nginx.tls.is_none());
}

#[test]
fn nginx_closes_after_as_many_requests_as_it_is_told() {
    let Some(nginx) = Nginx::start(&NginxOptions { keepalive_requests: Some(2), ..NginxOptions::default() }) else {
        return;
    };
    let mut stream = TcpStream::connect(nginx.http1).unwrap();
    stream.write_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3).as_bytes()).unwrap();
    let mut text = String::new();
    // The third request may be answered with a reset.
    let _ = stream.read_to_string(&mut text);
    assert_eq!((nginx.requests(), text.matches("hello world").count()), (2, 2), "{text}");
}

#[test]
fn nginx_speaks_http2_with_as_many_streams_as_it_is_told() {
    let Some(nginx) = Nginx::start(&NginxOptions { streams: Some(7), ..NginxOptions::default() }) else { return };
    assert!(settings(nginx.h2c).contains(&(MAX_CONCURRENT_STREAMS, 7)));
}

#[test]
fn nginx_serves_tls() {
    let dir = folder("certificates");
    let certificates = Certificates::make(&dir);
    let ca = certificates.certificate.with_file_name("ca.pem");
    let options = NginxOptions { certificates: Some(certificates.with_client_ca(ca)), ..NginxOptions::default() };
    let Some(nginx) = Nginx::start(&options) else { return };
    // It waits for the client to speak, and takes what is no TLS for a mistake.
    let error = get(nginx.tls.unwrap(), "/").unwrap_err().to_string();
    assert!(error.contains("plain HTTP request was sent to HTTPS port"), "{error}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn nghttpd_allows_as_many_streams_as_it_is_told() {
    let Some(nghttpd) = Nghttpd::start(3) else { return };
    assert!(settings(nghttpd.address).contains(&(MAX_CONCURRENT_STREAMS, 3)));
}

#[test]
fn the_grpc_server_counts_calls_and_ends() {
    let Some(guide) = RouteGuide::start(&RouteGuideOptions::default()) else { return };
    assert!(!settings(guide.address).is_empty());
    let counted = guide.stop();
    assert_eq!(counted["calls"], serde_json::json!({}), "{counted}");
    assert!(["received", "sent", "cancelled"].iter().all(|what| counted[what].is_object()));
}

#[test]
fn a_server_and_its_folder_go_with_its_handle() {
    let Some(nginx) = Nginx::start(&NginxOptions::default()) else { return };
    let (dir, address) = (nginx.process.dir.clone(), nginx.http1);
    assert!(dir.exists());
    drop(nginx);
    assert!(!dir.exists());
    assert!(TcpStream::connect(address).is_err());
}
