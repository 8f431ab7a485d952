//! HTTP/1.1 and HTTP/2 in plaintext.

use loadgrid_worker::clock;
use serde_json::json;

use super::*;

#[tokio::test]
async fn both_protocols_are_answered_on_one_port_and_counted() {
    let service = start(1, 0.0).await;
    for mut client in Client::both(service.address()).await {
        // Several on each, as connections are kept.
        for method in ["GET", "GET", "POST"] {
            let said = client.send(method, "/", "", "whatever").await;
            assert_eq!((said.status, said.body.as_ref()), (StatusCode::OK, b"xxxxx".as_slice()));
        }
    }
    let mut asker = Client::one(service.address()).await;
    let counted = json!({
        "requests": 6,
        "errors": 0,
        "connections": { "accepted": 3, "http1": 1, "http2": 1 },
        "grpc": {},
    });
    assert_eq!(asker.stats().await, counted);
    assert_eq!(asker.stats().await, counted);
}

#[tokio::test]
async fn answers_take_their_time_on_each_path_that_has_a_latency() {
    let service = start(20, 0.0).await;
    for mut client in Client::both(service.address()).await {
        for (path, status) in [("/", 200), ("/echo", 200), ("/orders", 401), ("/login", 405)] {
            let began = clock::now_ns();
            assert_eq!(client.get(path).await.status, status, "{path}");
            assert!(clock::now_ns() - began >= 20 * MILLISECOND_NS, "{path}");
        }
    }
}

#[tokio::test]
async fn streams_of_a_connection_are_answered_side_by_side() {
    let service = start(100, 0.0).await;
    let Client::Two(sender, _) = Client::two(service.address()).await else { panic!("HTTP/2") };
    let began = clock::now_ns();
    let asked: Vec<_> =
        (0..100).map(|_| tokio::spawn(Client::Two(sender.clone(), service.address()).answered())).collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), StatusCode::OK);
    }
    // One after the other they would take ten seconds.
    assert!(clock::now_ns() - began < 5_000 * MILLISECOND_NS);
}

impl Client {
    async fn answered(mut self) -> StatusCode {
        self.get("/").await.status
    }
}

#[tokio::test]
async fn a_connection_may_have_so_many_streams_and_no_more() {
    let service = start(0, 0.0).await;
    let stream = TokioIo::new(TcpStream::connect(service.address()).await.unwrap());
    let (mut sender, mut connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let request = Request::builder().uri(format!("http://{}/", service.address()));
    let answered = sender.send_request(request.body(Full::<Bytes>::default()).unwrap());
    // The settings have come before the answer.
    tokio::select! {
        answer = answered => assert_eq!(answer.unwrap().status(), StatusCode::OK),
        ended = &mut connection => panic!("{ended:?}"),
    }
    assert_eq!(connection.current_max_send_streams(), 250);
}

#[tokio::test]
async fn the_share_of_errors_is_of_plain_answers() {
    let service = start(0, 1.0).await;
    for mut client in Client::both(service.address()).await {
        assert_eq!(client.get("/anything").await.status, 500);
        assert_eq!(client.get("/echo").await.status, 200);
    }
    let stats = Client::one(service.address()).await.stats().await;
    assert_eq!((&stats["requests"], &stats["errors"]), (&json!(4), &json!(2)));
}

#[tokio::test]
async fn orders_are_taken_from_whoever_logged_in() {
    let service = start(0, 0.0).await;
    let mut ids = Vec::new();
    for mut client in Client::both(service.address()).await {
        let said = client.send("POST", "/login", "", r#"{"user": "ann", "password": "x"}"#).await;
        assert_eq!(said.status, 200);
        let told = said.json();
        assert_eq!(told["expires_in"], 3600);
        let token = format!("authorization: Bearer {}", told["access_token"].as_str().unwrap());
        for method in ["POST", "GET"] {
            let said = client.send(method, "/orders", &token, "{}").await;
            assert_eq!(said.status, 201);
            ids.push(said.json()["id"].as_u64().unwrap());
        }
        assert_eq!(client.send("DELETE", "/orders", &token, "").await.status, 405);
        for refused in ["", "authorization: Bearer demo.YW5u.0", "authorization: Basic YW5uOng="] {
            let said = client.send("POST", "/orders", refused, "").await;
            assert_eq!(said.status, 401, "{refused}");
            assert_eq!(said.headers["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(ids, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_login_needs_json_and_a_user() {
    let service = start(0, 0.0).await;
    let mut client = Client::one(service.address()).await;
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("{}", 401),
        (r#"{"user": ""}"#, 401),
        (r#"{"user": 7}"#, 401),
        (r#"{"user": "ann"}"#, 200),
    ] {
        assert_eq!(client.send("POST", "/login", "", body).await.status, status, "{body}");
    }
    assert_eq!(client.get("/login").await.headers["allow"], "POST");
}

#[tokio::test]
async fn an_echo_tells_what_came() {
    let service = start(0, 0.0).await;
    for mut client in Client::both(service.address()).await {
        let said = client.send("PUT", "/echo?a=1&b=%20", "x-mark: seven", "a \"body\"").await;
        assert_eq!(said.headers["content-type"], "application/json");
        let told = said.json();
        assert_eq!(told["method"], "PUT");
        assert_eq!(told["path"], "/echo");
        assert_eq!(told["query"], "a=1&b=%20");
        assert_eq!(told["headers"]["x-mark"], "seven");
        assert_eq!(told["body"], "a \"body\"");
    }
    let mut client = Client::one(service.address()).await;
    assert_eq!(client.send("POST", "/echo", "", &"x".repeat(1024 * 1024 + 1)).await.status, 413);
}

#[tokio::test]
async fn asked_for_statuses_and_delays_know_no_latency() {
    // An hour: what waited for the model would not come back.
    let service = start(3_600_000, 1.0).await;
    for mut client in Client::both(service.address()).await {
        for code in [200, 204, 304, 404, 429, 503, 599] {
            assert_eq!(client.get(&format!("/status/{code}")).await.status, code);
        }
        for wrong in ["/status/", "/status/100", "/status/600", "/status/x", "/slow", "/slow?ms=x", "/slow?ms=60001"] {
            assert_eq!(client.get(wrong).await.status, 400, "{wrong}");
        }
        let began = clock::now_ns();
        assert_eq!(client.get("/slow?a=b&ms=30").await.status, 200);
        assert!(clock::now_ns() - began >= 30 * MILLISECOND_NS);
    }
}

#[tokio::test]
async fn a_head_has_a_length_and_no_body() {
    let service = start(0, 0.0).await;
    for mut client in Client::both(service.address()).await {
        let said = client.send("HEAD", "/", "", "").await;
        assert_eq!((said.headers["content-length"].as_bytes(), said.body.as_ref()), (b"5".as_slice(), b"".as_slice()));
    }
}
