//! File size and memory of the smallest program.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::elf;
use crate::peer::{self, Clients};
use crate::programs::{Programs, command, target_dir};
use crate::report::Report;

/// The command that `tiny` documents.
const TINY: &[&str] = &[
    "rustc",
    "--profile",
    "tiny",
    "-p",
    "usockets-linux",
    "--example",
    "tiny",
    "--no-default-features",
    "--",
    "--cfg",
    "freestanding",
    "-C",
    "relocation-model=static",
    "-C",
    "link-args=-nostartfiles -nostdlib -static -no-pie \
     -Wl,--no-eh-frame-hdr,--build-id=none,-z,norelro,-T,platform-linux/examples/support/tiny.ld",
];
/// Connections open at a time.
const CONNECTIONS: usize = 1_000;
/// The receive buffer of `tiny`.
const BUFFER: usize = 65_536;

/// Measures where a static pool lies, and how small a program can be.
pub fn measure(report: &mut Report, programs: &Programs) -> io::Result<()> {
    let (all, in_file) = elf::statics(&programs.examples.join("echo"), &["SOCKETS", "BUFFER"])?;
    let how = "ELF sections of the statics of the example echo";
    let in_file = u32::try_from(in_file).map_err(io::Error::other)?;
    report.bounded(
        "image bytes of 1,024 sockets, buffer",
        f64::from(in_file),
        0.0,
        "",
        how,
    );
    let all = u32::try_from(all).map_err(io::Error::other)?;
    report.told("  bytes of them in .bss", f64::from(all), how);

    if !cfg!(target_arch = "x86_64") {
        report.skipped("size and memory of tiny", "not on this processor");
        return Ok(());
    }
    let target = target_dir()?.join("budget/tiny");
    let status = command(&target).args(TINY).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("tiny: {status}")));
    }
    let tiny = target.join("tiny/examples/tiny");
    let bytes = u32::try_from(fs::metadata(&tiny)?.len()).map_err(io::Error::other)?;
    let how = "example tiny: static, no libc";
    report.bounded(
        "file of an echo server, bytes",
        f64::from(bytes),
        32_768.0,
        "22 KB",
        how,
    );
    let (idle, busy) = memory(&tiny)?;
    report.told("  resident when it listens, KiB", idle, "smaps_rollup");
    let how = "tiny with 1,000 connections, after 64 KiB echoed";
    report.bounded("resident memory of it, KiB", busy, 256.0, "1,700", how);
    Ok(())
}

/// Resident KiB of the server: idle, and with connections and a buffer in use.
fn memory(tiny: &Path) -> io::Result<(f64, f64)> {
    let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut server = Command::new(tiny)
        .arg(addr.to_string())
        .stdin(Stdio::null())
        .spawn()?;
    let measured = serve(&server, addr);
    peer::end(&mut server);
    measured
}

fn serve(server: &Child, addr: SocketAddr) -> io::Result<(f64, f64)> {
    let mut stream = connect(addr)?;
    let idle = resident(server)?;
    let mut clients = Clients::connect(addr, CONNECTIONS - 1)?;
    clients.echo(1)?;
    // More than the buffer holds, so that all of it is used.
    let sent = vec![1; 4 * BUFFER];
    let mut back = vec![0; sent.len()];
    let mut writer = stream.try_clone()?;
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent));
        stream.read_exact(&mut back)
    })?;
    if sent != back {
        return Err(io::Error::other("the echo differs"));
    }
    Ok((idle, resident(server)?))
}

/// Connects to a server that is about to listen.
fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    for _ in 0..100 {
        if let Ok(stream) = TcpStream::connect(addr) {
            return Ok(stream);
        }
        thread::sleep(Duration::from_millis(20));
    }
    TcpStream::connect(addr)
}

fn resident(process: &Child) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.id()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let count = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    count.ok_or_else(|| io::Error::other("no Rss in smaps_rollup"))
}
