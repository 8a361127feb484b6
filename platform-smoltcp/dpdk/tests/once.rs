//! DPDK is started and ended, alone in its process.
#![allow(
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a test may panic, and the rest is std's"
)]

use usockets_dpdk::{DpdkError, Eal, Pool};

#[test]
fn dpdk_is_started_ended_and_not_started_again() {
    let fit = [
        "once",
        "-l",
        "0",
        "--no-huge",
        "-m",
        "64",
        "--no-pci",
        "--no-shconf",
        "--no-telemetry",
        "--log-level=warning",
        "--file-prefix=usockets-tests",
    ];
    let too_long = "x".repeat(5_000);
    for unfit in [&*too_long, "a zero: \0"] {
        assert_eq!(
            Eal::start(&["once", unfit]).err(),
            Some(DpdkError::BadArgument)
        );
    }
    assert_eq!(Eal::start(&["x"; 200]).err(), Some(DpdkError::BadArgument));
    let refused = Eal::start(&["once", "--no-such-option"]);
    assert_eq!(refused.err(), Some(DpdkError::NotStarted(22)));
    let eal = Eal::start(&fit).unwrap();
    {
        let pool = Pool::new(&eal, 64, Pool::ROOM).unwrap();
        assert_eq!(pool.free_count(), 64);
        let too_large = Pool::new(&eal, 1_000_000, Pool::ROOM);
        assert!(
            matches!(too_large, Err(DpdkError::Driver(_))),
            "{too_large:?}"
        );
        assert_eq!(Eal::start(&fit).err(), Some(DpdkError::AlreadyStarted));
    }
    drop(eal);
    assert_eq!(Eal::start(&fit).err(), Some(DpdkError::AlreadyStarted));
}
