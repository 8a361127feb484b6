//! Echo requests that go out, and the answers.

use core::net::IpAddr;

use usockets::Error;

use crate::device::{PollDevice, TxMeta};
#[cfg(doc)]
use crate::ip::echo::ECHOES_MAX;
use crate::ip::echo::EchoReply;
use crate::stack::datagrams_out::{DatagramHop, ip_len};
use crate::stack::output::send_copy;
use crate::stack::platform::Stack;
use crate::stack::shell::Shell;
use crate::wire::icmp::{self, Icmp};

impl<D: PollDevice> Stack<'_, D> {
    /// Asks a station for an echo of `data`, by a request with this identifier and sequence number,
    /// which tell answers apart (RFC 792). Returns false, and nothing is sent, when it would block:
    /// its neighbour is being asked for, or the device is full; the program asks again later, after
    /// an iteration of the loop. What the station answers, [`Self::next_echo_reply`] tells; a
    /// station need not answer, and who waits needs a timer. Of several stacks that are one host,
    /// the one that asks is told, whichever queue the answer comes to.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the request does not fit a packet, for none is fragmented, or `to`
    /// is an own address or none of one station; [`Error::Unreachable`] when there is no route, no
    /// own address to send from, or the neighbour does not answer.
    pub fn send_echo_request(
        &mut self,
        to: IpAddr,
        identifier: u16,
        sequence: u16,
        data: &[u8],
    ) -> Result<bool, Error> {
        self.shell.now = self.device.now();
        let [a, b] = identifier.to_be_bytes();
        let [c, d] = sequence.to_be_bytes();
        let mark = [a, b, c, d];
        let device = &mut self.device;
        let is_sent = self
            .shell
            .ask_for_echo(to.to_canonical(), mark, data, device);
        // It may be a question for the neighbour that goes.
        device.flush();
        is_sent
    }
}

impl<D> Stack<'_, D> {
    /// Returns an answer to one of the last [`ECHOES_MAX`] echo requests that has not been returned
    /// yet; `None` when there is none. The first that comes to each request is told, once.
    pub fn next_echo_reply(&mut self) -> Option<EchoReply> {
        self.shell.echoes.take_answered()
    }
}

impl Shell<'_> {
    fn ask_for_echo<D: PollDevice>(
        &mut self,
        to: IpAddr,
        mark: [u8; 4],
        data: &[u8],
        device: &mut D,
    ) -> Result<bool, Error> {
        if !self.routes.is_peer(to) {
            return Err(Error::Invalid);
        }
        let local = self.routes.source_for(to).ok_or(Error::Unreachable)?;
        let len = ip_len(to)
            .saturating_add(icmp::HEADER_LEN)
            .saturating_add(data.len());
        if len > self.device.mtu.min(65_535) {
            return Err(Error::Invalid);
        }
        if device.slot(0).is_none() {
            return Ok(false);
        }
        let link = match self.datagram_hop(to, device) {
            DatagramHop::Frame(link) => link,
            DatagramHop::Asking(_) | DatagramHop::Full => return Ok(false),
            DatagramHop::Silent => return Err(Error::Unreachable),
        };
        let station = link.map(|link| link.destination);
        let request = Icmp::EchoRequest { mark, data };
        let len = self.write_icmp(station, (local, to), &request);
        if len == 0 || device.slot(len).is_none() {
            return Ok(false);
        }
        let frame = self.scratch.get(..len).unwrap_or_default();
        send_copy(device, frame, &TxMeta::NONE);
        self.echoes.on_request(to, mark, self.now);
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        self.share_awaited_echo();
        Ok(true)
    }

    /// Takes an answer in. Returns false if it is to no request of this stack.
    pub(super) fn on_echo_reply(&mut self, from: IpAddr, mark: [u8; 4], data: &[u8]) -> bool {
        let is_ours = self.echoes.on_reply(from, mark, data.len(), self.now);
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        if is_ours {
            self.share_awaited_echo();
        }
        is_ours
    }
}
