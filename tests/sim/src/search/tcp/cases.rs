//! The named configurations.

use super::rules::{Forgery, Owner, Rules, Start};
use crate::search::Case;

const fn case(name: &'static str, about: &'static str, small: Rules, large: Rules) -> Case {
    Case::of_tcp(name, about, small, large)
}

pub(in crate::search) const CASES: &[Case] = &[
    case(
        "stream",
        "One writes, the other reads, over a network that loses, doubles and reorders.",
        Rules {
            copies: 0,
            times: 0,
            ..Rules::OPEN
        },
        Rules {
            copies: 0,
            ..Rules::OPEN
        },
    ),
    case(
        "both",
        "Both write, over a network that doubles and reorders.",
        BOTH,
        Rules { times: 1, ..BOTH },
    ),
    case(
        "handshake",
        "One connects to another that listens.",
        Rules {
            owners: [Owner::READING, Owner::READING],
            ..HANDSHAKE
        },
        Rules {
            losses: 1,
            ..HANDSHAKE
        },
    ),
    case(
        "simultaneous",
        "Both connect, and one writes.",
        Rules {
            start: Start::Simultaneous,
            times: 0,
            ..HANDSHAKE
        },
        Rules {
            start: Start::Simultaneous,
            ..HANDSHAKE
        },
    ),
    case(
        "closing",
        "Both write and end, close or abort at any time.",
        Rules {
            owners: [
                CLOSING.owners[0],
                Owner {
                    writes: 0,
                    ..CLOSING.owners[1]
                },
            ],
            ..CLOSING
        },
        Rules {
            owners: [
                CLOSING.owners[0],
                Owner {
                    writes: 0,
                    ..CLOSING.owners[1]
                },
            ],
            times: 1,
            ..CLOSING
        },
    ),
    case(
        "window",
        "A reader that reads little, late, of a sender that fills the window.",
        WINDOW,
        Rules { times: 2, ..WINDOW },
    ),
    case(
        "segments",
        "Four full segments, of which some are lost, in buffers for as many.",
        SEGMENTS,
        Rules {
            losses: 3,
            copies: 1,
            times: 4,
            ..SEGMENTS
        },
    ),
    case(
        "duplicates",
        "Six small segments without selective acknowledgements, of which two are lost.",
        DUPLICATES,
        Rules {
            times: 2,
            copies: 3,
            ..DUPLICATES
        },
    ),
    case(
        "cuts",
        "A network that cuts segments and delivers parts of them.",
        CUTS,
        Rules { losses: 1, ..CUTS },
    ),
    case(
        "nagle",
        "Small segments wait for acknowledgements, which wait themselves.",
        Rules { times: 1, ..NAGLE },
        Rules {
            losses: 1,
            times: 1,
            ..NAGLE
        },
    ),
    case(
        "latency",
        "Segments that take time, without timestamps, so that round trips are measured once.",
        LATENCY,
        Rules {
            losses: 1,
            ..LATENCY
        },
    ),
    case(
        "silence",
        "A peer that is not heard while one deadline after the other comes.",
        SILENCE,
        Rules {
            losses: 5,
            times: 5,
            ..SILENCE
        },
    ),
    case(
        "hostile",
        "A third party that sees all forges resets, acknowledgements and text.",
        HOSTILE,
        Rules {
            losses: 1,
            times: 1,
            ..HOSTILE
        },
    ),
    case(
        "storm",
        "A third party forges SYNs without end while the clock stands still.",
        STORM,
        Rules {
            owners: [Owner::writing(1), Owner::READING],
            ..STORM
        },
    ),
    case(
        "scaled",
        "A peer that tells its window in units of two octets.",
        SCALED,
        Rules {
            owners: [
                Owner {
                    pieces: &[1, 2, 4],
                    ..Owner::writing(6)
                },
                SCALED.owners[1],
            ],
            ..SCALED
        },
    ),
    case(
        "quiet",
        "Connections that keep their memory only while something is on its way.",
        Rules {
            owners: [Owner::writing(1), Owner::READING],
            ..QUIET
        },
        Rules { losses: 1, ..QUIET },
    ),
];

