//! Writes what is on the wire in a run of one seed, for Wireshark and tcpdump:
//!
//!     cargo run -p usockets-sim --features frames --example capture -- 7 seven.pcap
//!     tcpdump -r seven.pcap

use std::process::ExitCode;

use usockets::{Buffer, Handler, Opened, Platform, Socket};
use usockets_sim::{OverFrames, Peer};

/// Sends back what comes, and keeps what its peer does not take.
struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = Buffer<2048>;

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

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(Ok(seed)), Some(path)) = (args.next().map(|seed| seed.parse()), args.next()) else {
        eprintln!("usage: capture SEED FILE");
        return ExitCode::FAILURE;
    };
    let capture = OverFrames::listening(Echo, ())
        .peer(Peer::random(20_000).expects(<[u8]>::to_vec))
        .peer(Peer::random(20_000).slow().expects(<[u8]>::to_vec))
        .run(seed);
    if let Err(error) = std::fs::write(&path, &capture.pcap) {
        eprintln!("{path}: {error}");
        return ExitCode::FAILURE;
    }
    let (peers, bytes) = (capture.talks.len(), capture.pcap.len());
    println!(
        "{path}: {bytes} bytes of {peers} connections, {} frames lost, {:?} of virtual time",
        capture.lost, capture.time
    );
    match capture.wrong {
        Some(wrong) => {
            eprintln!("seed {seed} fails: {wrong}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}
