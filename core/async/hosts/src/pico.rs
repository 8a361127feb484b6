//! A small site on the HTTP server of the crate picoserve, as it is: with an adapter of 60 lines
//! for its own traits of sockets and timers.

use embedded_io_async::{ErrorType, Read, Write};
use picoserve::io::Socket;
use picoserve::mem::{BorrowedBuffer, BorrowedCursor};
use picoserve::routing::get;
use picoserve::time::{Duration, Timer};
use picoserve::{Config, Router, Timeouts};
use usockets_async::{IoError, ReadHalf, WriteHalf};
use usockets_linux::Linux;

use crate::{Connection, Shared};

/// Bytes for the head of a request.
const HEAD_MAX: usize = 1_024;

/// The program's environment, in picoserve's word.
struct Tasks;

/// The loop's timers.
struct Clock(Shared);

impl Timer<Tasks> for Clock {
    async fn delay(&self, duration: Duration) {
        let duration = core::time::Duration::from_millis(duration.as_millis());
        if self.0.sleep(duration).await.is_err() {
            // There is no slot for a timer: whatever has a timeout goes on without one.
            core::future::pending().await
        }
    }
}

/// A connection, in picoserve's form.
struct Adapted(Connection);

/// Its half that writes: picoserve fills a buffer of ours.
struct Filled<'a>(WriteHalf<'a, 'static, 'static, Linux>);

impl ErrorType for Filled<'_> {
    type Error = IoError;
}

impl Write for Filled<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), IoError> {
        self.0.flush().await
    }
}

impl picoserve::io::Write for Filled<'_> {
    async fn write_with<F: FnOnce(BorrowedCursor<'_>) -> R, R>(
        &mut self,
        fill: F,
    ) -> Result<R, IoError> {
        let mut memory = [0; 512];
        let mut buffer = BorrowedBuffer::new(&mut memory);
        let output = fill(buffer.unfilled());
        self.0.write_all(buffer.filled()).await?;
        Ok(output)
    }
}

impl Socket<Tasks> for Adapted {
    type Error = IoError;
    type ReadHalf<'a> = ReadHalf<'a, 'static, 'static, Linux>;
    type WriteHalf<'a> = Filled<'a>;

    fn split(&mut self) -> (Self::ReadHalf<'_>, Filled<'_>) {
        let (input, output) = self.0.split();
        (input, Filled(output))
    }

    async fn abort<T: Timer<Tasks>>(
        mut self,
        _: &Timeouts,
        _: &T,
    ) -> Result<(), picoserve::Error<IoError>> {
        self.0.abort();
        Ok(())
    }

    async fn shutdown<T: Timer<Tasks>>(
        mut self,
        timeouts: &Timeouts,
        timer: &T,
    ) -> Result<(), picoserve::Error<IoError>> {
        self.0.finish();
        let mut unread = [0; 128];
        loop {
            let read = self.0.read(&mut unread);
            match timer.run_with_timeout(timeouts.read_request, read).await {
                Err(error) => return Err(picoserve::Error::ReadTimeout(error)),
                Ok(Err(error)) => return Err(picoserve::Error::Read(error)),
                Ok(Ok(0)) => return Ok(()),
                Ok(Ok(_)) => {}
            }
        }
    }
}

/// Serves one connection.
pub async fn serve(reactor: Shared, stream: Connection) {
    let app = Router::new().route("/", get(|| async { "hello from picoserve" }));
    let config = Config::const_default().keep_connection_alive();
    let mut head = [0; HEAD_MAX];
    let server = picoserve::Server::custom(&app, Clock(reactor), &config, &mut head);
    // What ends a connection is not this program's concern.
    let _ = server.serve(Adapted(stream)).await;
}
