//! Contexts: groups of sockets with the same callbacks.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_ushort, c_void};
use std::ptr::null_mut;

use crate::handles::{
    ContextRef, Data, Flags, ListenRef, LoopRef, OnClose, OnError, OnName, OnOpen, OnPreOpen,
    OnSocket, SocketRef, us_socket_context_t,
};
use crate::{block, connect, listen, socket};

/// Where certificates and keys are. See the header.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct us_socket_context_options_t {
    pub key_file_name: *const c_char,
    pub cert_file_name: *const c_char,
    pub passphrase: *const c_char,
    pub dh_params_file_name: *const c_char,
    pub ca_file_name: *const c_char,
    pub ssl_ciphers: *const c_char,
    pub ssl_prefer_low_memory_usage: c_int,
}

pub(crate) fn create(
    lp: LoopRef,
    secure: bool,
    owner: Option<ContextRef>,
    ext: c_int,
) -> Option<ContextRef> {
    lp.check_thread();
    let Ok(ext) = usize::try_from(ext) else {
        return listen::none(usockets::Error::Invalid);
    };
    let context = us_socket_context_t {
        lp,
        secure,
        owner: Cell::new(owner),
        #[cfg(feature = "tls")]
        credentials: Cell::new(null_mut()),
        on_open: Cell::new(None),
        on_close: Cell::new(None),
        on_data: Cell::new(ignore),
        on_writable: Cell::new(None),
        on_end: Cell::new(None),
        on_timeout: Cell::new(None),
        on_long_timeout: Cell::new(None),
        on_connect_error: Cell::new(None),
        on_pre_open: Cell::new(None),
        on_server_name: Cell::new(None),
    };
    let context = ContextRef::allocate(context, ext)?;
    if owner.is_none() {
        context.owner.set(Some(context));
    }
    Some(context)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_create_socket_context(
    ssl: c_int,
    lp: LoopRef,
    ext: c_int,
    options: us_socket_context_options_t,
) -> Option<ContextRef> {
    // Without the feature everything is in the clear, as in µSockets without a TLS library.
    let secure = cfg!(feature = "tls") && ssl != 0;
    let context = create(lp, secure, None, ext)?;
    #[cfg(feature = "tls")]
    if secure && !crate::secure::add(context, None, &options, null_mut()) {
        // SAFETY: nobody has seen it.
        unsafe { block::free(context.block()) };
        return None;
    }
    let _ = options;
    Some(context)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_create_child_socket_context(
    _ssl: c_int,
    parent: ContextRef,
    ext: c_int,
) -> Option<ContextRef> {
    create(parent.lp, parent.secure, parent.owner.get(), ext)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_free(_ssl: c_int, context: ContextRef) {
    let lp = context.lp;
    lp.check_thread();
    #[cfg(feature = "tls")]
    crate::secure::forget(context);
    for origin in lp.origins.borrow_mut().iter_mut() {
        if origin.context == Some(context) {
            origin.context = None;
        }
    }
    // SAFETY: the program was told that the block is gone.
    unsafe { block::free(context.block()) };
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_ext(
    _ssl: c_int,
    context: ContextRef,
) -> *mut c_void {
    context.ext()
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_loop(
    _ssl: c_int,
    context: ContextRef,
) -> LoopRef {
    context.lp
}

/// The time in steps of four seconds, modulo 240.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_timestamp(
    _ssl: c_int,
    context: ContextRef,
) -> c_ushort {
    let micros = context.lp.with(|net| net.now().as_micros());
    c_ushort::try_from(micros / 4_000_000 % 240).unwrap_or(0)
}

/// There is no `SSL_CTX` behind a context.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_get_native_handle(
    _ssl: c_int,
    _context: ContextRef,
) -> *mut c_void {
    null_mut()
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_close(_ssl: c_int, context: ContextRef) {
    let lp = context.lp;
    let own = |one: &ListenRef| one.socket.context.get() == context;
    let listeners: Vec<_> = lp.listeners.borrow().iter().copied().filter(own).collect();
    for listener in listeners {
        listen::close(listener);
    }
    // By index, so that an `on_close` may close, open and adopt what it likes.
    let mut index = 0;
    while index < lp.high.get() {
        if let Some(block) = lp.socket_at(index)
            && block.context.get() == context
        {
            if block.any(Flags::CONNECTING) {
                connect::close_connecting(block);
            } else {
                socket::close(block, 0, null_mut());
            }
        }
        index += 1;
    }
}

/// A function that sets one callback of a context.
macro_rules! setter {
    ($name:ident, $field:ident, $type:ty) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(_ssl: c_int, context: ContextRef, callback: $type) {
            context.lp.check_thread();
            context.$field.set(callback);
        }
    };
}

/// What gets the bytes that the program has no callback for.
unsafe extern "C-unwind" fn ignore(_: SocketRef, _: *mut c_char, _: c_int) -> *mut c_void {
    null_mut()
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_on_data(
    _ssl: c_int,
    context: ContextRef,
    callback: Option<Data>,
) {
    context.lp.check_thread();
    context.on_data.set(callback.unwrap_or(ignore));
}

setter!(us_socket_context_on_pre_open, on_pre_open, OnPreOpen);
setter!(us_socket_context_on_open, on_open, OnOpen);
setter!(us_socket_context_on_close, on_close, OnClose);
setter!(us_socket_context_on_writable, on_writable, OnSocket);
setter!(us_socket_context_on_end, on_end, OnSocket);
setter!(us_socket_context_on_timeout, on_timeout, OnSocket);
setter!(us_socket_context_on_long_timeout, on_long_timeout, OnSocket);
setter!(
    us_socket_context_on_connect_error,
    on_connect_error,
    OnError
);
setter!(us_socket_context_on_server_name, on_server_name, OnName);

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_add_server_name(
    _ssl: c_int,
    context: ContextRef,
    pattern: *const c_char,
    options: us_socket_context_options_t,
    user: *mut c_void,
) {
    #[cfg(feature = "tls")]
    if context.secure
        && let Some(pattern) = text(pattern)
    {
        crate::secure::add(context, Some(pattern), &options, user);
    }
    let _ = (context, pattern, options, user);
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_remove_server_name(
    _ssl: c_int,
    context: ContextRef,
    pattern: *const c_char,
) {
    #[cfg(feature = "tls")]
    if context.secure
        && let Some(pattern) = text(pattern)
    {
        crate::secure::remove(context, pattern);
    }
    let _ = (context, pattern);
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_find_server_name_userdata(
    _ssl: c_int,
    context: ContextRef,
    pattern: *const c_char,
) -> *mut c_void {
    #[cfg(feature = "tls")]
    if context.secure
        && let Some(pattern) = text(pattern)
    {
        return crate::secure::find(context, pattern);
    }
    let _ = (context, pattern);
    null_mut()
}

/// Reads a text of the program's; `None` for no text, or one that is not UTF-8.
pub(crate) fn text<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the program's string ends with a zero byte and stays until the call returns.
    unsafe { std::ffi::CStr::from_ptr(text) }.to_str().ok()
}
