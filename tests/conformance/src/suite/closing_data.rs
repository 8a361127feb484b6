//! A closing socket's data can be reached by others until its own `on_close` has been made, so that
//! links kept in the data of sockets can be taken apart in a mass close.

use crate::bed::Bed;
use crate::side::Side;
use std::collections::HashMap;
use usockets::{
    AllSockets, Closed, Endpoint, Handler, Loop, Opened, Platform, Socket, SocketId, Sockets,
};

/// Members of a ring, linked both ways through their data.
#[derive(Default)]
struct Ring {
    last: Option<SocketId>,
    first: Option<SocketId>,
    left: usize,
    contexts: HashMap<SocketId, u8>,
}

struct Links {
    before: Option<SocketId>,
    after: Option<SocketId>,
}

impl<P: Platform> Handler<P> for Ring {
    type Ext = Links;
    type Context = u8;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<u8>) -> Links {
        let id = socket.id();
        if let Some(last) = self.last {
            let (_, links) = socket.other(last).expect("the last member is open");
            links.after = Some(id);
        }
        self.first.get_or_insert(id);
        self.contexts.insert(id, opened.context());
        let before = self.last.replace(id);
        Links {
            before,
            after: None,
        }
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Links, _: &mut [u8]) {}

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Links, _: Closed) {
        let id = socket.id();
        assert_eq!(socket.context(), self.contexts.get(&id).copied());
        if let Some(before) = own.before {
            let (net, links) = socket.other(before).expect("its on_close is still to come");
            links.after = own.after;
            assert_eq!(net.write(before, b"late"), 0, "it is closed all the same");
        } else {
            self.first = own.after;
        }
        match own.after {
            Some(after) => {
                let (_, links) = socket.other(after).expect("its on_close is still to come");
                links.before = own.before;
            }
            None => self.last = own.before,
        }
        self.left += 1;
    }

    fn before_wait(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        if let Some(first) = self.first {
            assert!(sockets.get(first).is_some());
        }
    }
}

/// Each of many that close at once still reaches the data of its neighbours.
pub fn links_in_the_data_hold_in_a_mass_close<B: Bed>(bed: &mut B) {
    const MEMBERS: usize = 6;
    let sockets = Box::leak(Box::new(Sockets::<B::P, Ring, 8>::new()));
    let buffer = vec![0; 4_096].leak();
    let mut server = Loop::with_buffer(bed.platform(), sockets, buffer).unwrap();
    let listener = server.net().listen(Endpoint::tcp(bed.addr(0)), 1).unwrap();
    let addr = server.net().listening_addr(listener).unwrap();
    let mut clients = Side::new(bed, 1);
    for _ in 0..MEMBERS {
        clients.connect(addr, 2).unwrap();
    }
    let mut ring = Ring::default();
    let end = bed.now() + bed.long();
    while server.stats().open < MEMBERS as u32 {
        step(bed, &mut server, &mut ring, &mut clients);
        assert!(bed.now() < end, "they open");
    }
    server.net().close_all(1, 9);
    while ring.left < MEMBERS {
        step(bed, &mut server, &mut ring, &mut clients);
        assert!(bed.now() < end, "they close");
    }
    assert_eq!((ring.first, ring.last), (None, None));
}

fn step<B: Bed>(
    bed: &mut B,
    server: &mut Loop<'_, B::P, Ring>,
    ring: &mut Ring,
    clients: &mut Side<B::P>,
) {
    let mut idle = true;
    if bed.is_due(0, server.next_deadline()) {
        let until = bed.patience(server.platform());
        server.poll(ring, until).unwrap();
        idle = false;
    }
    if clients.is_due(bed) {
        clients.turn(bed);
        idle = false;
    }
    if idle {
        bed.pass(std::time::Duration::from_secs(1));
    }
}
