//! A client that the crate embedded-tls makes, driven without heap. Feature `embedded-tls`.

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use embedded_tls::{
    Aes128GcmSha256, TlsConfig, TlsConnection, TlsContext, TlsError, TlsReader, TlsWriter,
};

use crate::buffer::Buffer;
use crate::tls::alert::Alert;
use crate::tls::certificate::name::parse_dns;
use crate::tls::crypto::provider::Crypto;
use crate::tls::embedded::prover::Prover;
use crate::tls::handshake::config::ClientConfig;
use crate::tls::record::protection::{HEADER, OVERHEAD};
use crate::tls::wire::{part, part_mut};

/// Content type of protected records (RFC 8446, section 5.2).
const PROTECTED: u8 = 23;
/// Bytes that go over between a session and its buffers at once.
const CHUNK: usize = 256;

/// What a session of embedded-tls shares with its program: `N` bytes, at least 256, for each of
/// what was received and what is to be sent, protected and not.
pub struct EmbeddedLink<const N: usize> {
    inside: RefCell<Inside<N>>,
}

struct Inside<const N: usize> {
    received: Buffer<N>,
    sending: Buffer<N>,
    incoming: Buffer<N>,
    outgoing: Buffer<N>,
    gate: Gate,
    state: EmbeddedState,
    /// The transport has no more.
    is_ended: bool,
    /// The program has no more.
    is_finishing: bool,
}

/// How far a session is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum EmbeddedState {
    /// It shakes hands.
    Opening,
    /// The server has proved who it is; data can flow.
    Open,
    /// One side has ended with `close_notify`, which ends both directions.
    Finished,
    /// It broke.
    Failed(EmbeddedError),
}

/// Why a session broke.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// What is wrong with the server's certificate or signature; or `internal_error`, if the
    /// configuration or the machine will not do.
    Refused(Alert),
    /// The server has not proved who it is.
    Unproved,
    /// A record that no server may send.
    Record,
    /// The transport ended without `close_notify`.
    Truncated,
    /// What the crate says.
    Other(TlsError),
}

/// A client of TLS 1.3 that embedded-tls makes: bytes in, bytes out, no transport.
///
/// The session is a future that lives where the program puts it; this drives it, without heap and
/// without an executor.
///
/// ```
/// use core::pin::pin;
/// use usockets::tls::{ClientConfig, EmbeddedClient, EmbeddedLink, Machine, RustCrypto};
///
/// fn hello(config: &ClientConfig<'_>, machine: impl Machine, out: &mut [u8]) -> usize {
///     let link = EmbeddedLink::<2_048>::new();
///     let (mut input, mut output) = ([0; 16_640], [0; 1_024]);
///     let mut crypto = RustCrypto::new(machine);
///     let session = link.session(&mut crypto, config, "a.example", &mut input, &mut output);
///     let session = pin!(session);
///     let mut client = EmbeddedClient::new(&link, session);
///     client.transmit(out)
/// }
/// # let _: fn(&ClientConfig<'_>, NoMachine, &mut [u8]) -> usize = hello;
/// # struct NoMachine;
/// # impl Machine for NoMachine {
/// #     fn random(&mut self, _: &mut [u8]) -> bool { false }
/// #     fn unix_seconds(&self) -> u64 { 0 }
/// # }
/// ```
///
/// # What is sure
///
/// A session is open only when the server has shown a chain that leads to one of the trusted
/// authorities, is valid now and has the server's name, and has signed the handshake with its
/// key. This is checked here, as is the form of every record before the crate sees it.
///
/// # Limits
///
/// - One cipher suite, AES-128-GCM; one group, P-256; no `HelloRetryRequest`.
/// - The server's end is not answered with one of ours.
/// - No IP addresses, no resumption, no `KeyUpdate`; the protocol that ALPN agreed on cannot be
///   learned.
/// - Of our own chain only the first certificate is shown, and only with a key of P-256, P-384 or
///   Ed25519 that signs at once.
/// - A handshake message must come in one record, and the server's own certificate have at most
///   2,048 bytes.
/// - The crate is a client only, and may panic when a server that has proved who it is breaks the
///   protocol: it is for servers that are trusted. [`Tls`](crate::tls::Tls) has none of these
///   limits.
pub struct EmbeddedClient<'l, F, const N: usize> {
    link: &'l EmbeddedLink<N>,
    session: Pin<&'l mut F>,
    is_done: bool,
}

impl<'l, F: Future<Output = ()>, const N: usize> EmbeddedClient<'l, F, N> {
    /// Starts the session of `link`, which writes its hello.
    pub fn new(link: &'l EmbeddedLink<N>, session: Pin<&'l mut F>) -> Self {
        let mut client = Self {
            link,
            session,
            is_done: false,
        };
        client.drive();
        client
    }

