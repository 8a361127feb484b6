//! A run as a picture: well-formed, and with every call.

use usockets::{Buffer, Handler, Opened, Platform, Socket};
use usockets_sim::{Driver, Peer, chart_page, message_chart};

struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Ext = Buffer<1_024>;
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        let sent = socket.write(data);
        if held.push(&data[sent..]) > 0 {
            socket.pause();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext) {
        held.consume(socket.write(held.filled()));
        if held.is_empty() {
            socket.resume();
        }
    }
}

fn driver() -> Driver<Echo> {
    Driver::listening(|| Echo, ())
        .peer(Peer::random(2_000).expects(<[u8]>::to_vec))
        .peer(Peer::random(300).resetting())
}

#[test]
fn every_event_stands_in_a_well_formed_chart() {
    let driver = driver();
    let (mut calls, mut arrows) = (0, 0);
    for seed in 0..30 {
        let trace = driver.replay(&driver.case(seed)).trace;
        let svg = message_chart(&trace);
        let document = roxmltree::Document::parse(&svg).expect("well-formed");
        let is_event = |node: &roxmltree::Node<'_, '_>| node.attribute("class") == Some("event");
        let events: Vec<&str> = document
            .descendants()
            .filter(is_event)
            .filter_map(|node| node.text())
            .collect();
        assert_eq!(
            events.len(),
            trace.len(),
            "seed {seed}: an event is missing"
        );
        for (line, event) in trace.iter().zip(&events) {
            for call in ["send", "recv", "report", "accept", "connect", "finish"] {
                if line.contains(&format!(": {call} ")) {
                    assert!(event.starts_with(call), "{line} is drawn as {event}");
                    calls += 1;
                }
            }
        }
        let is_arrow = |node: &roxmltree::Node<'_, '_>| node.has_attribute("marker-end");
        arrows += document.descendants().filter(is_arrow).count();
    }
    assert!(
        calls > 500 && arrows > 100,
        "{calls} calls and {arrows} arrows"
    );
}

#[test]
fn a_page_is_one_file_whatever_is_in_it() {
    let driver = driver();
    let trace = driver.replay(&driver.case(3)).trace;
    let page = chart_page("seed 3 <&\"", "what \"was\" <wrong> & why", &trace);
    // What HTML adds to XML is not in it, but for the first line.
    let (first, rest) = page.split_once('\n').unwrap();
    assert_eq!(first, "<!DOCTYPE html>");
    let document = roxmltree::Document::parse(rest).expect("well-formed");
    let all = document.descendants();
    let outside = all.filter(|node| node.has_attribute("src") || node.has_attribute("href"));
    assert_eq!(outside.count(), 0, "it needs nothing else");
}

/// A failure can be kept as a page.
#[test]
fn a_failure_is_a_page() {
    let failure = Driver::listening(|| Echo, ())
        .peer(Peer::given(*b"one").expects(|_| b"two".to_vec()))
        .run()
        .expect_err("it is wrong");
    let page = failure.page();
    assert!(page.contains(&format!("seed {}", failure.seed())) && page.contains("<svg"));
}
