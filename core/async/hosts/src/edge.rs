//! A small site on the HTTP server of the crate edge-http, as it is.

use core::fmt::{Debug, Display};

use edge_http::Method;
use edge_http::io::server::{Connection, Handler, Server};
use edge_nal::{TcpAccept, TcpSplit};
use embedded_io_async::{Read, Write};

/// Bytes for the head of a request.
const HEAD_MAX: usize = 2_048;
/// Milliseconds after which an idle connection is closed.
const IDLE: u32 = 5_000;

/// Greets at `/`, and sends back what is posted.
#[derive(Debug)]
pub struct Greeter;

impl Handler for Greeter {
    type Error<E: Debug> = edge_http::io::Error<E>;

    async fn handle<T, const N: usize>(
        &self,
        _: impl Display + Copy,
        connection: &mut Connection<'_, T, N>,
    ) -> Result<(), Self::Error<T::Error>>
    where
        T: Read + Write + TcpSplit,
    {
        let head = connection.headers()?;
        let (method, is_root) = (head.method, head.path == "/");
        match method {
            Method::Get if is_root => {
                let headers = [("Content-Type", "text/plain"), ("Content-Length", "20")];
                connection
                    .initiate_response(200, Some("OK"), &headers)
                    .await?;
                connection.write_all(b"hello from edge-http").await
            }
            Method::Post => {
                let mut body = [0; 512];
                let mut len = 0;
                while let Some(rest) = body.get_mut(len..).filter(|rest| !rest.is_empty()) {
                    match connection.read(rest).await? {
                        0 => break,
                        count => len += count,
                    }
                }
                connection.initiate_response(200, Some("OK"), &[]).await?;
                connection.write_all(&body[..len]).await
            }
            _ => connection.initiate_response(404, None, &[]).await,
        }
    }
}

/// The memory of the server, for `TASKS` connections at a time.
pub type Memory<const TASKS: usize> = Server<TASKS, HEAD_MAX, 32>;

/// Serves what a listener accepts.
///
/// # Errors
/// The listener broke.
pub async fn serve<const TASKS: usize, A: TcpAccept>(
    server: &'static mut Memory<TASKS>,
    listener: A,
) -> Result<(), edge_http::io::Error<A::Error>> {
    server.run(Some(IDLE), listener, Greeter).await
}
