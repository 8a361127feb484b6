//! The servers on tokio's current-thread runtime: one task and one buffer per connection.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;
use usockets_peers::timeouts::{COUNT, Timeouts, measure};
use usockets_peers::{Echo, Http, READ_MAX, Role, Service, listen};

fn main() -> Result<(), Box<dyn Error>> {
    match Role::from_args()? {
        Role::Echo => run::<Echo>()?,
        Role::Http => run::<Http>()?,
        Role::Timeouts => measure(&mut Queue::new()?),
    }
    Ok(())
}

fn run<S: Service + 'static>() -> io::Result<()> {
    Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(serve::<S>())
}

async fn serve<S: Service + 'static>() -> io::Result<()> {
    let listener = TcpListener::from_std(listen()?)?;
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true)?;
            tokio::spawn(connection::<S>(stream));
        }
    }
}

/// Serves one connection. An error ends it, like the peer's end.
async fn connection<S: Service>(mut stream: TcpStream) -> io::Result<()> {
    // Never zeroed: of an idle connection's buffer, only the touched part is resident.
    let mut read = Vec::with_capacity(READ_MAX);
    let mut scratch = Vec::new();
    let mut state = S::State::default();
    loop {
        read.clear();
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
        let Some(answer) = S::answer(&mut state, &read, &mut scratch) else {
            return Ok(());
        };
        stream.write_all(answer).await?;
    }
}

/// The delay queue of tokio-util, on a clock that stands until nothing else is to be done.
struct Queue {
    runtime: Runtime,
    queue: DelayQueue<u32>,
    keys: Vec<Key>,
}

impl Queue {
    fn new() -> io::Result<Self> {
        Ok(Self {
            runtime: Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()?,
            queue: DelayQueue::with_capacity(COUNT as usize),
            keys: Vec::with_capacity(COUNT as usize),
        })
    }
}

impl Timeouts for Queue {
    fn arm(&mut self, key: u32, after: u64) {
        let _context = self.runtime.enter();
        self.keys
            .push(self.queue.insert(key, Duration::from_millis(after)));
    }

    fn rearm(&mut self, key: u32, after: u64) {
        let _context = self.runtime.enter();
        self.queue
            .reset(&self.keys[key as usize], Duration::from_millis(after));
    }

    fn expire(&mut self) -> u32 {
        let queue = &mut self.queue;
        self.runtime.block_on(async {
            let mut count = 0;
            while poll_fn(|context| queue.poll_expired(context))
                .await
                .is_some()
            {
                count += 1;
            }
            count
        })
    }
}
