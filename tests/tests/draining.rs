//! A loop that drains serves what has arrived, and ends everything in order and in time.

use usockets::{Endpoint, Error};
use usockets_conformance::suite::draining::WITHIN;
use usockets_tests::bed::Bed;
use usockets_tests::side::Side;

/// Clients in the accept queue, whose requests have arrived before anybody looked, are served.
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
#[test]
fn who_waits_to_be_accepted_is_served() -> Result<(), Error> {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use usockets_tests::bed::LinuxBed;

    let bed = &mut LinuxBed::default();
    let mut server = Side::with::<40>(0, bed.platform(), 4_096, 0);
    let (_, addr) = server.listen_at(Endpoint::tcp(bed.addr(0)).backlog(64), 1);
    server.script.echo = true;
    let mut clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = TcpStream::connect(addr).unwrap();
            client.write_all(b"request").unwrap();
            client
        })
        .collect();
    server.net().drain(WITHIN);
    let served = std::thread::spawn(move || {
        for client in &mut clients {
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, b"request");
            client.shutdown(Shutdown::Write).unwrap();
        }
    });
    server.lp.run(&mut server.script)?;
    served.join().unwrap();
    Ok(())
}
