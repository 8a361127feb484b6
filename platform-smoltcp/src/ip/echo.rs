//! Echo requests of ICMP: whether a station is there, and how far away (RFC 792; RFC 4443, section
//! 4.1).

use core::net::IpAddr;

use usockets::{Duration, Instant};

/// Requests that are remembered; of more, the oldest is forgotten, and its answer is not told.
pub const ECHOES_MAX: usize = 8;

/// What a station has answered to an echo request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EchoReply {
    /// Who was asked, and answers.
    pub from: IpAddr,
    /// The request's, as it was given.
    pub identifier: u16,
    /// The request's, as it was given.
    pub sequence: u16,
    /// Bytes of data in the answer, which should be as many as were asked with.
    pub len: usize,
    /// The time since the request was sent.
    pub round_trip: Duration,
}

/// A request that was sent, and its answer, if that has come and was not told yet.
#[derive(Clone, Copy)]
struct Request {
    to: IpAddr,
    mark: [u8; 4],
    sent: Instant,
    answer: Option<(Instant, usize)>,
}

/// The latest requests.
pub(crate) struct Echoes {
    requests: [Option<Request>; ECHOES_MAX],
    /// Where the next one goes.
    cursor: usize,
}

impl Echoes {
    /// None was sent.
    pub(crate) const NONE: Self = Self {
        requests: [None; ECHOES_MAX],
        cursor: 0,
    };

    /// A request was sent: the oldest one gives way.
    pub(crate) fn on_request(&mut self, to: IpAddr, mark: [u8; 4], now: Instant) {
        if let Some(place) = self.requests.get_mut(self.cursor) {
            *place = Some(Request {
                to,
                mark,
                sent: now,
                answer: None,
            });
        }
        self.cursor = self.cursor.wrapping_add(1) % ECHOES_MAX;
    }

    /// An answer came. Returns false if it is to none of them.
    pub(crate) fn on_reply(
        &mut self,
        from: IpAddr,
        mark: [u8; 4],
        len: usize,
        now: Instant,
    ) -> bool {
        let awaited =
            self.requests.iter_mut().flatten().find(|request| {
                request.to == from && request.mark == mark && request.answer.is_none()
            });
        let Some(request) = awaited else {
            return false;
        };
        request.answer = Some((now, len));
        true
    }

    /// Returns true if an answer is awaited.
    #[cfg(all(feature = "queues", target_has_atomic = "32"))]
    pub(crate) fn awaits(&self) -> bool {
        let mut requests = self.requests.iter().flatten();
        requests.any(|request| request.answer.is_none())
    }

    /// Returns an answer that was not told yet.
    pub(crate) fn take_answered(&mut self) -> Option<EchoReply> {
        for place in &mut self.requests {
            if let Some(Request {
                to,
                mark: [a, b, c, d],
                sent,
                answer: Some((at, len)),
            }) = *place
            {
                *place = None;
                return Some(EchoReply {
                    from: to,
                    identifier: u16::from_be_bytes([a, b]),
                    sequence: u16::from_be_bytes([c, d]),
                    len,
                    round_trip: at.saturating_since(sent),
                });
            }
        }
        None
    }
}
