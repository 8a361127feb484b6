//! What a program can choose of a port.

use usockets::Duration;
use usockets_smoltcp::RSS_KEY_LEN;

/// What a device does while nothing comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Idle {
    /// Looks again and again: the shortest answer, for a processor of its own.
    Spin,
    /// Sleeps so long between two looks; Linux adds some 50 µs to what is asked for. At least that
    /// long may a frame or a wake-up wait.
    Sleep(Duration),
}

/// How a port is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct PortOptions {
    pub(crate) queues: u16,
    pub(crate) mtu: u16,
    pub(crate) rx_descriptors: u16,
    pub(crate) tx_descriptors: u16,
    pub(crate) offload: bool,
    pub(crate) v4_only: bool,
    pub(crate) promiscuous: bool,
    pub(crate) trusts_checksums: bool,
    pub(crate) rss_key: Option<[u8; RSS_KEY_LEN]>,
    pub(crate) idle: Idle,
}

impl PortOptions {
    /// One queue with 512 descriptors each way, packets of 1,500 bytes, everything that the port
    /// takes off the stack, sleeping for 20 µs.
    pub const DEFAULT: Self = Self {
        queues: 1,
        mtu: 1_500,
        rx_descriptors: 512,
        tx_descriptors: 512,
        offload: true,
        v4_only: false,
        promiscuous: false,
        trusts_checksums: false,
        rss_key: None,
        idle: Idle::Sleep(Duration::from_micros(20)),
    };

    /// Sets the number of queues each way, each for a stack of its own. At most 64, and what the
    /// port has.
    #[must_use]
    pub const fn queues(mut self, count: u16) -> Self {
        self.queues = count;
        self
    }

    /// Sets the bytes of the largest packet.
    #[must_use]
    pub const fn mtu(mut self, bytes: u16) -> Self {
        self.mtu = bytes;
        self
    }

    /// Sets how many frames a queue of the card holds, received and to send; the port may choose
    /// what is next to it.
    #[must_use]
    pub const fn descriptors(mut self, rx: u16, tx: u16) -> Self {
        self.rx_descriptors = rx;
        self.tx_descriptors = tx;
        self
    }

    /// Sets whether the port verifies and fills in checksums of TCP and cuts large segments to
    /// size, as far as it can: the former only where it offers them, the latter only where buffers
    /// have more room than a packet needs, and for segments that fit in one.
    #[must_use]
    pub const fn offload(mut self, on: bool) -> Self {
        self.offload = on;
        self
    }

    /// Sets whether the stack has no addresses of IPv6: ports whose driver cuts segments of IPv4
    /// only, as `net_tap`, are then given such to cut.
    #[must_use]
    pub const fn v4_only(mut self, on: bool) -> Self {
        self.v4_only = on;
        self
    }

    /// Sets whether the port takes frames for all MAC addresses, which it has to if the stack's is
    /// not the port's ([`Port::mac`](crate::Port::mac)).
    #[must_use]
    pub const fn promiscuous(mut self, on: bool) -> Self {
        self.promiscuous = on;
        self
    }

    /// Sets whether checksums of TCP are not verified where the port does not: for ports whose
    /// other end is on the same machine and leaves them out, as `net_af_packet` on a veth.
    #[must_use]
    pub const fn trusts_checksums(mut self, on: bool) -> Self {
        self.trusts_checksums = on;
        self
    }

    /// Sets the key by which the card spreads TCP over its queues, if it can
    /// ([`Port::table_len`](crate::Port::table_len)); the stacks are to be told the same
    /// ([`Rss`](usockets_smoltcp::Rss)).
    #[must_use]
    pub const fn rss_key(mut self, key: [u8; RSS_KEY_LEN]) -> Self {
        self.rss_key = Some(key);
        self
    }

    /// Sets what the devices do while nothing comes.
    #[must_use]
    pub const fn idle(mut self, idle: Idle) -> Self {
        self.idle = idle;
        self
    }
}

impl Default for PortOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}
