//! TLS: a configuration for each context, and who its servers are by which name.
//!
//! A layer of the core's goes by one configuration at a time and looks at it only while a
//! connection opens. So before a connection opens, or is carried on with, the layer is given the
//! configuration of that connection's context ([`Inner::before_open`]).
//!
//! # Lifetimes
//!
//! The layer and the core want configurations for ever. Those of a context live until the context
//! is freed; before that the layer is given [`NOBODY`], and connections that are open do not look.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull, null_mut};

use usockets::tls::{
    ClientAuth, ClientConfig, Config, Ed25519Key, ExchangePlace, FindIdentity, Identity,
    IdentityError, Machine, ParkingPlace, Pem, ServerConfig, Signer, TicketKeys, Tls, TlsMemory,
    TrustAnchor,
};
#[cfg(not(feature = "aws-lc-rs"))]
use usockets::tls::{EcdsaP256Key as FirstKey, RustCrypto as Crypto};
use usockets::{Endpoint, Error};
#[cfg(feature = "aws-lc-rs")]
use usockets_linux::{AwsLc as Crypto, AwsLcKey as FirstKey};
use zeroize::Zeroizing;

use crate::block::Reservation;
use crate::context::us_socket_context_options_t;
use crate::handles::{ContextRef, LoopRef, SocketRef};
use crate::kernel::{Kernel, NOWHERE};
use crate::listen::{none, origin};
use crate::margins::Inner;
#[cfg(not(target_os = "linux"))]
use system::System;
#[cfg(target_os = "linux")]
use usockets_linux::LinuxMachine as System;

/// TLS over the kernel's sockets.
pub(crate) type Layer = Tls<'static, Kernel, Crypto<System>>;

/// What connections lease: 64 handshakes, 64 parts of records that came, 256 that go; and where
/// handshakes wait for their clients without a lease. All zero bytes while nothing is in it.
struct Memory {
    leased: TlsMemory<Crypto<System>, 65_535, 64, 64, 256>,
    parking: [ParkingPlace; 512],
    exchanges: [ExchangePlace<Crypto<System>>; 512],
}

/// Bytes of [`Memory`].
pub(crate) const MEMORY: usize = size_of::<Memory>();

/// Seconds for which a ticket is good.
const TICKET_SECONDS: u32 = 7_200;
/// Longest certificate, and longest key, in bytes.
const DOCUMENT_MAX: usize = 16_384;

/// Serves nobody, and trusts nobody.
static NOBODY: Config<'static> = Config::server(ServerConfig::new(&[]));

/// Makes the layer of a loop.
pub(crate) fn layer(kernel: Kernel, memory: &Reservation) -> Option<Layer> {
    // SAFETY: memory of which nothing is leased is all zero bytes (`TlsMemory`), as are places
    // with nothing in them, and nobody else has this, which outlives the loop.
    let memory: &'static mut Memory = unsafe { memory.start::<Memory>().as_mut() };
    let Memory {
        leased,
        parking,
        exchanges,
    } = memory;
    let crypto = Crypto::new(System::new());
    let layer = Tls::new(kernel, crypto, &NOBODY, leased);
    let layer = layer.with_parking(parking);
    Some(layer.with_exchange_parking(exchanges))
}

/// What a loop keeps of TLS.
#[derive(Default)]
pub(crate) struct Secure {
    /// The slot whose handshake is being carried on.
    opening: Cell<Option<u32>>,
    /// Whether the listener for connections made elsewhere exists.
    pub(crate) adopts: Cell<bool>,
}

impl Inner for Layer {
    const DELIVERS: bool = Kernel::DELIVERS;

    fn before_open(&mut self, lp: LoopRef, index: u32) {
        lp.secure.opening.set(Some(index));
        let owner = lp.context_at(index).and_then(|context| context.owner.get());
        self.set_config(owner.map_or(&NOBODY, config));
    }
}

/// The credentials of a context, and its names.
pub(crate) struct Credentials {
    config: Cell<Config<'static>>,
    context: ContextRef,
    /// For clients that ask for no name, or for one that is not known.
    default: Cell<Option<Identity<'static>>>,
    names: RefCell<Vec<Named>>,
    /// Numbers of names so far.
    last_number: Cell<u32>,
    /// What identities and roots are made of, also those of names that were removed: a handshake
    /// may still use them.
    #[expect(
        clippy::vec_box,
        reason = "identities refer to what is inside, which stays in place"
    )]
    loaded: RefCell<Vec<Box<Loaded>>>,
    tickets: Option<Box<TicketKeys>>,
    found: Cell<u32>,
}