    /// Takes bytes from the transport and returns how many.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let count = self.link.with(|inside| inside.received.push(bytes));
        self.drive();
        count
    }

    /// Notes that the transport has no more bytes.
    pub fn end(&mut self) {
        self.link.with(|inside| inside.is_ended = true);
        self.drive();
    }

    /// Moves bytes for the transport to the front of `target` and returns how many.
    pub fn transmit(&mut self, target: &mut [u8]) -> usize {
        let count = self.link.with(|inside| take(&mut inside.sending, target));
        self.drive();
        count
    }

    /// Takes data to send and returns how much; 0 before the session is open.
    pub fn write(&mut self, data: &[u8]) -> usize {
        let count = self.link.with(|inside| match inside.state {
            EmbeddedState::Open if !inside.is_finishing => inside.outgoing.push(data),
            _ => 0,
        });
        self.drive();
        count
    }

    /// Moves received data to the front of `target` and returns how much.
    pub fn read(&mut self, target: &mut [u8]) -> usize {
        let count = self.link.with(|inside| take(&mut inside.incoming, target));
        self.drive();
        count
    }

    /// Ends the session with `close_notify`, after everything written. Nothing more is read.
    pub fn finish(&mut self) {
        self.link.with(|inside| inside.is_finishing = true);
        self.drive();
    }

    /// Returns how far the session is.
    #[must_use]
    pub fn state(&self) -> EmbeddedState {
        self.link.with(|inside| inside.state)
    }

    /// Lets the session do all it can.
    fn drive(&mut self) {
        if !self.is_done {
            let mut context = Context::from_waker(Waker::noop());
            self.is_done = self.session.as_mut().poll(&mut context).is_ready();
        }
    }
}

/// Moves the front of a buffer to the front of `target`.
fn take<const N: usize>(buffer: &mut Buffer<N>, target: &mut [u8]) -> usize {
    let count = buffer.filled().len().min(target.len());
    for (target, source) in target.iter_mut().zip(buffer.filled()) {
        *target = *source;
    }
    buffer.consume(count);
    count
}

impl<const N: usize> Default for EmbeddedLink<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> EmbeddedLink<N> {
    /// Makes the buffers of one session.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N >= CHUNK, "a buffer has at least 256 bytes") };
        Self {
            inside: RefCell::new(Inside {
                received: Buffer::EMPTY,
                sending: Buffer::EMPTY,
                incoming: Buffer::EMPTY,
                outgoing: Buffer::EMPTY,
                gate: Gate::new(),
                state: EmbeddedState::Opening,
                is_ended: false,
                is_finishing: false,
            }),
        }
    }

    /// Makes the one session of the link, with the DNS name that the server must prove to have.
    ///
    /// `input` holds a record: 16,640 bytes, or less if the server's are known to be shorter.
    /// `output` holds the hello and records that are sent; 1,024 bytes will do, and as many more
    /// as the certificate has that a server may ask for.
    pub async fn session<C: Crypto>(
        &self,
        crypto: &mut C,
        config: &ClientConfig<'_>,
        name: &str,
        input: &mut [u8],
        output: &mut [u8],
    ) {
        let ended = self.run(crypto, config, name, input, output).await;
        self.with(|inside| {
            inside.state = match ended {
                Ok(()) => EmbeddedState::Finished,
                Err(_) if !inside.gate.is_good => EmbeddedState::Failed(EmbeddedError::Record),
                Err(EmbeddedError::Other(TlsError::IoError)) if inside.is_ended => {
                    EmbeddedState::Failed(EmbeddedError::Truncated)
                }
                Err(error) => EmbeddedState::Failed(error),
            };
        });
    }

    async fn run<C: Crypto>(
        &self,
        crypto: &mut C,
        config: &ClientConfig<'_>,
        name: &str,
        input: &mut [u8],
        output: &mut [u8],
    ) -> Result<(), EmbeddedError> {
        if parse_dns(name.as_bytes()).is_none() {
            return Err(EmbeddedError::Refused(Alert::INTERNAL_ERROR));
        }
        let mut settings = TlsConfig::new().with_server_name(name);
        if !config.protocols.is_empty() {
            settings = settings.with_alpn(config.protocols);
        }
        let mut tls = TlsConnection::<_, Aes128GcmSha256>::new(Pipe(self), input, output);
        let mut prover = Prover::new(crypto, config, name);
        let opened = tls.open(TlsContext::new(&settings, &mut prover)).await;
        match (prover.refusal(), opened) {
            (Some(alert), _) => return Err(EmbeddedError::Refused(alert)),
            (None, Err(error)) => return Err(EmbeddedError::Other(error)),
            (None, Ok(())) => {}
        }
        if !prover.has_proof() {
            return Err(EmbeddedError::Unproved);
        }
        self.with(|inside| inside.state = EmbeddedState::Open);
        let ended = {
            let (reader, writer) = tls.split();
            let reading = pin!(self.bring(reader));
            let writing = pin!(self.send(writer));
            first(reading, writing).await
        };
        match ended {
            Ok(()) => {}
            // The crate would answer in the clear, which no server may take.
            Err(TlsError::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(EmbeddedError::Other(error)),
        }
        tls.close()
            .await
            .map_err(|(_, error)| EmbeddedError::Other(error))?;
        Ok(())
    }

    /// Brings data in for as long as it comes.
    async fn bring(
        &self,
        mut reader: TlsReader<'_, Pipe<'_, N>, Aes128GcmSha256>,
    ) -> Result<(), TlsError> {
        let mut chunk = [0; CHUNK];
        loop {
            let room = self.when(|inside| inside.incoming.spare().len()).await;
            let target = part_mut(&mut chunk, ..room.min(CHUNK));
            let count = reader.read(target).await?;
            let data = target.get(..count).unwrap_or_default();
            self.with(|inside| inside.incoming.push(data));
        }
    }

    /// Sends what is written until the program finishes.
    async fn send(
        &self,
        mut writer: TlsWriter<'_, Pipe<'_, N>, Aes128GcmSha256>,
    ) -> Result<(), TlsError> {
        let mut chunk = [0; CHUNK];
        loop {
            let count = self.with(|inside| take(&mut inside.outgoing, &mut chunk));
            if count == 0 {
                writer.flush().await?;
                self.when(|inside| {
                    let has_more = !inside.outgoing.filled().is_empty();
                    usize::from(has_more || inside.is_finishing)
                })
                .await;
                if self.with(|inside| inside.outgoing.filled().is_empty()) {
                    return Ok(());
                }
                continue;
            }
            let mut rest = part(&chunk, ..count);
            while !rest.is_empty() {
                let written = writer.write(rest).await?;
                rest = rest.get(written..).unwrap_or_default();
            }
        }
    }

    /// Waits until `count` says more than 0, and returns that.
    async fn when(&self, count: impl Fn(&mut Inside<N>) -> usize) -> usize {
        poll_fn(|_| match self.with(&count) {
            0 => Poll::Pending,
            counted => Poll::Ready(counted),
        })
        .await
    }

    /// Looks inside. What looks does not look again meanwhile.
    fn with<R>(&self, look: impl FnOnce(&mut Inside<N>) -> R) -> R {
        look(&mut self.inside.borrow_mut())
    }
}

