//! What platforms that stand before another one leave to it.

/// The methods of [`Platform`](usockets::Platform) that every platform must have, but for `listen`
/// and `connect`, and `woken`: as those of the platform in the field `0`.
/// With `but accept` that one is left out, too, and with `but transfer` `recv` and `send` are.
macro_rules! forward {
    () => {
        crate::forward::forward!(accept);
        crate::forward::forward!(transfer);
        crate::forward::forward!(rest);
    };
    (but accept) => {
        crate::forward::forward!(transfer);
        crate::forward::forward!(rest);
    };
    (but transfer) => {
        crate::forward::forward!(accept);
        crate::forward::forward!(rest);
    };
    (accept) => {
        fn accept(
            &mut self,
            listener: &mut Self::Socket,
            socket: &mut Self::Socket,
            id: usockets::SocketId,
        ) -> Result<Option<usockets::Accepted>, usockets::Error> {
            self.0.accept(listener, socket, id)
        }
    };
    (transfer) => {
        fn recv(
            &mut self,
            socket: &mut Self::Socket,
            buffer: &mut [u8],
        ) -> Result<usockets::Recv, usockets::Error> {
            self.0.recv(socket, buffer)
        }

        fn send(
            &mut self,
            socket: &mut Self::Socket,
            data: &[u8],
        ) -> Result<usize, usockets::Error> {
            self.0.send(socket, data)
        }
    };
    (rest) => {
        fn refuse(&mut self, listener: &mut Self::Socket) -> Result<bool, usockets::Error> {
            self.0.refuse(listener)
        }

        fn set_accepting(
            &mut self,
            listener: &mut Self::Socket,
            id: usockets::SocketId,
            accepting: bool,
        ) -> Result<(), usockets::Error> {
            self.0.set_accepting(listener, id, accepting)
        }

        fn open(
            &mut self,
            socket: &mut Self::Socket,
            ready: usockets::Readiness,
        ) -> Result<usockets::Progress, usockets::Error> {
            self.0.open(socket, ready)
        }

        fn flush(
            &mut self,
            socket: &mut Self::Socket,
        ) -> Result<usockets::Progress, usockets::Error> {
            self.0.flush(socket)
        }

        fn take_error(&mut self, socket: &mut Self::Socket) -> Option<usockets::Error> {
            self.0.take_error(socket)
        }

        fn finish(
            &mut self,
            socket: &mut Self::Socket,
        ) -> Result<usockets::Progress, usockets::Error> {
            self.0.finish(socket)
        }

        fn close(&mut self, socket: &mut Self::Socket) {
            self.0.close(socket);
        }

        fn abort(&mut self, socket: &mut Self::Socket) {
            self.0.abort(socket);
        }

        fn local_addr(&self, socket: &Self::Socket) -> Result<usockets::Address, usockets::Error> {
            self.0.local_addr(socket)
        }

        fn peer_addr(&self, socket: &Self::Socket) -> Result<usockets::Address, usockets::Error> {
            self.0.peer_addr(socket)
        }

        fn poll(&mut self, until: Option<usockets::Instant>) -> Result<(), usockets::Error> {
            self.0.poll(until)
        }

        fn next_ready(&mut self) -> Option<usockets::Ready> {
            self.0.next_ready()
        }

        fn woken(&mut self) -> bool {
            self.0.woken()
        }

        fn now(&self) -> usockets::Instant {
            self.0.now()
        }
    };
}

pub(crate) use forward;
