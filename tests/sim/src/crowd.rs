//! The peers' side: one handler that plays all of them.

use usockets::{Closed, Error, Handler, Net, Opened, Platform, Socket, SocketId};

use crate::peer::Talk;
use crate::script::Step;

/// Context of the connections that the peers accept.
pub(crate) const UPSTREAM: usize = usize::MAX;

/// One connection of a peer.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Which of the driver's peers; `None` for an echo that the handler connected to.
    pub(crate) peer: Option<usize>,
    pub(crate) id: Option<SocketId>,
    /// All there is to say.
    pub(crate) input: Vec<u8>,
    /// How much of it may be said by now.
    pub(crate) allowed: usize,
    pub(crate) finishing: bool,
    pub(crate) paused: bool,
    /// The peer itself broke the connection.
    pub(crate) reset: bool,
    pub(crate) talk: Talk,
}

/// All peers of a run.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) lines: Vec<Line>,
    /// Changes whenever something comes about.
    pub(crate) progress: u64,
}

impl Crowd {
    /// Says as much as may be said and the network takes.
    pub(crate) fn pump<P: Platform>(&mut self, net: &mut Net<'_, P, usize>, index: usize) {
        let Some(line) = self.lines.get_mut(index) else {
            return;
        };
        let Some(id) = line.id else { return };
        let allowed = line.allowed.min(line.input.len());
        while line.talk.said.len() < allowed {
            let more = &line.input[line.talk.said.len()..allowed];
            let count = net.write(id, more);
            if count == 0 {
                return;
            }
            line.talk.said.extend_from_slice(&more[..count]);
            self.progress += 1;
        }
        if line.finishing {
            net.finish(id);
        }
    }

    /// Does what a step says of a connection that a peer has. Others are not its business.
    pub(crate) fn act<P: Platform>(&mut self, net: &mut Net<'_, P, usize>, step: Step) {
        let Some(at) = step.line() else { return };
        let Some(line) = self.lines.get_mut(at) else {
            return;
        };
        match step {
            Step::Say { bytes, .. } => {
                line.allowed = (line.allowed + bytes).min(line.input.len());
                self.pump(net, at);
            }
            Step::Pause { .. } | Step::Resume { .. } => {
                line.paused = matches!(step, Step::Pause { .. });
                match line.id {
                    Some(id) if line.paused => net.pause(id),
                    Some(id) => net.resume(id),
                    None => {}
                }
            }
            Step::Finish { .. } => {
                line.finishing = true;
                self.pump(net, at);
            }
            Step::Reset { .. } => {
                line.reset = true;
                if let Some(id) = line.id {
                    net.abort(id, 0);
                }
            }
            _ => {}
        }
    }
}

impl<P: Platform> Handler<P> for Crowd {
    type Ext = usize;
    type Context = usize;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<usize>) -> usize {
        self.progress += 1;
        let mut index = opened.context();
        if index == UPSTREAM {
            index = self.lines.len();
            self.lines.push(Line::default());
        }
        if let Some(line) = self.lines.get_mut(index) {
            line.id = Some(socket.id());
            if line.paused {
                socket.pause();
            }
            if line.reset {
                socket.abort(0);
            }
        }
        self.pump(socket.net(), index);
        index
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, index: &mut usize, data: &mut [u8]) {
        self.progress += 1;
        let line = &mut self.lines[*index];
        line.talk.heard.extend_from_slice(data);
        if line.peer.is_none() {
            line.input.extend_from_slice(data);
            line.allowed = line.input.len();
            self.pump(socket.net(), *index);
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, index: &mut usize) {
        self.pump(socket.net(), *index);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, index: &mut usize) {
        self.progress += 1;
        let line = &mut self.lines[*index];
        line.talk.ended = true;
        line.finishing = true;
        self.pump(socket.net(), *index);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, index: &mut usize, closed: Closed) {
        self.progress += 1;
        let line = &mut self.lines[*index];
        line.id = None;
        line.talk.closed = Some(closed);
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, index: usize, error: Error) {
        self.progress += 1;
        let line = &mut self.lines[index];
        line.id = None;
        line.talk.closed = Some(Closed::Failed(error));
    }
}