/// Waits for the first of two futures that are polled in turn.
async fn first<T>(
    mut one: Pin<&mut impl Future<Output = T>>,
    mut other: Pin<&mut impl Future<Output = T>>,
) -> T {
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Pending => other.as_mut().poll(context),
        ready => ready,
    })
    .await
}

/// The transport as embedded-tls sees it.
#[derive(Clone, Copy)]
struct Pipe<'l, const N: usize>(&'l EmbeddedLink<N>);

impl<const N: usize> ErrorType for Pipe<'_, N> {
    type Error = ErrorKind;
}

impl<const N: usize> Read for Pipe<'_, N> {
    async fn read(&mut self, target: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| {
            self.0.with(|inside| {
                let count = take(&mut inside.received, target);
                let read = part(target, ..count);
                if !inside.gate.pass(read) {
                    return Poll::Ready(Err(ErrorKind::InvalidData));
                }
                if count == 0 && !inside.is_ended && !target.is_empty() {
                    return Poll::Pending;
                }
                Poll::Ready(Ok(count))
            })
        })
        .await
    }
}

impl<const N: usize> Write for Pipe<'_, N> {
    async fn write(&mut self, data: &[u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| match self.0.with(|inside| inside.sending.push(data)) {
            0 if !data.is_empty() => Poll::Pending,
            count => Poll::Ready(Ok(count)),
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// Follows the records that come in, and stops at one that RFC 8446, section 5, rules out by its
/// length.
struct Gate {
    header: [u8; HEADER],
    header_len: usize,
    /// Bytes to come of the present record.
    rest: usize,
    is_good: bool,
}

impl Gate {
    const fn new() -> Self {
        Self {
            header: [0; HEADER],
            header_len: 0,
            rest: 0,
            is_good: true,
        }
    }

    /// Follows some bytes; whether all is good so far.
    fn pass(&mut self, bytes: &[u8]) -> bool {
        let mut bytes = bytes;
        while let Some((byte, after)) = bytes.split_first() {
            if self.rest > 0 {
                let count = self.rest.min(bytes.len());
                self.rest = self.rest.saturating_sub(count);
                bytes = part(bytes, count..);
                continue;
            }
            if let Some(slot) = self.header.get_mut(self.header_len) {
                *slot = *byte;
            }
            self.header_len = self.header_len.saturating_add(1);
            bytes = after;
            if self.header_len == HEADER {
                self.header_len = 0;
                self.begin();
            }
        }
        self.is_good
    }

    /// Judges the record of a header that is complete.
    fn begin(&mut self) {
        let [content, _, _, high, low] = self.header;
        self.rest = usize::from(u16::from_be_bytes([high, low]));
        let least = match content {
            PROTECTED => OVERHEAD.saturating_sub(HEADER),
            _ => 1,
        };
        self.is_good &= self.rest >= least;
    }
}
