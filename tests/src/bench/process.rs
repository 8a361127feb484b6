//! One server process: started on its own processor, watched from outside.

use std::fs::{read_dir, read_to_string};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Failure;

/// How long the tracer may take to attach and to leave.
const TRACER_MAX: Duration = Duration::from_secs(5);

/// The processors of the servers and of the load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processors {
    server: usize,
    load: usize,
}

impl Processors {
    /// Takes the first and the last processor that this process may use, and moves this thread to
    /// the last.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn take() -> Result<Self, Failure> {
        let allowed = sched_getaffinity(None)?;
        let mut indices = (0..CpuSet::MAX_CPU).filter(|index| allowed.is_set(*index));
        let server = indices.next().ok_or("no processor")?;
        let load = indices.next_back().unwrap_or(server);
        if server == load {
            eprintln!("only one processor: servers and load share it, so rates mean little");
        }
        let processors = Self { server, load };
        processors.to_load()?;
        Ok(processors)
    }

    fn to_load(self) -> Result<(), Failure> {
        move_to(self.load)
    }

    /// Starts a program on the servers' processor, which it inherits from this thread.
    fn start(self, command: &mut Command) -> Result<io::Result<Child>, Failure> {
        move_to(self.server)?;
        let child = command.stdin(Stdio::null()).spawn();
        self.to_load()?;
        Ok(child)
    }
}

fn move_to(processor: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

/// A server process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    on: Processors,
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a program in a role.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn start(on: Processors, program: &Path, role: &str) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        let child = on.start(command.arg(role).stdout(Stdio::piped()))?;
        let mut child = child.map_err(|error| format!("{}: {error}", program.display()))?;
        let output = child.stdout.take().ok_or("no output")?;
        let output = BufReader::new(output);
        Ok(Self { on, child, output })
    }

    /// Waits for the next line that the program prints.
    ///
    /// # Errors
    /// It ended without one.
    pub(crate) fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            return Err("a server ended before it said anything".into());
        }
        Ok(line)
    }

    /// Waits until the server says where it listens.
    ///
    /// # Errors
    /// It said something else.
    pub(crate) fn address(&mut self) -> Result<SocketAddr, Failure> {
        let line = self.line()?;
        let address = line.trim().strip_prefix("listening on ").unwrap_or("");
        address
            .parse()
            .map_err(|_| format!("not an address: {line}").into())
    }

    /// Returns the processor time that all its threads used so far, in nanoseconds
    /// (`/proc/PID/task/TID/schedstat`). A thread that has ended is not counted.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn cpu_nanos(&self) -> Result<f64, Failure> {
        cpu_nanos(self.child.id())
    }

    /// Returns its resident memory, in KiB (`/proc/PID/status`).
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn rss_kib(&self) -> Result<f64, Failure> {
        let value = self.status("VmRSS:")?;
        Ok(value.trim_end_matches("kB").trim().parse()?)
    }

    /// Counts its system calls while `work` runs, with `strace`. `None` if that is not installed
    /// or may not trace.
    ///
    /// # Errors
    /// What `work` says.
    pub(crate) fn count_calls<T>(
        &self,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<Option<(f64, T)>, Failure> {
        let file = std::env::temp_dir().join(format!("usockets-bench-{}", self.child.id()));
        let mut strace = Command::new("strace");
        strace
            .arg("-c")
            .arg("-o")
            .arg(&file)
            .args(["-p", &self.child.id().to_string()]);
        // Beside the server: what it traces stands still anyway, and the load never sleeps.
        let Ok(mut tracer) = self.on.start(strace.stderr(Stdio::null()))? else {
            return Ok(None);
        };
        let traced = || self.status("TracerPid:").is_ok_and(|pid| pid != "0");
        let attached = wait_for(&mut tracer, traced);
        let done = if attached { Some(work()?) } else { None };
        if let Some(pid) = Pid::from_raw(tracer.id().try_into()?) {
            // Interrupted, it detaches and writes its summary.
            let _ = kill_process(pid, Signal::INT);
        }
        wait_for(&mut tracer, || false);
        let _ = tracer.kill();
        tracer.wait()?;
        let summary = read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(&file);
        Ok(total(&summary).zip(done))
    }

    fn status(&self, field: &str) -> Result<String, Failure> {
        let text = read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let value = text.lines().find_map(|line| line.strip_prefix(field));
        Ok(value.ok_or("no such field")?.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the processor time of a process's threads, in nanoseconds.
fn cpu_nanos(process: u32) -> Result<f64, Failure> {
    let mut sum = 0.0;
    for thread in read_dir(format!("/proc/{process}/task"))? {
        // One that ends meanwhile has no file any more.
        let Ok(text) = read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let first = text.split_whitespace().next().unwrap_or("");
        sum += first.parse::<f64>()?;
    }
    Ok(sum)
}

/// Waits until `done`, or until the tracer has ended; whether the former.
fn wait_for(tracer: &mut Child, done: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < TRACER_MAX {
        if done() {
            return true;
        }
        if !matches!(tracer.try_wait(), Ok(None)) {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
    false
}

/// Reads the number of calls from the last line of a summary.
fn total(summary: &str) -> Option<f64> {
    let line = summary
        .lines()
        .find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_counts() {
        let own = std::process::id();
        let before = cpu_nanos(own).unwrap();
        let busy = |millis| {
            let mut count = 0_u64;
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(millis) {
                count = std::hint::black_box(count.wrapping_add(1));
            }
        };
        let (begin, end) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                busy(50);
                begin.wait();
                // Not over before it is counted.
                end.wait();
            });
            begin.wait();
            let used = cpu_nanos(own).unwrap() - before;
            end.wait();
            // It did nothing else than to use its processor, as far as it got one.
            assert!(used > 1e6, "{used} ns");
        });
    }

    #[test]
    fn the_sum_of_a_summary_is_found() {
        let summary = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            50.00    0.001000           1       600           sendto\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.002000           1      1234        12 total\n";
        assert_eq!(total(summary), Some(1234.0));
        assert_eq!(total(""), None);
    }
}
