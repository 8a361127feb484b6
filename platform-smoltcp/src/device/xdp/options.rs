//! How an AF_XDP device is to be.

/// Where frames are taken from an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum XdpMode {
    /// In the interface's driver, if it can.
    Native,
    /// In the kernel's network, for every interface. Slower: the kernel has copied a frame already.
    Generic,
}

/// Who writes a frame to the memory of a device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum XdpCopy {
    /// The card if its driver can, else the kernel.
    #[default]
    Any,
    /// The kernel.
    Copy,
    /// The card. This needs a card whose driver can; it has not been tested with one.
    ZeroCopy,
}

/// How an AF_XDP device is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct XdpOptions {
    /// Frames that may be on their way in each direction, a power of two; each takes a page of
    /// memory. Of those longer than a page fewer have place, by the pages that they take.
    pub frames: u32,
    /// Who copies.
    pub copy: XdpCopy,
    /// TCP checksums of received frames are not verified.
    ///
    /// For a veth, whose other end may leave them out since the frames are on no wire; nothing
    /// tells. Never for a card.
    pub trusts_checksums: bool,
    /// TCP checksums of frames to send are left to the kernel, which has the card finish them or
    /// does it itself: where the kernel copies, from Linux 6.8 on, and a frame takes one page;
    /// elsewhere the stack does it all the same.
    ///
    /// Across a veth nobody finishes them. The kernel at its other end knows of it; another AF_XDP
    /// device there has to trust them ([`Self::trusts_checksums`]).
    pub leaves_checksums: bool,
}

impl XdpOptions {
    /// 2,048 frames each way (16 MiB in all), the kernel's choice of who copies, checksums
    /// verified and finished by the stack.
    pub const DEFAULT: Self = Self {
        frames: 2_048,
        copy: XdpCopy::Any,
        trusts_checksums: false,
        leaves_checksums: false,
    };

    /// Sets [`Self::frames`].
    #[must_use]
    pub const fn frames(mut self, count: u32) -> Self {
        self.frames = count;
        self
    }

    /// Sets [`Self::copy`].
    #[must_use]
    pub const fn copy(mut self, copy: XdpCopy) -> Self {
        self.copy = copy;
        self
    }

    /// Sets [`Self::trusts_checksums`].
    #[must_use]
    pub const fn trusts_checksums(mut self, on: bool) -> Self {
        self.trusts_checksums = on;
        self
    }

    /// Sets [`Self::leaves_checksums`].
    #[must_use]
    pub const fn leaves_checksums(mut self, on: bool) -> Self {
        self.leaves_checksums = on;
        self
    }
}

impl Default for XdpOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}