/// A name of a server.
struct Named {
    pattern: String,
    identity: Identity<'static>,
    user: *mut c_void,
    number: u32,
}

/// What was read from files.
struct Loaded {
    /// Each certificate; `chain` refers to them.
    certificates: Vec<Vec<u8>>,
    chain: Vec<&'static [u8]>,
    signer: Option<Box<dyn Signer>>,
    roots: Vec<TrustAnchor<'static>>,
}

// SAFETY: asked by the thread of the loop only, as the layer that asks is the loop's.
unsafe impl Sync for Credentials {}

/// Extends a borrow of what a context owns until the context is freed.
///
/// # Safety
/// What is borrowed stays in place until nobody looks at it any more; see the module.
unsafe fn kept<T: ?Sized>(what: &T) -> &'static T {
    // SAFETY: the caller's promise.
    unsafe { &*ptr::from_ref(what) }
}

/// Returns the configuration of a context that has one.
fn config(owner: ContextRef) -> &'static Config<'static> {
    match NonNull::new(owner.credentials.get()) {
        // SAFETY: the credentials live as long as the context, after which the layer has another;
        // the cell is only written to while no handshake runs.
        Some(credentials) => unsafe { &*credentials.as_ref().config.as_ptr() },
        None => &NOBODY,
    }
}

/// Gives the layer the configuration of a context, before something is listened or connected.
pub(crate) fn choose(context: ContextRef) {
    let owner = context.owner.get().unwrap_or(context);
    context
        .lp
        .with(|net| net.platform_mut().inner_mut().set_config(config(owner)));
}

fn read(path: *const c_char) -> Option<Vec<u8>> {
    // SAFETY: the program's string ends with a zero byte and stays until the call returns.
    let path = unsafe { CStr::from_ptr(path) };
    std::fs::read(path.to_str().ok()?).ok()
}

/// Reads the certificates of a text; `None` if one of them cannot be read.
fn certificates(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut pem = Pem::new(text);
    let mut found = Vec::new();
    let mut memory = vec![0; DOCUMENT_MAX];
    while let Some(document) = pem.next("CERTIFICATE", &mut memory).ok()? {
        found.push(document.to_vec());
    }
    Some(found)
}

fn signer(text: &[u8]) -> Option<Box<dyn Signer>> {
    for label in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
        let mut memory = Zeroizing::new(vec![0; DOCUMENT_MAX]);
        let Some(document) = Pem::new(text).next(label, &mut memory).ok()? else {
            continue;
        };
        return signer_of(document);
    }
    None
}

fn signer_of(document: &[u8]) -> Option<Box<dyn Signer>> {
    // aws-lc's sign several times as fast as the core's, by RSA and P-384 too. What they refuse on
    // P-256 the core is not asked: it would not see that a public key in it is another's.
    if let Ok(key) = FirstKey::from_der(document) {
        return Some(Box::new(key));
    }
    Some(Box::new(Ed25519Key::from_der(document).ok()?))
}

/// Returns false if the key is that of another certificate, which shows here as it does with
/// OpenSSL, and not at the first client. Whatever else is wrong is for the peers to judge.
fn has_its_key(loaded: &Loaded) -> bool {
    let Some(signer) = loaded.signer.as_deref() else {
        return true;
    };
    let identity = Identity::new(&loaded.chain, signer);
    let checked = identity.check(&Crypto::new(System::new()), &[]);
    !matches!(
        checked,
        Err(IdentityError::OtherKey | IdentityError::NoSignature)
    )
}

/// Reads the files of `options`; `None` if one that is named cannot be used.
fn load(options: &us_socket_context_options_t) -> Option<Box<Loaded>> {
    let mut loaded = Box::new(Loaded {
        certificates: Vec::new(),
        chain: Vec::new(),
        signer: None,
        roots: Vec::new(),
    });
    if !options.ca_file_name.is_null() {
        for certificate in certificates(&read(options.ca_file_name)?)? {
            let certificate = certificate.as_slice().into();
            let anchor = webpki::anchor_from_trusted_cert(&certificate).ok()?;
            loaded.roots.push(anchor.to_owned());
        }
        if loaded.roots.is_empty() {
            return None;
        }
    }
    match (
        options.cert_file_name.is_null(),
        options.key_file_name.is_null(),
    ) {
        (true, true) => return Some(loaded),
        (false, false) => {}
        _ => return None,
    }
    loaded.certificates = certificates(&read(options.cert_file_name)?)?;
    if loaded.certificates.is_empty() {
        return None;
    }
    // SAFETY: the vectors are not touched again until they are dropped with the context.
    let kept = |one: &Vec<u8>| unsafe { kept(one.as_slice()) };
    loaded.chain = loaded.certificates.iter().map(kept).collect();
    let key = Zeroizing::new(read(options.key_file_name)?);
    loaded.signer = Some(signer(&key)?);
    has_its_key(&loaded).then_some(loaded)
}

