//! Flags of `demo` and `simulate`. In: flags one after the other. Out: options of the simulated master.
//! It must never take a flag that it does not know.

use std::net::SocketAddr;

use lexopt::{Parser, ValueExt};

use super::{UsageError, parsed};
use crate::simulate::SimulateOptions;
use crate::simulate::demo::DemoOptions;

/// The simulated cluster of `demo` and `simulate`; `None` leaves the choice to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimulateFlags {
    pub agents: Option<usize>,
    pub tasks: Option<usize>,
    /// Changes of tasks a second.
    pub churn_per_second: Option<f64>,
    pub seed: Option<u64>,
    pub listen: Option<SocketAddr>,
    /// `HOST:PORT` of the leader to redirect to, as a master does that does not lead.
    pub standby: Option<String>,
    /// The demonstration ends by itself after this.
    pub seconds: Option<u64>,
}

impl SimulateFlags {
    /// Takes a flag with its value. `false`: it is not one of these.
    pub(super) fn take(&mut self, name: &str, parser: &mut Parser) -> Result<bool, UsageError> {
        const COUNT: &str = "a whole number";
        let flag = format!("--{name}");
        match name {
            "agents" => self.agents = Some(parsed(&flag, parser.value()?, COUNT)?),
            "tasks" => self.tasks = Some(parsed(&flag, parser.value()?, COUNT)?),
            "seed" => self.seed = Some(parsed(&flag, parser.value()?, COUNT)?),
            "churn" => {
                let churn: f64 = parsed(&flag, parser.value()?, "a number of changes a second")?;
                if !churn.is_finite() || churn < 0.0 {
                    return Err(UsageError(format!("{flag}: {churn} is below 0 or endless")));
                }
                self.churn_per_second = Some(churn);
            }
            "listen" => {
                let address = parsed(&flag, parser.value()?, "ADDRESS:PORT, as in 127.0.0.1:5050")?;
                self.listen = Some(address);
            }
            "standby" => self.standby = Some(parser.value()?.string()?),
            "seconds" => self.seconds = Some(parsed(&flag, parser.value()?, COUNT)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What was not said is as `simulate` has it.
    pub fn for_simulate(self) -> SimulateOptions {
        let default = SimulateOptions::default();
        SimulateOptions {
            agents: self.agents.unwrap_or(default.agents),
            tasks: self.tasks.unwrap_or(default.tasks),
            churn_per_second: self.churn_per_second.unwrap_or(default.churn_per_second),
            seed: self.seed.unwrap_or(default.seed),
            listen: self.listen.unwrap_or(default.listen),
            standby: self.standby,
        }
    }

    /// What was not said is as `demo` has it.
    pub fn for_demo(self) -> DemoOptions {
        let default = DemoOptions::default();
        DemoOptions {
            agents: self.agents.unwrap_or(default.agents),
            tasks: self.tasks.unwrap_or(default.tasks),
            seed: self.seed.unwrap_or(default.seed),
            churn_per_second: self.churn_per_second.unwrap_or(default.churn_per_second),
            seconds: self.seconds,
        }
    }
}
