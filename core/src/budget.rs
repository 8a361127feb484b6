//! How much memory a program takes, summed when it is compiled.

/// Bytes of memory, summed in a constant: what a whole program takes, printed or asserted before it
/// runs.
///
/// It counts values by their size: a pool, tables, buffers, the memory of TLS and of a stack, the
/// loop itself. What the linker adds to align them, the program's code and its call stack are not
/// among it.
///
/// ```
/// use usockets::{Budget, Buffer, Handler, Loop, Opened, Platform, Socket, Sockets};
/// use usockets_linux::Linux;
/// # struct Echo;
/// # impl<P: Platform> Handler<P> for Echo {
/// #     type Ext = Buffer<512>;
/// #     type Context = ();
/// #     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Buffer<512> {
/// #         Buffer::EMPTY
/// #     }
/// #     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Buffer<512>, _: &mut [u8]) {}
/// # }
///
/// const CONNECTIONS: usize = 64;
/// const MEMORY: Budget = Budget::of::<Sockets<Linux, Echo, CONNECTIONS>>()
///     .and(Budget::of::<[u8; 4096]>()) // The receive buffer.
///     .and(Budget::of::<[u8; 256]>().times(CONNECTIONS)) // A table beside the pool.
///     .and(Budget::of::<Loop<'_, Linux, Echo>>());
///
/// const { assert!(MEMORY.bytes() <= 64 * 1024) }
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Budget {
    bytes: usize,
}

impl Budget {
    /// Nothing.
    pub const NONE: Self = Self { bytes: 0 };

    /// Returns the budget of one value of a type.
    #[must_use]
    pub const fn of<T>() -> Self {
        Self {
            bytes: size_of::<T>(),
        }
    }

    /// Returns the budget of this and of `other`. Too large for a `usize` means its largest value,
    /// here and in [`Self::times`], so that no bound holds by mistake.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// Returns the budget of `count` of these.
    #[must_use]
    pub const fn times(self, count: usize) -> Self {
        Self {
            bytes: self.bytes.saturating_mul(count),
        }
    }

    /// Returns the sum in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bytes
    }
}
