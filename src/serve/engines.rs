//! Which engine moves datagrams. In: what was asked for. Out: the one that is used, and why. It must
//! never refuse to serve.

use std::fmt;

use crate::config::Engine;
use crate::sys::uring;

/// What is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    Uring,
    Epoll,
}

/// An engine, and the reason for it in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub uses: Uses,
    pub why: String,
    /// It is not what was asked for.
    pub fell_back: bool,
}

impl Uses {
    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.uses.name(), self.why)
    }
}

/// Tries what was asked for.
pub fn choose(wanted: Engine) -> Choice {
    let good = |uses, why: &str| Choice {
        uses,
        why: why.to_owned(),
        fell_back: false,
    };
    match wanted {
        Engine::Epoll => good(Uses::Epoll, "as configured"),
        // `benches/versus` has both side by side.
        Engine::Auto => good(
            Uses::Epoll,
            "auto; it answers as fast as io_uring, and faster where one socket asks much at once",
        ),
        Engine::Uring => match uring::probe() {
            Ok(()) => good(Uses::Uring, "as configured"),
            Err(unavailable) => Choice {
                uses: Uses::Epoll,
                why: format!("io_uring was asked for, but {unavailable}"),
                fell_back: true,
            },
        },
    }
}
