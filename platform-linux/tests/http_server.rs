//! What the HTTP server answers, against real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

#[allow(dead_code, reason = "each test crate uses its part")]
#[path = "../examples/handlers/http/mod.rs"]
mod http;
#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use http::connection::Connection;
use http::date::{Date, WallClock};
use http::memory::{Memory, Store};
use http::pattern::PATTERN;
use http::routes::route;
use http::server::{Group, Server};
use http::service::{Fact, Limits, Service};
use support::{Client, End, Random, Running};

/// As small as a microcontroller's: every test must pass in this.
const IN: usize = 1024;
const OUT: usize = 1024;

fn start() -> Running {
    start_with(&[])
}

fn start_with(facts: &'static [Fact]) -> Running {
    let clock = WallClock(|| Some(Duration::from_secs(784_111_777)));
    Running::start::<_, 8>(
        move || serve(Service::new(route, clock).with_facts(facts)),
        Group::Listener,
        Memory::<IN, OUT>::RECEIVE_MAX,
    )
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

fn pattern(count: usize) -> Vec<u8> {
    PATTERN.iter().copied().cycle().take(count).collect()
}

/// What a connection costs while nothing of it has to be kept.
const _: () = assert!(size_of::<Connection>() <= 152);

/// Makes a server with memory for 8 slots.
fn serve(service: Service) -> Server<'static, IN, OUT> {
    Server::new(service, Box::leak(Box::new(Store::<IN, OUT, 8>::new())))
}

/// Sends from a thread of its own, because an echo comes while the body is still being sent.
fn send_beside(client: &Client, bytes: Vec<u8>) -> thread::JoinHandle<()> {
    let mut stream = client.stream.try_clone().unwrap();
    thread::spawn(move || {
        use std::io::Write;
        stream.write_all(&bytes).unwrap();
    })
}

