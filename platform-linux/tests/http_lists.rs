//! Fields whose value is a list mean the same as one line and as several (RFC 9110, section 5.3).
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "each test crate uses its part")]
#[path = "../examples/handlers/http/mod.rs"]
mod http;

use http::head::{Framing, Head};
use http::reply::Status;

/// What a head comes down to.
type Meaning<'a> = Result<(Framing, bool, bool, Vec<&'a str>), Status>;

fn meaning(head: &str) -> Meaning<'_> {
    let (head, len) = Head::read(head.as_bytes())?.unwrap();
    assert!(len > 0);
    let offers = head.offers().collect();
    Ok((head.framing, head.keep_alive, head.expects_continue, offers))
}

/// Every order of `elements`.
fn orders<'a>(elements: &[&'a str]) -> Vec<Vec<&'a str>> {
    if elements.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (index, first) in elements.iter().enumerate() {
        let mut others = elements.to_vec();
        others.remove(index);
        for mut order in orders(&others) {
            order.insert(0, first);
            all.push(order);
        }
    }
    all
}

/// Every way to divide `elements` into lines, the order kept: bit n of a number says that a line
/// ends after element n.
fn divisions(name: &str, elements: &[&str], blank: &str) -> Vec<String> {
    let cuts = 1_u32 << elements.len().saturating_sub(1);
    let divide = |cut: u32| {
        let mut lines = format!("{name}: ");
        for (index, element) in elements.iter().enumerate() {
            lines += element;
            if index + 1 < elements.len() {
                lines += &if cut & (1 << index) == 0 {
                    format!("{blank},{blank}")
                } else {
                    format!("\r\n{name}:{blank}")
                };
            }
        }
        lines + "\r\n"
    };
    (0..cuts).map(divide).collect()
}

fn each_list_means_the_same(name: &str, elements: &[&str], others: &str) -> usize {
    let mut tried = 0;
    for order in orders(elements) {
        let heads = ["", " ", "\t"].map(|blank| divisions(name, &order, blank));
        let heads = heads.into_iter().flatten();
        let heads: Vec<_> = heads
            .flat_map(|lines| {
                let start = "POST / HTTP/1.1\r\nHost: a\r\n";
                [
                    format!("{start}{others}{lines}\r\n"),
                    format!("{start}{lines}{others}\r\n"),
                ]
            })
            .collect();
        let wanted = meaning(&heads[0]);
        for head in &heads {
            assert_eq!(meaning(head), wanted, "{head:?} against {:?}", heads[0]);
            tried += 1;
        }
    }
    tried
}

#[test]
fn one_line_and_several_mean_the_same() {
    let tried = [
        each_list_means_the_same("Connection", &["close", "Upgrade", "x", "keep-alive"], ""),
        each_list_means_the_same(
            "Connection",
            &["Upgrade", "x", "Keep-Alive"],
            "Upgrade: line-echo, other/1\r\n",
        ),
        each_list_means_the_same(
            "Upgrade",
            &["line-echo", "other/1", "third", "fourth"],
            "Connection: upgrade\r\n",
        ),
        each_list_means_the_same(
            "Expect",
            &["100-continue", "100-Continue"],
            "Content-Length: 5\r\n",
        ),
        each_list_means_the_same(
            "Expect",
            &["100-continue", "other"],
            "Content-Length: 5\r\n",
        ),
        each_list_means_the_same("Transfer-Encoding", &["gzip", "deflate", "chunked"], ""),
        each_list_means_the_same("Transfer-Encoding", &["chunked", "chunked"], ""),
        each_list_means_the_same("Transfer-Encoding", &["chunked", ""], ""),
        each_list_means_the_same("Content-Length", &["5", "5"], ""),
        each_list_means_the_same("Content-Length", &["5", "6"], ""),
    ];
    // Orders, times divisions, times blanks, times two places among the other fields.
    assert_eq!(tried[..2], [24 * 8 * 6, 6 * 4 * 6]);
}

#[test]
fn the_elements_are_those_of_all_lines() {
    let start = "GET / HTTP/1.1\r\nHost: a\r\n";
    let offers = |fields: &str| {
        let head = format!("{start}{fields}\r\n");
        let found = meaning(&head).unwrap();
        found.3.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for fields in [
        "Connection: Upgrade\r\nUpgrade: one\r\nUpgrade: two , three\r\n",
        "Upgrade: one,,two\r\nConnection: x\r\nConnection: upgrade\r\nUPGRADE:three\r\n",
        "upgrade: one, two\r\nx: Upgrade: four\r\nUpgrade:\r\nupgrade: three\r\n\
         Connection: upgrade\r\n",
    ] {
        assert_eq!(offers(fields), ["one", "two", "three"], "{fields:?}");
    }
    // What Connection does not name is not meant for this server.
    assert!(offers("Upgrade: one\r\nUpgrade: two\r\n").is_empty());
    let closed = format!("{start}Connection: x\r\nConnection: close\r\nConnection: y\r\n\r\n");
    assert!(!meaning(&closed).unwrap().1);
}
