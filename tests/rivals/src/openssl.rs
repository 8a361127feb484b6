//! OpenSSL's server over memory, loaded when it is there: what `s_server` runs, without its
//! sockets and its printing.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr;
use std::time::{Duration, Instant};

use libloading::{Library, Symbol};
use usockets_tests_tls::Leaf;

use crate::engine::{RECORD, Server};

/// `EVP_PKEY_EC`.
const EC_KEY: c_int = 408;
/// Any of OpenSSL's objects.
type Pointer = *mut c_void;

/// The functions that are called, with their types in OpenSSL 3's headers.
struct Functions {
    ctx_free: unsafe extern "C" fn(Pointer),
    ssl_new: unsafe extern "C" fn(Pointer) -> Pointer,
    ssl_free: unsafe extern "C" fn(Pointer),
    set_bio: unsafe extern "C" fn(Pointer, Pointer, Pointer),
    set_wbio: unsafe extern "C" fn(Pointer, Pointer),
    set_accept_state: unsafe extern "C" fn(Pointer),
    do_handshake: unsafe extern "C" fn(Pointer) -> c_int,
    write: unsafe extern "C" fn(Pointer, *const c_void, c_int) -> c_int,
    read: unsafe extern "C" fn(Pointer, *mut c_void, c_int) -> c_int,
    session_reused: unsafe extern "C" fn(Pointer) -> c_int,
    bio_new: unsafe extern "C" fn(*const c_void) -> Pointer,
    bio_mem: unsafe extern "C" fn() -> *const c_void,
    bio_null: unsafe extern "C" fn() -> *const c_void,
    bio_read: unsafe extern "C" fn(Pointer, *mut c_void, c_int) -> c_int,
    bio_write: unsafe extern "C" fn(Pointer, *const c_void, c_int) -> c_int,
}

/// A server of OpenSSL's.
pub struct OpenSsl {
    functions: Functions,
    ctx: Pointer,
    ssl: Pointer,
    input: Pointer,
    output: Pointer,
    /// Data is being sent, to nowhere.
    is_sending: bool,
    pub version: String,
    /// Unloaded last: the functions are in them.
    _libraries: [Library; 2],
}

/// Returns a function of a library.
///
/// # Safety
/// `T` is the function's type.
unsafe fn function<T: Copy>(library: &Library, name: &str) -> Result<T, libloading::Error> {
    // SAFETY: as the caller promised.
    let symbol: Symbol<'_, T> = unsafe { library.get(name.as_bytes())? };
    Ok(*symbol)
}

impl OpenSsl {
    /// Loads the library and makes a server with a P-256 key, one ticket per connection, and the
    /// one suite.
    pub fn new(leaf: &Leaf) -> Result<Self, libloading::Error> {
        // SAFETY: the types are those of OpenSSL 3's headers, and its start-up code has no
        // preconditions.
        unsafe {
            let crypto = Library::new("libcrypto.so.3")?;
            let ssl = Library::new("libssl.so.3")?;
            let functions = Functions {
                ctx_free: function(&ssl, "SSL_CTX_free")?,
                ssl_new: function(&ssl, "SSL_new")?,
                ssl_free: function(&ssl, "SSL_free")?,
                set_bio: function(&ssl, "SSL_set_bio")?,
                set_wbio: function(&ssl, "SSL_set0_wbio")?,
                set_accept_state: function(&ssl, "SSL_set_accept_state")?,
                do_handshake: function(&ssl, "SSL_do_handshake")?,
                write: function(&ssl, "SSL_write")?,
                read: function(&ssl, "SSL_read")?,
                session_reused: function(&ssl, "SSL_session_reused")?,
                bio_new: function(&crypto, "BIO_new")?,
                bio_mem: function(&crypto, "BIO_s_mem")?,
                bio_null: function(&crypto, "BIO_s_null")?,
                bio_read: function(&crypto, "BIO_read")?,
                bio_write: function(&crypto, "BIO_write")?,
            };
            let ctx = context(&ssl, leaf)?;
            let version: unsafe extern "C" fn(c_int) -> *const c_char =
                function(&crypto, "OpenSSL_version")?;
            let version = std::ffi::CStr::from_ptr(version(0));
            Ok(Self {
                functions,
                ctx,
                ssl: ptr::null_mut(),
                input: ptr::null_mut(),
                output: ptr::null_mut(),
                is_sending: false,
                version: version.to_string_lossy().into_owned(),
                _libraries: [ssl, crypto],
            })
        }
    }
}

