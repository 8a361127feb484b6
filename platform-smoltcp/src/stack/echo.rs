//! Echo requests that go out, and the answers.

use core::net::IpAddr;

use usockets::Error;

use crate::device::{Medium, PollDevice, TxMeta};
#[cfg(doc)]
use crate::ip::echo::ECHOES_MAX;
use crate::ip::echo::EchoReply;
use crate::stack::datagrams_out::Hop;
use crate::stack::platform::Stack;
use crate::stack::shell::Shell;
use crate::wire::ethernet::Ethernet;
use crate::wire::icmp::{self, Icmp};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};

impl<D: PollDevice> Stack<'_, D> {
    /// Asks a station for an echo of `data`, by a request with this identifier and sequence number,
    /// which tell answers apart (RFC 792). Returns false, and nothing is sent, when it would block:
    /// its neighbour is being asked for, or the device is full; the program asks again later, after
    /// an iteration of the loop. What the station answers, [`Self::next_echo_reply`] tells; a
    /// station need not answer, and who waits needs a timer. Of several stacks that are one host,
    /// an answer that comes to another's queue is not told.
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
        let is_sent = self
            .shell
            .ask_for_echo(to.to_canonical(), mark, data, &mut self.device)?;
        if is_sent {
            self.device.flush();
        }
        Ok(is_sent)
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
        if !self.routes.is_peer(to) || self.routes.is_own(to) || self.routes.is_broadcast(to) {
            return Err(Error::Invalid);
        }
        let local = self.routes.source_for(to).ok_or(Error::Unreachable)?;
        let headers = match to {
            IpAddr::V4(_) => ipv4::HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN,
        };
        let len = headers
            .saturating_add(icmp::HEADER_LEN)
            .saturating_add(data.len());
        if len > self.device.mtu.min(65_535) {
            return Err(Error::Invalid);
        }
        if self.device.medium != Medium::Ip && self.routes.next_hop(to).is_none() {
            return Err(Error::Unreachable);
        }
        if device.slot(0).is_none() {
            return Ok(false);
        }
        let link = match self.datagram_hop(to, device) {
            Hop::Frame(link) => link,
            Hop::Asking(_) => return Ok(false),
            Hop::Silent => return Err(Error::Unreachable),
        };
        let request = Icmp::EchoRequest { mark, data };
        self.identification = self.identification.wrapping_add(1);
        let ends = (local, to, self.identification);
        if !emit(device, link.as_ref(), ends, &request, len) {
            return Ok(false);
        }
        self.echoes.on_request(to, mark, self.now);
        Ok(true)
    }

    /// Takes an answer in.
    pub(super) fn on_echo_reply(&mut self, from: IpAddr, mark: [u8; 4], data: &[u8]) -> usize {
        self.echoes.on_reply(from, mark, data.len(), self.now);
        0
    }
}

/// Writes a request in a packet of this length into a slot of the device and sends it; returns
/// false if there is no room.
fn emit<D: PollDevice>(
    device: &mut D,
    link: Option<&Ethernet>,
    (local, remote, identification): (IpAddr, IpAddr, u16),
    request: &Icmp<'_>,
    len: usize,
) -> bool {
    let link_len = link.map_or(0, Ethernet::header_len);
    let len = link_len.saturating_add(len);
    let Some(frame) = device.slot(len).and_then(|slot| slot.get_mut(..len)) else {
        return false;
    };
    if let Some(link) = link
        && link.emit(frame).is_err()
    {
        return false;
    }
    let packet = frame.get_mut(link_len..).unwrap_or_default();
    let written = match (local, remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let mut header = Ipv4::new(local, remote, Ipv4::ICMP);
            header.identification = identification;
            let message = packet.get_mut(ipv4::HEADER_LEN..).unwrap_or_default();
            request
                .emit_v4(message)
                .and_then(|len| header.emit(packet, len))
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let header = Ipv6::new(local, remote, Ipv6::ICMP);
            let message = packet.get_mut(ipv6::HEADER_LEN..).unwrap_or_default();
            request
                .emit_v6(&header, message)
                .and_then(|len| header.emit(packet, len))
        }
        _ => return false,
    };
    if written.is_err() {
        return false;
    }
    device.commit(len, &TxMeta::NONE);
    true
}