const BOTH: Rules = Rules {
    owners: [Owner::writing(1), Owner::writing(1)],
    losses: 0,
    times: 0,
    ..Rules::OPEN
};

const HANDSHAKE: Rules = Rules {
    start: Start::Handshake,
    owners: [Owner::writing(1), Owner::READING],
    losses: 0,
    copies: 0,
    ..Rules::OPEN
};

const SILENCE: Rules = Rules {
    owners: [
        Owner {
            ends: false,
            ..Owner::writing(1)
        },
        Owner {
            ends: false,
            ..Owner::READING
        },
    ],
    in_flight: 8,
    reorder: false,
    losses: 3,
    copies: 0,
    times: 3,
    ..Rules::OPEN
};

const QUIET: Rules = Rules {
    rests: true,
    timestamps: true,
    owners: [Owner::writing(1), Owner::writing(1)],
    losses: 0,
    copies: 0,
    ..Rules::OPEN
};

const CLOSING: Rules = Rules {
    losses: 0,
    times: 0,
    owners: [
        Owner {
            closes: true,
            aborts: true,
            ..Owner::writing(1)
        },
        Owner {
            closes: true,
            reads: &[4],
            ..Owner::writing(1)
        },
    ],
    copies: 0,
    ..Rules::OPEN
};

const WINDOW: Rules = Rules {
    owners: [
        Owner {
            pieces: &[2],
            ..Owner::writing(8)
        },
        Owner {
            reads: &[1, 4],
            ends: false,
            ..Owner::READING
        },
    ],
    reorder: false,
    copies: 0,
    times: 1,
    ..Rules::OPEN
};

const SEGMENTS: Rules = Rules {
    owners: [Owner::sent(&[88, 88, 88, 88]), Owner::sent(&[])],
    send: 352,
    receive: 352,
    losses: 2,
    copies: 0,
    times: 2,
    in_flight: 8,
    reorder: false,
    ..Rules::OPEN
};

const DUPLICATES: Rules = Rules {
    owners: [Owner::sent(&[1, 1, 1, 1, 1, 1]), Owner::sent(&[])],
    send: 8,
    receive: 8,
    outstanding: 10,
    in_flight: 8,
    sack: false,
    reorder: false,
    losses: 2,
    copies: 1,
    times: 0,
    ..Rules::OPEN
};

const CUTS: Rules = Rules {
    owners: [
        Owner {
            first: &[4],
            ..Owner::READING
        },
        Owner::READING,
    ],
    send: 8,
    receive: 8,
    losses: 0,
    copies: 0,
    times: 0,
    cuts: 1,
    ..Rules::OPEN
};

const NAGLE: Rules = Rules {
    owners: [Owner::writing(3), Owner::READING],
    nagle: true,
    times: 0,
    losses: 0,
    copies: 0,
    ..Rules::OPEN
};

const LATENCY: Rules = Rules {
    latency: 5,
    reorder: false,
    copies: 0,
    times: 2,
    losses: 0,
    ..Rules::OPEN
};

const HOSTILE: Rules = Rules {
    timestamps: true,
    forgeries: &[
        Forgery::Reset,
        Forgery::Ack,
        Forgery::Old,
        Forgery::ResetOfTimeWait,
    ],
    forged: 1,
    losses: 0,
    times: 0,
    copies: 0,
    owners: [Owner::writing(1), Owner::READING],
    ..Rules::OPEN
};

const STORM: Rules = Rules {
    owners: [Owner::sent(&[]), Owner::sent(&[])],
    forgeries: &[Forgery::Syn],
    forged: 12,
    in_flight: 16,
    reorder: false,
    losses: 0,
    copies: 0,
    times: 0,
    ..Rules::OPEN
};

const SCALED: Rules = Rules {
    owners: [
        Owner {
            pieces: &[4],
            ..Owner::writing(4)
        },
        Owner {
            reads: &[4],
            ..Owner::READING
        },
    ],
    scaled: true,
    reorder: false,
    losses: 0,
    copies: 0,
    ..Rules::OPEN
};
