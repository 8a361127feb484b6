//! The first page of the README is true: its lines compile, and where it says what is.

use std::net::SocketAddr;

use usockets::{Buffer, Endpoint, Error, Handler, Net, Opened, Platform, Socket, SocketId};
use usockets_sim::{Driver, Peer};

const README: &str = include_str!("../../README.md");

/// The echo of the README.
struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = Buffer<4096>;

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        let sent = socket.write(data);
        if held.push(data.get(sent..).unwrap_or_default()) > 0 {
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

fn client<P: Platform>(net: &mut Net<'_, P, ()>, server: SocketAddr) -> Result<SocketId, Error> {
    let id = net.connect(Endpoint::tcp(server), ())?;
    Ok(id)
}

fn proxy<P: Platform>(net: &mut Net<'_, P, ()>, other: SocketId, data: &[u8]) -> usize {
    net.write(other, data)
}

fn broadcast<P: Platform>(net: &mut Net<'_, P, ()>) -> usize {
    net.write_each(b"news", |_| true, |net, id, _| net.close(id))
}

/// The sum of a program's memory, as the README has it.
#[cfg(target_os = "linux")]
mod budget {
    use usockets::{Budget, Loop, Sockets};
    use usockets_linux::Linux;

    use super::Echo;

    const MEMORY: Budget = Budget::of::<Sockets<Linux, Echo, 1024>>()
        .and(Budget::of::<[u8; 65_536]>()) // The receive buffer.
        .and(Budget::of::<Loop<'_, Linux, Echo>>());
    const _: () = assert!(MEMORY.bytes() <= 5 << 20);
}

/// Code however it is broken into lines.
fn plain(text: &str) -> String {
    text.split_whitespace().collect()
}

/// The blocks of Rust of the README, in order.
fn blocks() -> Vec<&'static str> {
    let begun = README.split("```rust\n").skip(1);
    begun
        .map(|rest| rest.split_once("```").unwrap().0)
        .collect()
}

/// The first is the example, which is built and run, and the second stands above, where the
/// compiler has seen it. There are no others.
#[test]
fn the_blocks_are_what_is_compiled() {
    let [first, second] = blocks()[..] else {
        panic!("more blocks than are compared");
    };
    let example = include_str!("../../platform-linux/examples/echo.rs");
    let code = example.lines().skip_while(|line| line.starts_with("//!"));
    let code: String = code.collect();
    assert!(
        plain(first) == plain(&code),
        "the first block is not `echo.rs`"
    );
    let here = plain(include_str!("readme.rs"));
    assert!(here.contains(&plain(second)), "{second}");
}

#[test]
fn the_forty_lines_are_tested_as_the_readme_says() {
    let report = Driver::listening(|| Echo, ())
        .peer(Peer::random(2_000).expects(<[u8]>::to_vec))
        .check();
    assert_eq!(report.seeds, 200);
}

/// Each line of the table stands above, where the compiler has seen it.
#[test]
fn the_one_liners_compile() {
    type OnSim = usockets_sim::Host;
    let _compiled = (client::<OnSim>, proxy::<OnSim>, broadcast::<OnSim>);
    let here = plain(include_str!("readme.rs"));
    let (_, table) = README.split_once("And besides serving:\n\n").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("| a "))
        .collect();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let code = row.split('`').nth(1).unwrap().replace("\\|", "|");
        assert!(
            here.contains(&plain(&code)),
            "{code} is not what was compiled"
        );
    }
}

/// A platform's methods without a default are those that the README counts and names, and files are
/// about as long as it says.
#[test]
fn what_it_takes_to_write_a_platform_is_counted() {
    let (_, section) = README.split_once("## Write your own platform").unwrap();
    let (list, _) = section
        .split_once("The documentation of the trait")
        .unwrap();
    let (_, list) = list.split_once("Sixteen of its methods").unwrap();
    let mut named: Vec<_> = list.split('`').skip(1).step_by(2).collect();
    let trait_ = syn::parse_file(include_str!("../../core/src/platform/mod.rs")).unwrap();
    let items = trait_.items.iter().find_map(|item| match item {
        syn::Item::Trait(item) if item.ident == "Platform" => Some(&item.items),
        _ => None,
    });
    let methods = items.unwrap().iter().filter_map(|item| match item {
        syn::TraitItem::Fn(method) if method.default.is_none() => {
            Some(method.sig.ident.to_string())
        }
        _ => None,
    });
    let mut methods: Vec<String> = methods.collect();
    named.sort_unstable();
    methods.sort_unstable();
    assert_eq!(named.len(), 16);
    assert_eq!(named, methods);
    let said = README.split_whitespace().collect::<Vec<_>>().join(" ");
    for (words, lines, text) in [
        (
            "`platform-linux/src/linux.rs` is some 420 lines",
            420,
            include_str!("../../platform-linux/src/linux.rs"),
        ),
        (
            "a bed of some eighty lines",
            80,
            include_str!("../outside/tests/bed/mod.rs"),
        ),
        (
            "`tests/outside` is one of some 210 lines",
            210,
            include_str!("../outside/src/pipes.rs"),
        ),
        (
            "`lm3s6965/src/ethernet.rs` is some 210 lines",
            210,
            include_str!("../../platform-smoltcp/examples/lm3s6965/src/ethernet.rs"),
        ),
    ] {
        assert!(said.contains(words), "{words}");
        let count = text.lines().count();
        assert!(count.abs_diff(lines) <= lines / 10, "{words}: {count}");
    }
}

/// Figures are in one place, which the README names.
#[test]
fn figures_are_in_the_benchmarks() {
    let benchmarks = include_str!("../BENCHMARKS.md");
    assert!(README.contains("(tests/BENCHMARKS.md)"));
    assert!(benchmarks.contains("| user-space instructions per 64-byte echo |"));
    assert!(!README.contains("| workload |"));
}
