//! What a leading master may answer instead of what is so: the kinds that the simulated one knows, on
//! open streams, on new ones and in its state, alone and together.

use std::time::Duration;

use rollcall::simulate::faults::{Scope, StateFault, StreamFault};

use Scope::{All, New, Open};
use StateFault as State;
use StreamFault as Stream;

/// Everything that is wrong at one time.
#[derive(Debug)]
pub struct Rubbish {
    /// In this order.
    pub streams: &'static [(Scope, StreamFault)],
    pub state: StateFault,
}

const fn rubbish(streams: &'static [(Scope, StreamFault)], state: StateFault) -> Rubbish {
    Rubbish { streams, state }
}

/// In the order in which they come; the first are those that hurt most.
pub const KINDS: &[Rubbish] = &[
    // Nothing but the empty state is left to look at.
    rubbish(
        &[(New, Stream::Refuse(503)), (Open, Stream::Disconnect)],
        State::Empty,
    ),
    rubbish(&[(All, Stream::Garbage)], State::Garbage),
    rubbish(&[], State::Empty),
    rubbish(&[(All, Stream::BadJson)], State::Cut),
    rubbish(&[(Open, Stream::Disconnect)], State::Normal),
    rubbish(&[(All, Stream::HangUp)], State::HangUp),
    rubbish(&[(All, Stream::TooLong)], State::Status(500)),
    rubbish(&[(Open, Stream::Silence)], State::Empty),
    rubbish(&[(Open, Stream::BadLength)], State::Normal),
    rubbish(&[(All, Stream::Split(1))], State::Cut),
    rubbish(
        &[(New, Stream::Silence), (Open, Stream::HangUp)],
        State::Empty,
    ),
    rubbish(
        &[(All, Stream::Delay(Duration::from_millis(300)))],
        State::Slow(Duration::from_millis(1_500)),
    ),
    rubbish(
        &[(New, Stream::Refuse(500)), (Open, Stream::Garbage)],
        State::Status(503),
    ),
    rubbish(&[(Open, Stream::Silence)], State::Normal),
    rubbish(&[(All, Stream::BadLength)], State::Garbage),
    rubbish(
        &[(All, Stream::Disconnect)],
        State::Slow(Duration::from_millis(1_500)),
    ),
];