#[test]
fn every_target_answers_on_one_connection() {
    let server = start();
    let mut client = server.connect();
    let hello = client.send(&get("/?query=ignored")).response();
    assert_eq!(hello.status(), 200);
    assert_eq!(hello.body, b"Hello from usockets!\n");
    assert_eq!(hello.field("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(hello.field("connection"), Some("keep-alive"));

    for count in [0, 1, 88, 89, 1023, 1_000_000] {
        let bytes = client.send(&get(&format!("/bytes/{count}"))).response();
        assert_eq!(bytes.status(), 200);
        assert!(bytes.body == pattern(count), "{count}");
    }
    let stats = client.send(&get("http://a/stats")).response();
    let stats = String::from_utf8(stats.body).unwrap();
    assert!(stats.contains("requests 8\n"), "{stats}");
    assert!(stats.contains("open 1\n"), "{stats}");

    assert_eq!(client.send(&get("/nowhere")).response().status(), 404);
    assert_eq!(client.send(&get("/bytes/")).response().status(), 404);
    assert_eq!(client.send(&get("/bytes/-1")).response().status(), 404);
    let echo = client.send(&get("/echo")).response();
    assert_eq!(
        (echo.status(), echo.field("allow")),
        (405, Some("POST, OPTIONS"))
    );
    client.send(b"DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    let delete = client.response();
    assert_eq!(
        (delete.status(), delete.field("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    client.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    let options = client.response();
    assert_eq!(
        (options.status(), options.field("content-length")),
        (204, None)
    );
    assert_eq!(server.stop().accepted, 1);
}

#[test]
fn the_status_page_tells_of_the_machine() {
    const FACTS: &[Fact] = &[("answer", || 42), ("largest", || u64::MAX)];
    const LONG: Fact = ("a_name_that_is_long_for_a_line", || u64::MAX);
    let server = start_with(FACTS);
    let status = server.connect().send(&get("/status")).response();
    let status = String::from_utf8(status.body).unwrap();
    let counters = "requests 1\naccepted 1\nopen 1\nin_use 2\n";
    let facts = "answer 42\nlargest 18446744073709551615\n";
    assert_eq!(status, format!("{counters}{facts}"));
    server.stop();

    // What does not fit is left out, by whole lines.
    let server = start_with(&[LONG; 40]);
    let status = server.connect().send(&get("/status")).response();
    let status = String::from_utf8(status.body).unwrap();
    let long = "a_name_that_is_long_for_a_line 18446744073709551615\n";
    assert!(status.ends_with(long) && status.len() > 300, "{status}");
    server.stop();
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    let server = start();
    for target in ["/", "/bytes/1000000", "/nowhere", "/stats"] {
        let mut client = server.connect();
        let wanted = client.send(&get(target)).response();
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let head = String::from_utf8(client.take_until(b"\r\n\r\n")).unwrap();
        if target != "/stats" {
            assert_eq!(head, wanted.head);
        }
        // The next response follows at once.
        assert_eq!(client.send(&get("/")).response().body.len(), 21);
    }
    server.stop();
}

#[test]
fn bodies_come_back_by_length_and_chunked() {
    let server = start();
    let mut random = Random::new();
    let mut client = server.connect();
    for count in [0, 1, 511, 512, 513, 5_000, 700_000] {
        let body = random.bytes(count);
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {count}\r\n\r\n");
        let sending = send_beside(&client, [head.as_bytes(), &body].concat());
        assert!(client.response().body == body, "{count} by length");
        sending.join().unwrap();

        let mut request =
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n".to_vec();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((1 + random.below(3000)).min(rest.len()));
            let extension = [" ;a=b", ";c=\"d e\"", "", "", "", ""][random.below(6)];
            // Extensions are bounded per body.
            let extension = if count < 10_000 { extension } else { "" };
            request.extend(format!("{:X}{extension}\r\n", chunk.len()).bytes());
            request.extend_from_slice(chunk);
            request.extend(b"\r\n");
            rest = after;
        }
        request.extend(b"000\r\nTrailer: dropped\r\nAnother: one\r\n\r\n");
        let sending = send_beside(&client, request);
        assert!(client.response().body == body, "{count} chunked");
        sending.join().unwrap();
    }
    server.stop();
}

#[test]
fn any_division_into_segments_gives_the_same() {
    let server = start();
    let mut random = Random::new();
    let requests = [
        get("/"),
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;x\r\nhello\r\n6\r\n, you!\r\n0\r\nA: b\r\n\r\n"
            .to_vec(),
        b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        get("/bytes/300"),
    ]
    .concat();
    let whole = server.connect().send(&requests).finish().rest();
    for round in 0..100 {
        let mut client = server.connect();
        let mut rest = &requests[..];
        while !rest.is_empty() {
            let most = if round == 0 { 1 } else { 40 };
            let (part, after) = rest.split_at((1 + random.below(most)).min(rest.len()));
            client.send(part);
            rest = after;
        }
        let (got, end) = client.finish().rest();
        // How an echo is divided into chunks may differ; here each chunk is in one segment or not.
        assert_eq!(unchunked(&got), unchunked(&whole.0), "round {round}");
        assert_eq!(end, End::Finished);
    }
    server.stop();
}

/// The bodies of five responses, the second of them chunked.
fn unchunked(all: &[u8]) -> Vec<Vec<u8>> {
    let (reader, mut writer) = pair();
    writer.send(all);
    drop(writer);
    let mut reader = reader;
    let bodies = (0..5).map(|_| reader.response().body).collect();
    assert_eq!(reader.rest().0, b"");
    bodies
}

fn pair() -> (Client, Client) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reader = Client::connect(listener.local_addr().unwrap());
    let addr = reader.stream.local_addr().unwrap();
    let (stream, peer) = listener.accept().unwrap();
    assert_eq!(peer, addr);
    (reader, Client::from(stream))
}

#[test]
fn a_thousand_requests_in_one_write() {
    let server = start();
    let mut client = server.connect();
    let sending = send_beside(&client, get("/").repeat(1000));
    for _ in 0..1000 {
        assert_eq!(client.response().body, b"Hello from usockets!\n");
    }
    sending.join().unwrap();
    // Large responses one after the other, and our end right after the requests.
    client.send(&get("/bytes/300000").repeat(20)).finish();
    for _ in 0..20 {
        assert!(client.response().body == pattern(300_000));
    }
    assert_eq!(client.rest(), (Vec::new(), End::Finished));
    server.stop();
}

#[test]
fn http_1_0_closes_unless_asked_not_to() {
    let server = start();
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("keep-alive"));
    let response = client.send(b"GET / HTTP/1.0\r\n\r\n").response();
    assert_eq!(response.field("connection"), Some("close"));
    assert_eq!(client.rest(), (Vec::new(), End::Finished));
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("close"));
    assert_eq!(client.rest(), (Vec::new(), End::Finished));
    server.stop();
}

/// Clients are told how long the connection stays open, and it stays so somewhat longer.
#[test]
fn the_time_between_requests_is_told() {
    let server = start();
    let mut client = server.connect();
    for request in [
        &get("/")[..],
        &get("/stats"),
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ] {
        let response = client.send(request).response();
        assert_eq!(response.field("connection"), Some("keep-alive"));
        assert_eq!(response.field("keep-alive"), Some("timeout=60"));
    }
    let limits = Limits::default();
    assert!(limits.idle >= Duration::from_secs(62), "{limits:?}");
    let last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(client.send(last).response().field("keep-alive"), None);
    server.stop();
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let server = start();
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\
                Content-Length: 5\r\n\r\n";
    let mut client = server.connect();
    client.send(head.as_bytes());
    assert_eq!(
        client.take_until(b"\r\n\r\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n"
    );
    assert_eq!(client.send(b"hello").response().body, b"hello");
    // One that does not wait needs no word.
    client.send(format!("{head}hello").as_bytes());
    assert_eq!(client.response().status(), 200);
    // One that would send for nothing hears so at once.
    client.send(head.replace("/echo", "/none").as_bytes());
    assert_eq!(client.response().status(), 404);
    assert_eq!(client.rest(), (Vec::new(), End::Finished));
    server.stop();
}

#[test]
fn the_date_is_right_and_follows_the_clock() {
    for (unix, text) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        assert_eq!(date_of(unix).as_deref(), Some(text), "{unix}");
    }
    assert_eq!(date_of(253_402_300_800), None);
    let mut none = Date::new(WallClock(|| None));
    assert_eq!(none.text(usockets::Instant::ZERO), None);
    // A quarter second into its second, a text holds for three quarters.
    let mut date = Date::new(WallClock(|| {
        thread_local!(static NOW: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
        let now = NOW.get();
        NOW.set(now + 1);
        Some(Duration::new(now, 250_000_000))
    }));
    let mut second = |micros| date.text(usockets::Instant::from_micros(micros)).unwrap()[24];
    assert_eq!([0, 749_999, 750_000].map(&mut second), [b'0', b'0', b'1']);
}

fn date_of(unix: u64) -> Option<String> {
    thread_local!(static NOW: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
    NOW.set(unix);
    let mut date = Date::new(WallClock(|| Some(Duration::from_secs(NOW.get()))));
    let text = date.text(usockets::Instant::ZERO)?;
    Some(String::from_utf8(text.to_vec()).unwrap())
}

#[test]
fn curl_is_served() {
    let curl = |arguments: &[&str]| Command::new("curl").args(arguments).output();
    if curl(&["--version"]).is_err() {
        println!("skipped: there is no curl here");
        return;
    }
    let server = start();
    let url = |target: &str| format!("http://{}{target}", server.addr);
    let output = curl(&["-sS", &url("/"), &url("/bytes/100000"), &url("/")]).unwrap();
    let hello = b"Hello from usockets!\n".to_vec();
    let wanted = [hello.clone(), pattern(100_000), hello].concat();
    assert!(
        output.stdout == wanted,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let body = Random::new().bytes(300_000);
    for fields in [
        &["-HExpect: 100-continue"][..],
        &["-HTransfer-Encoding: chunked"],
    ] {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--data-binary", "@-"])
            .args(fields)
            .arg(url("/echo"));
        let mut child = curl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let sent = body.clone();
        let sending = thread::spawn(move || {
            use std::io::Write;
            input.write_all(&sent).unwrap();
        });
        let output = child.wait_with_output().unwrap();
        sending.join().unwrap();
        assert!(
            output.stdout == body,
            "{fields:?}: {} bytes",
            output.stdout.len()
        );
    }
    server.stop();
}
