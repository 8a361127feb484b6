//! An echo server on any Unix, over kqueue where there is one and else over `poll(2)`.
//! `cargo run --release -p usockets-posix --example echo`, on 127.0.0.1:3000.
#![cfg_attr(not(unix), expect(unused, reason = "the platform is empty there"))]

#[cfg(unix)]
fn main() -> Result<(), usockets::Error> {
    unix::serve()
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};

    struct Echo;

    impl<P: Platform> Handler<P> for Echo {
        type Context = ();
        type Ext = ();

        fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

        fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut (), data: &mut [u8]) {
            if socket.write(data) < data.len() {
                socket.close(); // A peer that sends more than it takes.
            }
        }
    }

    #[cfg(any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    fn platform() -> Result<usockets_posix::Posix<usockets_posix::Kqueue>, Error> {
        Ok(usockets_posix::Posix::new(usockets_posix::Kqueue::new()?))
    }

    #[cfg(not(any(
        target_vendor = "apple",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd"
    )))]
    #[expect(clippy::unnecessary_wraps, reason = "kqueue may fail")]
    fn platform() -> Result<usockets_posix::Posix<usockets_posix::Poll<64>>, Error> {
        Ok(usockets_posix::Posix::new(usockets_posix::Poll::new()))
    }

    pub(crate) fn serve() -> Result<(), Error> {
        let mut sockets = Sockets::<_, _, 64>::new();
        let mut buffer = [0; 4096];
        let mut server = Loop::new(platform()?, &mut sockets, &mut buffer);
        let at = Endpoint::tcp(([127, 0, 0, 1], 3000).into());
        server.net().listen(at, ())?;
        server.run(&mut Echo)
    }
}
