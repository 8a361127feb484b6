//! The named configurations.

use usockets::WhenFull;

use super::case::{Case, What};
use super::rules::{Act, Listening, Maker, Rules};

const PAUSING: Listening = Listening {
    when_full: WhenFull::Pause,
    reserve: 0,
};
const EVICTING: Listening = Listening {
    when_full: WhenFull::EvictIdle,
    reserve: 0,
};
const REFUSING: Listening = Listening {
    when_full: WhenFull::Refuse,
    reserve: 0,
};

const fn case(name: &'static str, about: &'static str, small: Rules, large: Rules) -> Case {
    Case {
        name,
        about,
        what: What::Loop([small, large]),
        is_large: false,
    }
}

const fn layered(case: Case) -> Case {
    let What::Loop(rules) = case.what else {
        return case;
    };
    Case {
        what: What::Layered(rules),
        ..case
    }
}

pub(super) const CASES: &[Case] = &[
    case(
        "echo",
        "Peers whose bytes come back by the byte.",
        Rules {
            bytes: 3,
            midway: true,
            faults: 1,
            ..Rules::ECHO
        },
        Rules {
            lines: &[Maker::Peer(0), Maker::Peer(0)],
            midway: true,
            faults: 1,
            ..Rules::ECHO
        },
    ),
    case(
        "half_close",
        "Two peers that end their direction at any time, and a program that ends its own.",
        HALF_CLOSE,
        Rules {
            bytes: 2,
            peers_reset: true,
            partial: true,
            ..HALF_CLOSE
        },
    ),
    case(
        "pause",
        "A program that pauses and resumes at any time, and a peer that resets.",
        Rules { tries: 2, ..PAUSE },
        Rules {
            bytes: 14,
            inbox: 8,
            tries: 8,
            faults: 3,
            midway: true,
            ..PAUSE
        },
    ),
    case(
        "evicting",
        "A listener that evicts and one that pauses, with slots for one connection.",
        FULL,
        Rules {
            bytes: 2,
            peers_reset: true,
            ..FULL
        },
    ),
    case(
        "refusing",
        "A listener that refuses and one that pauses, with slots for one connection.",
        Rules {
            listeners: &[REFUSING, PAUSING],
            ..FULL
        },
        Rules {
            listeners: &[REFUSING, PAUSING],
            bytes: 3,
            inbox: 2,
            tries: 3,
            ..FULL
        },
    ),
    case(
        "turns",
        "Two listeners that pause, with slots for one connection, which they get in turn.",
        TURNS,
        Rules {
            peers_reset: true,
            tries: 4,
            ..TURNS
        },
    ),
    case(
        "connect",
        "A program that connects, from any call, and is refused or not answered.",
        CONNECT,
        Rules {
            tries: 3,
            ..CONNECT
        },
    ),
    case(
        "timeouts",
        "Timeouts and timers that are set, brought forward and put off.",
        TIMEOUTS,
        Rules {
            times: 4,
            tries: 3,
            ..TIMEOUTS
        },
    ),
    case(
        "cork",
        "Writes that are held back, on a connection that takes them in part.",
        CORK,
        Rules {
            bytes: 3,
            writes: 6,
            tries: 4,
            peers_reset: true,
            ..CORK
        },
    ),
    case(
        "draining",
        "A loop that ends in order at any time.",
        DRAINING,
        Rules {
            bytes: 3,
            ..DRAINING
        },
    ),
    case(
        "pull",
        "A program that reads on demand, and turns to it and back.",
        PULL,
        Rules {
            bytes: 8,
            inbox: 4,
            tries: 8,
            faults: 3,
            midway: true,
            ..PULL
        },
    ),
    case(
        "broken",
        "Resets that a send is told of, where what comes then is an end, as on Linux.",
        BROKEN,
        Rules {
            bytes: 4,
            inbox: 3,
            writes: 4,
            tries: 4,
            faults: 1,
            ..BROKEN
        },
    ),
    layered(case(
        "layer",
        "A layer below that holds our end, and what it took of a connection that is closed.",
        LAYER,
        Rules {
            bytes: 5,
            inbox: 3,
            tries: 4,
            writes: 2,
            times: 1,
            faults: 2,
            ..LAYER
        },
    )),
];

