//! As little memory as possible, and many sockets.

#[cfg(target_os = "linux")]
use usockets_tests::bed::LinuxBed;
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::side::{Side, run_until};
use usockets_tests::sim::Faults;

/// Connections in the large test: all that a process may have where the limit is lower.
const MANY: usize = 20_000;

/// That many connections at once, each served.
fn many<B: Bed>(bed: &mut B, count: usize) {
    let mut server = Side::with::<{ MANY + 1 }>(0, bed.platform(), 4_096, 0);
    let mut client = Side::with::<MANY>(1, bed.platform(), 4_096, 0);
    let (_, addr) = server.listen(bed, 1);
    let long = bed.long();
    server.script.echo = true;
    let both = &mut [&mut server, &mut client];
    for batch in 1..=count.div_ceil(500) {
        let all = count.min(batch * 500);
        for _ in (batch - 1) * 500..all {
            both[1].connect(addr, 2).unwrap();
        }
        assert!(run_until(bed, both, long, |sides| {
            sides
                .iter()
                .all(|side| side.lp.stats().open as usize == all)
        }));
    }
    let ids: Vec<_> = both[1].script.talks.keys().copied().collect();
    for id in &ids {
        both[1].say(*id, b"hi");
        both[1].finish(*id);
    }
    assert!(run_until(bed, both, long, |sides| {
        sides.iter().all(|side| side.lp.stats().open == 0)
    }));
    assert_eq!(ids.len(), count);
    assert!(
        both[1]
            .script
            .talks
            .values()
            .all(|talk| talk.received == b"hi")
    );
}

/// Runs with a stack that holds a pool while it is made.
fn with_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(256 << 20)
        .spawn(test);
    thread.expect("a thread").join().expect("a passing test");
}

/// See [`many`] (W31).
#[test]
fn twenty_thousand_sockets_on_sim() {
    with_stack(|| many(&mut SimBed::new(0, Faults::none()), MANY));
}

/// See [`many`] (W31). Where fewer descriptors are allowed, that many.
#[test]
#[cfg(target_os = "linux")]
fn twenty_thousand_sockets_on_linux() {
    let all = usockets_tests::limits::raise_descriptors().unwrap();
    let allowed = all.saturating_sub(200) / 2;
    let count = MANY.min(usize::try_from(allowed).unwrap_or(MANY));
    println!("{count} connections");
    with_stack(move || many(&mut LinuxBed::default(), count));
}

/// A server by the types that its memory depends on, its data and its context.
#[cfg(target_os = "linux")]
struct Reckoned<D, C>(core::marker::PhantomData<(D, C)>);

#[cfg(target_os = "linux")]
impl<D, C> usockets::Handler<usockets_linux::Linux> for Reckoned<D, C>
where
    D: Default + Send,
    C: Copy + PartialEq + Send,
{
    type Ext = D;
    type Context = C;

    fn on_open(
        &mut self,
        _: &mut usockets::Socket<'_, usockets_linux::Linux, Self>,
        _: usockets::Opened<C>,
    ) -> D {
        D::default()
    }

    fn on_data(
        &mut self,
        _: &mut usockets::Socket<'_, usockets_linux::Linux, Self>,
        _: &mut D,
        _: &mut [u8],
    ) {
    }
}

/// The echo of the README.
#[cfg(target_os = "linux")]
type Echo = Reckoned<usockets::Buffer<4_096>, ()>;

/// Writes a number as the README does.
#[cfg(target_os = "linux")]
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes that the wheel's lists have more with std than without: a link for each lane of each list.
#[cfg(target_os = "linux")]
fn lanes_of_std() -> usize {
    let wheel = include_str!("../../core/src/pool/wheel.rs");
    let lanes = "const LANES: usize = if cfg!(feature = \"std\") { 4 } else { 1 };";
    let lists = "const LISTS_ALL: usize = 256;";
    let heads = "heads: [u32; LISTS_ALL * LANES],";
    for line in [lanes, lists, heads] {
        assert!(wheel.contains(line), "{line}");
    }
    256 * (4 - 1) * size_of::<u32>()
}

/// The README's reckoning of memory is right, number by number.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_as_large_as_the_readme_says() {
    use usockets::{Budget, Loop, Sockets};
    use usockets_linux::Linux;

    type Held = usockets::Buffer<4_096>;
    let bare = Sockets::<Linux, Reckoned<(), ()>, 1>::SLOT_BYTES;
    assert_eq!(bare, 45);
    let slot = grouped(Sockets::<Linux, Reckoned<Held, u8>, 1>::SLOT_BYTES);
    let of_echo = grouped(Sockets::<Linux, Echo, 1>::SLOT_BYTES);
    let linux = size_of::<Linux>();
    let whole = size_of::<Loop<'_, Linux, Echo>>();
    let program = Budget::of::<Sockets<Linux, Echo, 1024>>()
        .and(Budget::of::<[u8; 65_536]>())
        .and(Budget::of::<Loop<'_, Linux, Echo>>());
    let said: Vec<&str> = include_str!("../../README.md").split_whitespace().collect();
    let said = said.join(" ");
    for line in [
        format!("on Linux {bare} bytes with `()` data and context"),
        format!("whose context is `()` ({of_echo} bytes a slot)"),
        format!(
            "without std the loop takes {} less",
            grouped(lanes_of_std())
        ),
        format!("with a `Buffer<4096>` and a one-byte context {slot};"),
        format!(
            "the loop itself takes {} bytes, the Linux platform {}",
            grouped(whole - linux),
            grouped(linux)
        ),
        format!("take 1,024 × {slot} + 65,536 + {} bytes", grouped(whole)),
        format!("that is {} bytes.", grouped(program.bytes())),
    ] {
        assert!(said.contains(&line), "{line}");
    }
}
