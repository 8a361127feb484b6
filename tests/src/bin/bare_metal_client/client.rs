//! A plain HTTP client that gives up after a while.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::scope;
use std::time::Duration;

use usockets_tests::restart::restarted;

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What went wrong, in words.
pub(crate) type Outcome<T> = Result<T, String>;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// What was received and not used yet.
    ahead: Vec<u8>,
}

/// One response.
pub(crate) struct Response {
    status: u16,
    body: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(at: &str) -> Outcome<Self> {
        let at: SocketAddr = at.parse().map_err(|_| format!("{at} is no address"))?;
        let stream = TcpStream::connect_timeout(&at, PATIENCE).map_err(words("connect"))?;
        let timeouts = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .and_then(|()| stream.set_nodelay(true));
        timeouts.map_err(words("options"))?;
        let ahead = Vec::new();
        Ok(Self { stream, ahead })
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.stream.write_all(bytes).map_err(words("send"))
    }

    /// Sends bytes from another thread, as what they bring back may come before they are through.
    /// Returns the response.
    pub(crate) fn send_beside(&mut self, bytes: &[u8]) -> Outcome<Response> {
        let mut stream = self.stream.try_clone().map_err(words("clone"))?;
        scope(|threads| {
            let sending = threads.spawn(move || stream.write_all(bytes));
            let response = self.response();
            let sent = sending
                .join()
                .map_err(|_| "a thread panicked".to_string())?;
            sent.map_err(words("send"))?;
            response
        })
    }

    /// Asks for a page.
    pub(crate) fn get(&mut self, path: &str) -> Outcome<Response> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
        self.response()
    }

    /// Reads a response, whose length is told.
    pub(crate) fn response(&mut self) -> Outcome<Response> {
        let head = loop {
            if let Some(head) = Head::read(&self.ahead)? {
                break head;
            }
            self.read()?;
        };
        self.ahead.drain(..head.len);
        let length = head.body_len.unwrap_or(0);
        while self.ahead.len() < length {
            self.read()?;
        }
        let body = self.ahead.drain(..length).collect();
        let status = head.status;
        Ok(Response { status, body })
    }

    /// Reads at least `count` bytes, of whatever.
    pub(crate) fn read_some(&mut self, count: usize) -> Outcome<()> {
        while self.ahead.len() < count {
            self.read()?;
        }
        Ok(())
    }

    /// Reads until the other side ends or resets the connection. Returns what came.
    pub(crate) fn read_to_end(mut self) -> Outcome<Vec<u8>> {
        loop {
            let mut bytes = [0; 4096];
            match restarted(|| self.stream.read(&mut bytes)) {
                Ok(0) => return Ok(self.ahead),
                Ok(count) => self.ahead.extend(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    return Ok(self.ahead);
                }
                Err(error) => return Err(words("read")(error)),
            }
        }
    }

    fn read(&mut self) -> Outcome<()> {
        let mut bytes = [0; 4096];
        match restarted(|| self.stream.read(&mut bytes)) {
            Ok(0) => Err(format!("ended after {} bytes", self.ahead.len())),
            Ok(count) => {
                self.ahead.extend(&bytes[..count]);
                Ok(())
            }
            Err(error) => Err(words("read")(error)),
        }
    }
}

/// The head of a response.
pub(crate) struct Head {
    /// Its bytes.
    pub(crate) len: usize,
    pub(crate) status: u16,
    /// Those of the body, if they are told.
    pub(crate) body_len: Option<usize>,
}

impl Head {
    /// Reads the head in front of `bytes`; `None` while some of it is missing.
    pub(crate) fn read(bytes: &[u8]) -> Outcome<Option<Self>> {
        let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = str::from_utf8(&bytes[..at]).map_err(|_| "a head is no text".to_string())?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| format!("no status in {head:?}"))?;
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        Ok(Some(Self {
            len: at + 4,
            status,
            body_len: length.and_then(|(_, length)| length.parse().ok()),
        }))
    }
}

impl Response {
    /// Fails unless the status is `wanted`.
    pub(crate) fn expect_status(&self, wanted: u16) -> Outcome<()> {
        if self.status == wanted {
            return Ok(());
        }
        Err(format!("status {}, not {wanted}", self.status))
    }

    /// Fails unless status and body are those wanted.
    pub(crate) fn expect(&self, wanted: u16, body: &[u8]) -> Outcome<()> {
        self.expect_status(wanted)?;
        if self.body == body {
            return Ok(());
        }
        let (len, body_len) = (self.body.len(), body.len());
        Err(format!(
            "a body of {len} bytes is not the one of {body_len}"
        ))
    }

    /// Returns the body of a good response as text.
    pub(crate) fn text(self) -> Outcome<String> {
        self.expect_status(200)?;
        String::from_utf8(self.body).map_err(|_| "a body is no text".to_string())
    }
}

fn words(what: &str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{what}: {error}")
}