/// Returns who a server is by what was loaded; `None` if there is no certificate among it.
fn identity(loaded: &Loaded) -> Option<Identity<'static>> {
    // SAFETY: what was loaded stays until the context is freed.
    let (chain, signer, roots) = unsafe {
        (
            kept(loaded.chain.as_slice()),
            kept(loaded.signer.as_deref()?),
            kept(&*loaded.roots),
        )
    };
    let identity = Identity::new(chain, signer);
    if roots.is_empty() {
        return Some(identity);
    }
    Some(identity.client_auth(ClientAuth::Required(roots)))
}

/// Adds credentials to a context: its own, or those of a name.
pub(crate) fn add(
    context: ContextRef,
    name: Option<&str>,
    options: &us_socket_context_options_t,
    user: *mut c_void,
) -> bool {
    let Some(loaded) = load(options) else {
        return false;
    };
    let Some(name) = name else {
        return start(context, loaded);
    };
    let owner = context.owner.get().unwrap_or(context);
    let (Some(credentials), Some(identity)) = (credentials(owner), identity(&loaded)) else {
        return false;
    };
    let mut names = credentials.names.borrow_mut();
    if names
        .iter()
        .any(|one| one.pattern.eq_ignore_ascii_case(name))
    {
        return false;
    }
    let number = credentials.last_number.get().wrapping_add(1);
    credentials.last_number.set(number);
    names.push(Named {
        pattern: name.to_owned(),
        identity,
        user,
        number,
    });
    credentials.loaded.borrow_mut().push(loaded);
    true
}

/// Makes the credentials of a context.
fn start(context: ContextRef, loaded: Box<Loaded>) -> bool {
    let mut secret = Zeroizing::new([0; 32]);
    let tickets = System::new()
        .random(secret.as_mut_slice())
        .then(|| Box::new(TicketKeys::new(*secret, TICKET_SECONDS)));
    let credentials = Box::into_raw(Box::new(Credentials {
        config: Cell::new(NOBODY),
        context,
        default: Cell::new(identity(&loaded)),
        names: RefCell::default(),
        last_number: Cell::new(0),
        loaded: RefCell::new(vec![loaded]),
        tickets,
        found: Cell::new(0),
    }));
    context.credentials.set(credentials);
    let Some(credentials) = credentials_of(context) else {
        return false;
    };
    let mut server = ServerConfig::new(credentials.identities()).missing(credentials);
    if let Some(tickets) = credentials.tickets.as_deref() {
        server = server.tickets(tickets);
    }
    credentials
        .config
        .set(Config::new(server, credentials.client()));
    true
}

fn credentials(owner: ContextRef) -> Option<&'static Credentials> {
    credentials_of(owner)
}

fn credentials_of(owner: ContextRef) -> Option<&'static Credentials> {
    // SAFETY: they live until the context is freed; see the module.
    NonNull::new(owner.credentials.get()).map(|credentials| unsafe { &*credentials.as_ptr() })
}

impl Credentials {
    /// Returns the identities for clients that ask for no name: one, or none.
    fn identities(&'static self) -> &'static [Identity<'static>] {
        // SAFETY: the cell is written to once, before.
        match unsafe { &*self.default.as_ptr() } {
            Some(identity) => std::slice::from_ref(identity),
            None => &[],
        }
    }

    /// Returns what clients go by: the authorities and the certificate that were loaded first.
    fn client(&'static self) -> ClientConfig<'static> {
        let loaded = self.loaded.borrow();
        let Some(first) = loaded.first() else {
            return ClientConfig::new(&[]);
        };
        // SAFETY: what was loaded stays until the context is freed.
        let client = ClientConfig::new(unsafe { kept(first.roots.as_slice()) });
        match self.identities().first() {
            Some(identity) => client.identity(identity),
            None => client,
        }
    }

    /// Returns the identity for a name, exact or by a pattern, and remembers which it was.
    fn look_up(&self, name: &str) -> Option<Identity<'static>> {
        let names = self.names.borrow();
        let exact = names
            .iter()
            .find(|one| one.pattern.eq_ignore_ascii_case(name));
        let found = exact.or_else(|| names.iter().find(|one| covers(&one.pattern, name)))?;
        self.found.set(found.number);
        Some(found.identity)
    }
}

/// Whether a pattern, in which a label may be `*`, covers a name.
fn covers(pattern: &str, name: &str) -> bool {
    let (mut own, mut asked) = (pattern.split('.'), name.split('.'));
    loop {
        match (own.next(), asked.next()) {
            (None, None) => return true,
            (Some("*"), Some(label)) if !label.is_empty() => {}
            (Some(own), Some(asked)) if own.eq_ignore_ascii_case(asked) => {}
            _ => return false,
        }
    }
}

impl FindIdentity for Credentials {
    fn find(&self, name: &str) -> Option<Identity<'_>> {
        self.found.set(0);
        let mut found = self.look_up(name);
        if found.is_none()
            && let Some(callback) = self.context.on_server_name.get()
            && let Ok(name_of_c) = CString::new(name)
        {
            // SAFETY: the program's callback, with what it expects.
            unsafe { callback(self.context, name_of_c.as_ptr()) };
            found = self.look_up(name);
        }
        let lp = self.context.lp;
        if let Some(index) = lp.secure.opening.get() {
            lp.side_at(index).name.set(self.found.get());
        }
        found.or(self.default.get())
    }
}