/// Makes the configuration.
///
/// # Safety
/// `ssl` is OpenSSL 3's libssl.
unsafe fn context(ssl: &Library, leaf: &Leaf) -> Result<Pointer, libloading::Error> {
    // SAFETY: the types are those of OpenSSL 3's headers; the bytes are copied by the callee.
    unsafe {
        let method: unsafe extern "C" fn() -> *const c_void = function(ssl, "TLS_server_method")?;
        let new: unsafe extern "C" fn(*const c_void) -> Pointer = function(ssl, "SSL_CTX_new")?;
        let use_certificate: unsafe extern "C" fn(Pointer, c_int, *const u8) -> c_int =
            function(ssl, "SSL_CTX_use_certificate_ASN1")?;
        let use_key: unsafe extern "C" fn(c_int, Pointer, *const u8, c_long) -> c_int =
            function(ssl, "SSL_CTX_use_PrivateKey_ASN1")?;
        let set_suites: unsafe extern "C" fn(Pointer, *const c_char) -> c_int =
            function(ssl, "SSL_CTX_set_ciphersuites")?;
        let set_tickets: unsafe extern "C" fn(Pointer, usize) -> c_int =
            function(ssl, "SSL_CTX_set_num_tickets")?;
        let ctx = new(method());
        let certificate = &leaf.chain[0];
        let len = c_int::try_from(certificate.len()).unwrap();
        assert_eq!(use_certificate(ctx, len, certificate.as_ptr()), 1);
        let len = c_long::try_from(leaf.document.len()).unwrap();
        assert_eq!(use_key(EC_KEY, ctx, leaf.document.as_ptr(), len), 1);
        assert_eq!(set_suites(ctx, c"TLS_AES_128_GCM_SHA256".as_ptr()), 1);
        assert_eq!(set_tickets(ctx, 1), 1);
        Ok(ctx)
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // SAFETY: both come from this library and are used no more; it takes null.
        unsafe {
            (self.functions.ssl_free)(self.ssl);
            (self.functions.ctx_free)(self.ctx);
        }
    }
}

impl Server for OpenSsl {
    fn start(&mut self) {
        let of = &self.functions;
        // SAFETY: the connection before is used no more, and owns its BIOs, as the new one will.
        unsafe {
            (of.ssl_free)(self.ssl);
            self.ssl = (of.ssl_new)(self.ctx);
            self.input = (of.bio_new)((of.bio_mem)());
            self.output = (of.bio_new)((of.bio_mem)());
            (of.set_bio)(self.ssl, self.input, self.output);
            (of.set_accept_state)(self.ssl);
        }
        self.is_sending = false;
    }

    fn feed(&mut self, bytes: &[u8]) -> Duration {
        let len = c_int::try_from(bytes.len()).unwrap();
        // SAFETY: the connection and its BIOs live; the bytes are copied.
        unsafe {
            (self.functions.bio_write)(self.input, bytes.as_ptr().cast(), len);
            let start = Instant::now();
            (self.functions.do_handshake)(self.ssl);
            start.elapsed()
        }
    }

    fn take(&mut self, bytes: &mut Vec<u8>) {
        let mut buffer = [0_u8; 4_096];
        let len = c_int::try_from(buffer.len()).unwrap();
        // SAFETY: the BIO lives, and writes to the buffer at most its length.
        while let Ok(count @ 1..) = usize::try_from(unsafe {
            (self.functions.bio_read)(self.output, buffer.as_mut_ptr().cast(), len)
        }) {
            bytes.extend_from_slice(&buffer[..count]);
        }
    }

    fn send(&mut self, data: &[u8; RECORD]) -> Duration {
        let len = c_int::try_from(data.len()).unwrap();
        // SAFETY: the connection lives and owns the BIO that it is given; data is only read.
        unsafe {
            if !self.is_sending {
                let nowhere = (self.functions.bio_new)((self.functions.bio_null)());
                (self.functions.set_wbio)(self.ssl, nowhere);
                self.is_sending = true;
            }
            let start = Instant::now();
            let sent = (self.functions.write)(self.ssl, data.as_ptr().cast(), len);
            let time = start.elapsed();
            assert_eq!(sent, len);
            time
        }
    }

    fn receive(&mut self, record: &[u8]) -> Duration {
        let mut data = [0_u8; RECORD];
        let len = c_int::try_from(record.len()).unwrap();
        let room = c_int::try_from(data.len()).unwrap();
        // SAFETY: the connection and its BIOs live; the bytes are copied, and at most the room is
        // written to.
        unsafe {
            (self.functions.bio_write)(self.input, record.as_ptr().cast(), len);
            let start = Instant::now();
            let received = (self.functions.read)(self.ssl, data.as_mut_ptr().cast(), room);
            let time = start.elapsed();
            assert_eq!(received, room);
            time
        }
    }

    fn end(&mut self) {
        // SAFETY: the connection comes from this library and is used no more; it owns its BIOs.
        unsafe { (self.functions.ssl_free)(self.ssl) };
        self.ssl = ptr::null_mut();
    }

    fn is_resumed(&self) -> bool {
        // SAFETY: the connection lives.
        unsafe { (self.functions.session_reused)(self.ssl) == 1 }
    }
}
