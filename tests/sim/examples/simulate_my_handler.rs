//! Tests a handler of one's own on simulated networks: `cargo run --example simulate_my_handler`.

use std::time::Duration;

use usockets::{Buffer, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_sim::{Faults, Sim};

/// The handler under test: an echo that keeps what its peer does not take.
#[derive(Default)]
struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Ext = Buffer<1024>;
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        let sent = if held.is_empty() {
            socket.write(data)
        } else {
            0
        };
        if held.push(&data[sent..]) < data.len() - sent {
            socket.close();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext) {
        held.consume(socket.write(held.filled()));
    }
}

/// The program that checks it: says something, and wants it back.
#[derive(Default)]
struct Asker {
    heard: Vec<u8>,
    sent: usize,
}

const QUESTION: &[u8] = b"does it come back, whatever the network does?";

impl Asker {
    fn say<P: Platform>(&mut self, socket: &mut Socket<'_, P, Self>) {
        self.sent += socket.write(&QUESTION[self.sent..]);
    }
}

impl<P: Platform> Handler<P> for Asker {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.say(socket);
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.heard.extend_from_slice(data);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.say(socket);
    }
}

fn main() {
    for seed in 0..1_000 {
        // Rough, but nothing is lost. `Faults::hostile` also breaks connections.
        let sim = Sim::new(seed, Faults::rough(seed));
        let (mut a, mut b) = (Sockets::<_, Echo, 4>::new(), Sockets::<_, Asker, 4>::new());
        let (mut buffer, mut other) = ([0; 64], [0; 64]);
        let mut server = Loop::new(sim.host(), &mut a, &mut buffer);
        let mut client = Loop::new(sim.host(), &mut b, &mut other);
        let (mut echo, mut asker) = (Echo, Asker::default());
        let at = (sim.addresses(0)[0], 80).into();
        server
            .net()
            .listen(Endpoint::tcp(at), ())
            .expect("a listener");
        client
            .net()
            .connect(Endpoint::tcp(at), ())
            .expect("a connect");
        while asker.heard.len() < QUESTION.len() {
            server.poll(&mut echo, None).expect("a sound host");
            client.poll(&mut asker, None).expect("a sound host");
            if !sim.is_due(0) && !sim.is_due(1) {
                let more = sim.step(Duration::from_secs(60));
                assert!(
                    more,
                    "seed {seed}: everyone waits, {} bytes came",
                    asker.heard.len()
                );
            }
        }
        assert_eq!(asker.heard, QUESTION, "seed {seed}");
    }
    println!("1000 networks, and the answer always came back");
}