/// Removes a name. Connections that have it stay.
pub(crate) fn remove(context: ContextRef, name: &str) {
    let owner = context.owner.get().unwrap_or(context);
    if let Some(credentials) = credentials(owner) {
        let mut names = credentials.names.borrow_mut();
        names.retain(|one| !one.pattern.eq_ignore_ascii_case(name));
    }
}

/// Returns the user pointer of a pattern.
pub(crate) fn find(context: ContextRef, name: &str) -> *mut c_void {
    let owner = context.owner.get().unwrap_or(context);
    let names = credentials(owner).map(|credentials| credentials.names.borrow());
    let found = names.as_ref().and_then(|names| {
        names
            .iter()
            .find(|one| one.pattern.eq_ignore_ascii_case(name))
    });
    found.map_or(null_mut(), |one| one.user)
}

/// Returns the user pointer of the name that a socket's peer asked for.
pub(crate) fn chosen(block: SocketRef) -> *mut c_void {
    let (context, Some(id)) = (block.context.get(), block.id()) else {
        return null_mut();
    };
    let number = context.lp.side(id).name.get();
    let owner = context.owner.get().unwrap_or(context);
    let names = credentials(owner).map(|credentials| credentials.names.borrow());
    let found = names
        .as_ref()
        .and_then(|names| names.iter().find(|one| one.number == number));
    found.map_or(null_mut(), |one| one.user)
}

/// Frees the credentials of a context that is freed.
pub(crate) fn forget(context: ContextRef) {
    let credentials = context.credentials.replace(null_mut());
    if credentials.is_null() {
        return;
    }
    context
        .lp
        .with(|net| net.platform_mut().inner_mut().set_config(&NOBODY));
    // SAFETY: made by `start`, and nobody looks at them any more.
    drop(unsafe { Box::from_raw(credentials) });
}

/// Takes over a connection that was accepted elsewhere, by a listener that accepts only such.
pub(crate) fn adopt(context: ContextRef, fd: OwnedFd, ext: usize) -> Option<SocketRef> {
    let lp = context.lp;
    let number = origin(lp, context, ext, true)?;
    if !lp.secure.adopts.get() {
        choose(context);
        let listener = lp.reach.with(|net| {
            crate::kernel(net).prepare_adopting()?;
            net.listen(Endpoint::tls(NOWHERE, None), ())
        });
        match listener.unwrap_or(Err(Error::Invalid)) {
            // It stays as long as the loop, and is none of the program's.
            Ok(_) => lp.secure.adopts.set(true),
            Err(error) => return none(error),
        }
    }
    lp.count_up();
    lp.with(|net| crate::kernel(net).adopt(fd, number));
    None
}

/// Random bytes and the wall clock of systems that are not Linux.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::SystemTime;

    use usockets::tls::Machine;

    /// Most bytes that `getentropy` gives in one call.
    const ENTROPY_MAX: usize = 256;

    pub(crate) struct System;

    impl System {
        pub(crate) const fn new() -> Self {
            Self
        }
    }

    impl Machine for System {
        fn random(&mut self, out: &mut [u8]) -> bool {
            out.chunks_mut(ENTROPY_MAX).all(|part| {
                // SAFETY: the bytes are ours, and not more than it gives.
                unsafe { libc::getentropy(part.as_mut_ptr().cast(), part.len()) == 0 }
            })
        }

        fn unix_seconds(&self) -> u64 {
            let now = SystemTime::UNIX_EPOCH.elapsed();
            now.map_or(0, |now| now.as_secs())
        }
    }
}
