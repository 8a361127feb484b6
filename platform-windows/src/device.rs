//! Polls by the driver below the sockets, AFD.
#![expect(
    unsafe_code,
    reason = "the kernel writes into an operation until its poll has completed"
)]

use core::cell::UnsafeCell;
use core::ptr;

use usockets::Error;
use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{FILE_OPEN, NtCancelIoFileEx, NtCreateFile};
use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
use windows_sys::Win32::Foundation::{STATUS_PENDING, UNICODE_STRING};
use windows_sys::Win32::Networking::WinSock::SOCKET;
use windows_sys::Win32::Storage::FileSystem::{FILE_SHARE_READ, FILE_SHARE_WRITE, SYNCHRONIZE};
use windows_sys::Win32::System::IO::{IO_STATUS_BLOCK, IO_STATUS_BLOCK_0};

use crate::error::status_error;
use crate::events::Events;
use crate::port::{Handle, Port};

/// `IOCTL_AFD_POLL`: a network device's function 9, buffered.
const POLL: u32 = 0x0001_2024;
/// A poll that never times out, in units of 100 ns.
const NEVER: i64 = i64::MAX;
/// The device. What follows its name is ours to choose.
const NAME: [u16; 20] = utf16(*br"\Device\Afd\usockets");

/// The kernel's part of one poll. It writes here from [`Device::start`] until the completion.
#[derive(Debug)]
pub(crate) struct Poll(UnsafeCell<Shared>);

#[repr(C)]
struct Shared {
    status: IO_STATUS_BLOCK,
    info: Info,
}

/// `AFD_POLL_INFO` with one `AFD_POLL_HANDLE_INFO`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Info {
    timeout: i64,
    count: u32,
    exclusive: u32,
    socket: SOCKET,
    events: u32,
    status: i32,
}

// SAFETY: the pointers inside are the kernel's and never followed here; the cell is read and
// written only through a `Device`, under the contracts of its functions.
unsafe impl Send for Poll {}

impl Poll {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(Shared {
            status: IO_STATUS_BLOCK {
                Anonymous: IO_STATUS_BLOCK_0 { Status: 0 },
                Information: 0,
            },
            info: Info {
                timeout: 0,
                count: 0,
                exclusive: 0,
                socket: 0,
                events: 0,
                status: 0,
            },
        }))
    }
}

/// A handle of the driver, through which any socket of the process can be polled.
#[derive(Debug)]
pub(crate) struct Device(Handle);

impl Device {
    /// Opens the driver. Its completions come to `port`, with `key`.
    pub(crate) fn open(port: &Port, key: usize) -> Result<Self, Error> {
        let bytes = u16::try_from(size_of_val(&NAME)).unwrap_or_default();
        let name = UNICODE_STRING {
            Length: bytes,
            MaximumLength: bytes,
            Buffer: NAME.as_ptr().cast_mut(),
        };
        let attributes = OBJECT_ATTRIBUTES {
            Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap_or_default(),
            ObjectName: &raw const name,
            ..OBJECT_ATTRIBUTES::default()
        };
        let mut status = IO_STATUS_BLOCK::default();
        let mut raw = ptr::null_mut();
        // SAFETY: the name is not written to; everything named outlives the call, which is over
        // when it returns, as the handle is not used yet.
        let result = unsafe {
            NtCreateFile(
                &raw mut raw,
                SYNCHRONIZE,
                &raw const attributes,
                &raw mut status,
                ptr::null(),
                0,
                FILE_SHARE_READ | FILE_SHARE_WRITE,
                FILE_OPEN,
                0,
                ptr::null(),
                0,
            )
        };
        if result < 0 {
            return Err(status_error(result));
        }
        // SAFETY: just opened, and known to nobody else.
        let handle = unsafe { Handle::new(raw) };
        port.associate(&handle, key)?;
        Ok(Self(handle))
    }

    /// Starts a poll of a socket. One completion follows, which carries `value`.
    ///
    /// # Safety
    /// The kernel has no poll of this memory: none was started in it before, or the completion of
    /// the last one has come.
    pub(crate) unsafe fn start(
        &self,
        poll: &'static Poll,
        socket: SOCKET,
        events: Events,
        value: usize,
    ) -> Result<(), Error> {
        let shared = poll.0.get();
        let info = Info {
            timeout: NEVER,
            count: 1,
            exclusive: 0,
            socket,
            events: events.union(Events::LOCAL_CLOSE).bits(),
            status: 0,
        };
        let bytes = u32::try_from(size_of::<Info>()).unwrap_or_default();
        // SAFETY: the memory lives as long as the process, and by the contract nobody else uses
        // it now.
        let status = unsafe {
            (*shared).info = info;
            NtDeviceIoControlFile(
                self.0.raw(),
                ptr::null_mut(),
                None,
                // It comes back with the completion, and is not followed.
                ptr::without_provenance(value),
                &raw mut (*shared).status,
                POLL,
                (&raw const (*shared).info).cast(),
                bytes,
                (&raw mut (*shared).info).cast(),
                bytes,
            )
        };
        // One that is over at once is reported as any other.
        if status < 0 && status != STATUS_PENDING {
            return Err(status_error(status));
        }
        Ok(())
    }

    /// Asks the kernel to complete a poll now. Its completion still follows.
    pub(crate) fn cancel(&self, poll: &'static Poll) {
        let mut status = IO_STATUS_BLOCK::default();
        // SAFETY: the kernel only compares the address of the block to be cancelled; one that has
        // completed meanwhile is not found, and that is right too.
        unsafe {
            NtCancelIoFileEx(
                self.0.raw(),
                &raw const (*poll.0.get()).status,
                &raw mut status,
            );
        }
    }

    /// Returns what a poll completed with.
    ///
    /// # Safety
    /// The completion of the last poll of this memory has come.
    pub(crate) unsafe fn events(&self, poll: &'static Poll) -> Events {
        // SAFETY: by the contract the kernel does not write any more.
        let info = unsafe { (*poll.0.get()).info };
        if info.count == 0 {
            return Events::NONE;
        }
        Events::from_bits(info.events)
    }
}

const fn utf16<const N: usize>(ascii: [u8; N]) -> [u16; N] {
    let mut wide = [0; N];
    let (mut to, mut from): (&mut [u16], &[u8]) = (&mut wide, &ascii);
    while let ([first, rest @ ..], [letter, letters @ ..]) = (to, from) {
        *first = u16::from_le_bytes([*letter, 0]);
        (to, from) = (rest, letters);
    }
    wide
}