const HALF_CLOSE: Rules = Rules {
    lines: &[Maker::Peer(0), Maker::Peer(0)],
    bytes: 1,
    peers_reset: false,
    on_end: &[Act::Finish, Act::Nothing],
    on_open: &[Act::Nothing, Act::Finish],
    between: &[Act::Finish],
    tries: 1,
    partial: false,
    ..Rules::ECHO
};

const PAUSE: Rules = Rules {
    bytes: 5,
    inbox: 5,
    on_data: &[Act::Nothing, Act::Pause],
    on_open: &[Act::Nothing, Act::Pause],
    between: &[Act::Resume, Act::Pause],
    faults: 1,
    ..Rules::ECHO
};

const FULL: Rules = Rules {
    listeners: &[EVICTING, PAUSING],
    lines: &[Maker::Peer(0), Maker::Peer(1), Maker::Peer(0)],
    bytes: 1,
    inbox: 1,
    peers_reset: false,
    on_data: &[Act::Nothing, Act::Close],
    on_close: &[Act::Nothing, Act::WriteStale],
    between: &[Act::WriteStale, Act::Close],
    tries: 1,
    ..Rules::ECHO
};

const TURNS: Rules = Rules {
    listeners: &[PAUSING, PAUSING],
    lines: &[
        Maker::Peer(0),
        Maker::Peer(1),
        Maker::Peer(0),
        Maker::Peer(1),
    ],
    bytes: 0,
    peers_reset: false,
    turns: true,
    between: &[Act::Close],
    tries: 3,
    ..Rules::ECHO
};

const CONNECT: Rules = Rules {
    lines: &[Maker::Program, Maker::Program],
    bytes: 1,
    inbox: 1,
    writes: 1,
    on_open: &[Act::Nothing, Act::Write(1)],
    on_close: &[Act::Nothing, Act::Connect],
    between: &[Act::Connect, Act::Close],
    tries: 2,
    faults: 1,
    ..Rules::ECHO
};

const TIMEOUTS: Rules = Rules {
    bytes: 2,
    peers_reset: false,
    on_open: &[Act::Timeout(5_000)],
    on_data: &[Act::Nothing, Act::Timeout(2_500), Act::Timeout(40_000)],
    on_timeout: &[Act::Close, Act::Timeout(1_500)],
    on_timer: &[Act::Nothing, Act::Timer(70_000)],
    between: &[Act::Timer(3_300), Act::Timeout(1_100)],
    tries: 2,
    times: 3,
    ..Rules::ECHO
};

const CORK: Rules = Rules {
    cork: 2,
    bytes: 2,
    outbox: 2,
    writes: 4,
    peers_reset: false,
    on_open: &[Act::Nothing, Act::Cork],
    on_data: &[Act::Echo, Act::Write(1), Act::Write(2)],
    between: &[
        Act::Cork,
        Act::Uncork,
        Act::Write(1),
        Act::Write(2),
        Act::Finish,
    ],
    tries: 3,
    ..Rules::ECHO
};

const DRAINING: Rules = Rules {
    bytes: 2,
    between: &[Act::Drain],
    on_drain: &[Act::Nothing, Act::Finish],
    tries: 1,
    times: 6,
    ..Rules::ECHO
};

const PULL: Rules = Rules {
    bytes: 3,
    on_open: &[Act::Pull, Act::Nothing],
    on_data: &[Act::Nothing, Act::Pull],
    on_readable: &[Act::Nothing, Act::Read, Act::ReadAll, Act::Unpull],
    between: &[Act::Read, Act::ReadAll, Act::Pull, Act::Unpull],
    tries: 2,
    ..Rules::ECHO
};

const BROKEN: Rules = Rules {
    bytes: 2,
    error_once: true,
    writes: 2,
    on_open: &[Act::Nothing, Act::Pause],
    on_data: &[Act::Nothing, Act::Write(1), Act::Pause],
    on_end: &[Act::Nothing, Act::Finish],
    between: &[Act::Write(1), Act::Resume],
    tries: 2,
    ..Rules::ECHO
};

const LAYER: Rules = Rules {
    bytes: 1,
    on_data: &[Act::Echo, Act::Close, Act::Abort],
    on_end: &[Act::Finish, Act::Nothing],
    between: &[Act::Finish, Act::Close],
    tries: 2,
    ..Rules::ECHO
};
