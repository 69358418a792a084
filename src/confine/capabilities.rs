//! Capabilities of the thread that asks, which its children inherit. In: what it has. Out: what is left,
//! CAP_NET_BIND_SERVICE at most. It must never add one.

use caps::{CapSet, Capability, CapsHashSet};

/// A reload may bind a port below 1024; nothing else of root's is needed once the sockets are open.
const KEPT: Capability = Capability::CAP_NET_BIND_SERVICE;

/// What would be left of what there is.
pub fn kept() -> Result<Vec<String>, String> {
    let permitted = caps::read(None, CapSet::Permitted).map_err(|error| error.to_string())?;
    Ok(names(&left_of(&permitted)))
}

/// Drops all others, from every set.
pub fn drop_others() -> Result<Vec<String>, String> {
    let permitted = caps::read(None, CapSet::Permitted).map_err(|error| error.to_string())?;
    let left = left_of(&permitted);
    // First, while CAP_SETPCAP is there. Without it the set stays, and gives nothing to a process that
    // starts no program and gets no new privileges.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::runtime::thread_all_supported() {
            if !left.contains(&capability) {
                caps::drop(None, CapSet::Bounding, capability)
                    .map_err(|error| error.to_string())?;
            }
        }
    }
    // Before Linux 4.3 there is no such set.
    if caps::runtime::ambient_set_supported().is_ok() {
        caps::clear(None, CapSet::Ambient).map_err(|error| error.to_string())?;
    }
    // The service manager may have left nothing to drop, and forbid to ask for it.
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        let before = caps::read(None, set).map_err(|error| error.to_string())?;
        let after = left_of(&before);
        if after != before {
            caps::set(None, set, &after).map_err(|error| error.to_string())?;
        }
    }
    Ok(names(&left))
}

fn left_of(all: &CapsHashSet) -> CapsHashSet {
    all.iter()
        .copied()
        .filter(|capability| *capability == KEPT)
        .collect()
}

fn names(all: &CapsHashSet) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}
