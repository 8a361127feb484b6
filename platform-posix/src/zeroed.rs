//! Memory on the heap that is all zero bytes: pools, tables, buffers and the memory of TLS that are
//! larger than the stack, or whose length is decided at run time.
#![expect(
    unsafe_code,
    reason = "the system hands out zero bytes, which only a promise makes a value"
)]

extern crate alloc;

use alloc::alloc::alloc_zeroed;
use alloc::boxed::Box;
use core::alloc::Layout;
use core::ptr::{self, NonNull};

#[cfg(feature = "tls")]
use usockets::tls::{Crypto, ParkingPlace, Sha2, TlsMemory, TlsSocket};
use usockets::{Buffer, Error, Handler, Place, Platform, Slot, Sockets, Span};

use crate::fd::Fd;
use crate::posix::PosixSocket;

/// A type of which all zero bytes are a value, the empty one: a closed socket, a free slot, a
/// queue that holds nothing, the number 0.
///
/// It is what [`zeroed`] and [`zeroed_slice`] can make without touching the memory.
///
/// # Safety
/// Memory of the type's size in which every byte is zero must be a valid value of the type. Where
/// the type has an empty value by name, such as [`Platform::CLOSED`] of a platform's socket, the
/// two must be the same. A platform whose socket is a plain number is to have 0 for a closed one.
pub unsafe trait ZeroIsEmpty {
    /// Fails to compile where the type may not be used, such as a pool of no sockets.
    const CHECKED: () = ();
}

/// Makes a value of all zero bytes on the heap, without a copy of it on the stack. Its pages take
/// no memory until something is written there, if it is large.
///
/// ```
/// use usockets::{Error, Handler, Loop, Opened, Platform, Socket, Sockets};
/// use usockets_posix::{Poll, Posix, zeroed};
/// # struct Ignore;
/// # impl<P: Platform> Handler<P> for Ignore {
/// #     type Ext = [u8; 1024];
/// #     type Context = ();
/// #     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> [u8; 1024] {
/// #         [0; 1024]
/// #     }
/// #     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut [u8; 1024], _: &mut [u8]) {}
/// # }
///
/// // 100 MiB, which no stack holds.
/// let mut sockets = zeroed::<Sockets<Posix<Poll<16>>, Ignore, 100_000>>()?;
/// let mut buffer = zeroed::<[u8; 65_536]>()?;
/// let mut server = Loop::new(Posix::new(Poll::new()), &mut sockets, &mut *buffer);
/// server.run(&mut Ignore)?; // Nothing listens, so it returns at once.
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`Error::Exhausted`]: there is not that much memory.
pub fn zeroed<T: ZeroIsEmpty>() -> Result<Box<T>, Error> {
    const { T::CHECKED };
    let memory = allocate::<T>(Layout::new::<T>())?;
    // SAFETY: `memory` is the global allocator's, in the layout of a `T`, and nobody else's. It is
    // all zero bytes, which `ZeroIsEmpty` promises to be a `T`.
    Ok(unsafe { Box::from_raw(memory.as_ptr()) })
}

/// Makes a slice of `len` values, each of all zero bytes, as [`zeroed`] makes one. For pools whose
/// length a configuration file tells ([`Loop::with_slices`](usockets::Loop::with_slices)), and for
/// the tables beside them.
///
/// ```
/// use usockets::{Error, Handler, Loop, Opened, Platform, Socket};
/// use usockets_posix::{Poll, Posix, zeroed_slice};
/// # struct Ignore;
/// # impl<P: Platform> Handler<P> for Ignore {
/// #     type Ext = ();
/// #     type Context = ();
/// #     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}
/// #     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
/// # }
///
/// let count = 100_000; // From a configuration file.
/// let mut slots = zeroed_slice(count)?;
/// let mut data = zeroed_slice(count)?;
/// let mut buffer = zeroed_slice(65_536)?;
/// let platform = Posix::new(Poll::<16>::new());
/// let server = Loop::with_slices(platform, &mut slots, &mut data, &mut buffer)?;
/// # let _: Loop<'_, _, Ignore> = server;
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`]: so many values are more bytes than there are addresses.
/// [`Error::Exhausted`]: there is not that much memory.
pub fn zeroed_slice<T: ZeroIsEmpty>(len: usize) -> Result<Box<[T]>, Error> {
    const { T::CHECKED };
    let layout = Layout::array::<T>(len).map_err(|_| Error::Invalid)?;
    let memory = allocate::<T>(layout)?;
    let slice = ptr::slice_from_raw_parts_mut(memory.as_ptr(), len);
    // SAFETY: `memory` is the global allocator's, in the layout of `len` times `T`, and nobody
    // else's. It is all zero bytes, each `T` of which `ZeroIsEmpty` promises to be one.
    Ok(unsafe { Box::from_raw(slice) })
}

/// Returns memory of all zero bytes; dangling if the layout has no bytes.
fn allocate<T>(layout: Layout) -> Result<NonNull<T>, Error> {
    if layout.size() == 0 {
        return Ok(NonNull::dangling());
    }
    // SAFETY: the layout has bytes.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory.cast()).ok_or(Error::Exhausted)
}

/// Promises it for types of which each field promises it or is a number.
macro_rules! promise {
    ($($type:ty),+ $(,)?) => {
        $(
            // SAFETY: each bit pattern of a number is valid, and all zeros are 0.
            unsafe impl ZeroIsEmpty for $type {}
        )+
    };
}

promise!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize
);

// SAFETY: all zeros are `false`.
unsafe impl ZeroIsEmpty for bool {}

// SAFETY: it has no bytes.
unsafe impl ZeroIsEmpty for () {}

// SAFETY: an array is its values and nothing else.
unsafe impl<T: ZeroIsEmpty, const N: usize> ZeroIsEmpty for [T; N] {
    const CHECKED: () = T::CHECKED;
}

// SAFETY: two numbers, 0 in `Span::EMPTY`.
unsafe impl ZeroIsEmpty for Span {}

// SAFETY: bytes and a `Span`; `Buffer::EMPTY` has zeros in both.
unsafe impl<const N: usize> ZeroIsEmpty for Buffer<N> {}

// SAFETY: it is `repr(u8)` with `Vacant = 0`, so a first byte of zero is `Vacant`, which has no
// other byte that means anything.
unsafe impl<T> ZeroIsEmpty for Place<T> {}

// SAFETY: numbers, all 0 in `Slot::free`, as its documentation promises; a `Place`; and the
// platform's socket, which promises it.
unsafe impl<S: ZeroIsEmpty, C> ZeroIsEmpty for Slot<S, C> {
    const CHECKED: () = S::CHECKED;
}

// SAFETY: an array of `Slot`s and one of `Place`s. `Sockets::new` fills them with `Slot::free` of
// `Platform::CLOSED`, which are zeros if the socket's promise holds, and with `Place::Vacant`.
unsafe impl<P: Platform, H: Handler<P>, const N: usize> ZeroIsEmpty for Sockets<P, H, N>
where
    P::Socket: ZeroIsEmpty,
{
    const CHECKED: () = {
        assert!(N > 0, "a pool holds at least one socket");
        assert!(N < 0xffff_ffff, "a pool index fits 32 bits");
    };
}

// SAFETY: numbers and a `Kind`, which is `repr(u8)` with `Closed = 0`; all are zero in
// `Fd::CLOSED`, where that kind means that no descriptor is owned.
unsafe impl ZeroIsEmpty for Fd {}

// SAFETY: an `Fd` and a number, which is 0 in `Posix::CLOSED`.
unsafe impl ZeroIsEmpty for PosixSocket {}

// SAFETY: `Sha2` is one `repr(u8)` enum with `Empty = 0`, which has no other byte that means
// anything, and which `Hasher::EMPTY` is.
#[cfg(feature = "tls")]
unsafe impl ZeroIsEmpty for Sha2 {}

// SAFETY: it is numbers, arrays of numbers, `bool`s, and enums that are `repr(u8)` with the value
// of `Connection::CLOSED` as 0 (state, role, suite, failure, whose alert is the number 0), all of
// them zero in `Tls::CLOSED`; and the socket of the platform below, which promises it.
#[cfg(feature = "tls")]
unsafe impl<S: ZeroIsEmpty> ZeroIsEmpty for TlsSocket<S> {
    const CHECKED: () = S::CHECKED;
}

// SAFETY: a number and a `repr(u8)` enum with `Empty = 0`, which has no other byte that means
// anything; `ParkingPlace::EMPTY` is these.
#[cfg(feature = "tls")]
unsafe impl ZeroIsEmpty for ParkingPlace {}

// SAFETY: beside the running hashes, which promise it, it is numbers, arrays of numbers, `bool`s,
// and enums that are `repr(u8)` with the value of `TlsMemory::NEW` as 0 (the hash function of a
// pre-shared key, the state of an entry). All of them are zero in `TlsMemory::NEW`.
#[cfg(feature = "tls")]
unsafe impl<C, const S: usize, const H: usize, const I: usize, const O: usize, const L: usize>
    ZeroIsEmpty for TlsMemory<C, S, H, I, O, L>
where
    C: Crypto<Hasher: ZeroIsEmpty>,
{
    const CHECKED: () = assert!(
        S > 0 && H > 0 && I > 0 && O > 0,
        "each number is at least 1"
    );
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::String;

    use super::*;

    /// What a program may keep for a connection, of which zeros are no value.
    type Reference = &'static str;

    #[test]
    fn tables_hold_nothing_at_first_and_then_what_is_put_there() {
        let mut table = zeroed_slice::<Buffer<100>>(1_000).unwrap();
        assert_eq!(table.len(), 1_000);
        assert!(table.iter().all(Buffer::is_empty));
        assert_eq!(table[999].push(b"hello"), 5);
        assert_eq!(table[999].filled(), b"hello");
        assert!(table[998].is_empty());
        let spans = zeroed_slice::<[Span; 3]>(0);
        assert!(spans.unwrap().is_empty());
        assert_eq!(*zeroed::<[[u64; 3]; 2]>().unwrap(), [[0; 3]; 2]);
    }

    /// Places of what has no zero value are vacant; what is put there is dropped once.
    #[test]
    fn places_are_vacant() {
        let mut places = zeroed_slice::<Place<(Reference, String)>>(3).unwrap();
        assert!(places.iter().all(|place| matches!(place, Place::Vacant)));
        places[1] = Place::Occupied(("name", String::from("value")));
        let Place::Occupied((name, value)) = &places[1] else {
            panic!("it was put there");
        };
        assert_eq!((*name, value.as_str()), ("name", "value"));
    }

    /// Moving a value has Miri check that its bytes are one.
    #[test]
    fn slots_and_sockets_are_values() {
        let slots = zeroed_slice::<Slot<Fd, Reference>>(5).unwrap();
        for slot in slots {
            let _moved: Slot<Fd, Reference> = slot;
        }
        let fd = *zeroed::<Fd>().unwrap();
        assert!(fd.get().is_err());
        let socket = *zeroed::<PosixSocket>().unwrap();
        assert!(socket.fd().get().is_err());
        let slot = zeroed::<Slot<PosixSocket, ()>>().unwrap();
        let _moved = *slot;
    }

    #[cfg(feature = "tls")]
    #[test]
    fn memory_of_tls_is_a_value() {
        use usockets::tls::{HashAlgorithm, Hasher, RustCrypto};

        struct Machine;

        impl usockets::tls::Machine for Machine {
            fn random(&mut self, _: &mut [u8]) -> bool {
                false
            }

            fn unix_seconds(&self) -> u64 {
                0
            }
        }

        let memory = zeroed::<TlsMemory<RustCrypto<Machine>, 3, 2, 2, 1>>().unwrap();
        let _moved = *memory;
        let _moved = *zeroed::<TlsSocket<Fd>>().unwrap();
        for place in zeroed_slice::<ParkingPlace>(4).unwrap() {
            let _moved: ParkingPlace = place;
        }
        let mut hasher = *zeroed::<Sha2>().unwrap();
        hasher.update(b"what an empty hasher ignores");
        let digest = hasher.digest();
        assert_eq!(digest.get(HashAlgorithm::Sha384), [0; 48]);
    }

    #[test]
    fn lengths_that_no_memory_has_are_errors() {
        let too_long = zeroed_slice::<[u8; 1 << 20]>(usize::MAX);
        assert_eq!(too_long.err(), Some(Error::Invalid));
        // Within what a layout may be, but beyond every address space of today.
        #[cfg(not(miri))]
        {
            let too_much = zeroed_slice::<u8>(isize::MAX.unsigned_abs() - 4096);
            // Or the compiler leaves out an allocation that nobody uses.
            let too_much = core::hint::black_box(too_much);
            assert_eq!(too_much.err(), Some(Error::Exhausted));
        }
        // Values without bytes, as many as there may be.
        assert_eq!(zeroed_slice::<()>(usize::MAX).unwrap().len(), usize::MAX);
    }
}
