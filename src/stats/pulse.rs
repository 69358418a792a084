//! Whether threads go round. In: a way to wake them, and how often each has gone round so far. Out: yes,
//! once all of them have since they were last asked. A thread that hangs must never be taken for one
//! that has nothing to do.

/// Threads that can be watched.
pub struct Pulse {
    /// Has each of them go round once more.
    pub wake: Box<dyn Fn() + Send>,
    /// How often each has.
    pub turns: Box<dyn Fn() -> Vec<u64> + Send>,
}

/// Watches over all that must go round.
#[derive(Default)]
pub struct Vigil {
    pulses: Vec<Pulse>,
    /// What `turns` said when they were woken last.
    marks: Vec<Vec<u64>>,
}

impl Vigil {
    /// Watches over these in place of those of before, and wakes them.
    pub fn watch(&mut self, pulses: Vec<Pulse>) {
        self.pulses = pulses;
        self.wake();
    }

    /// Whether every thread has gone round since it was woken last; then wakes them all again. Nobody to
    /// watch is a no.
    pub fn ask(&mut self) -> bool {
        let has_moved = |(pulse, marks): (&Pulse, &Vec<u64>)| {
            let turns = (pulse.turns)();
            turns.len() == marks.len() && turns.iter().zip(marks).all(|(now, mark)| now != mark)
        };
        let have_moved = self.pulses.iter().zip(&self.marks).all(has_moved);
        self.wake();
        have_moved && !self.pulses.is_empty()
    }

    fn wake(&mut self) {
        // The marks first: who goes round at once has gone round since.
        self.marks = self.pulses.iter().map(|pulse| (pulse.turns)()).collect();
        self.pulses.iter().for_each(|pulse| (pulse.wake)());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    /// Two threads, of which the second one hangs when it is told to.
    fn threads() -> (Pulse, Arc<AtomicBool>) {
        let counts: Arc<[AtomicU64; 2]> = Arc::default();
        let hangs: Arc<AtomicBool> = Arc::default();
        let woken = (Arc::clone(&counts), Arc::clone(&hangs));
        let wake = move || {
            let (counts, hangs) = &woken;
            counts[0].fetch_add(1, Ordering::SeqCst);
            let turns = u64::from(!hangs.load(Ordering::SeqCst));
            counts[1].fetch_add(turns, Ordering::SeqCst);
        };
        let turns = move || counts.iter().map(|it| it.load(Ordering::SeqCst)).collect();
        let pulse = Pulse {
            wake: Box::new(wake),
            turns: Box::new(turns),
        };
        (pulse, hangs)
    }

    #[test]
    fn one_thread_that_hangs_is_enough_for_a_no_until_it_goes_on() {
        let mut vigil = Vigil::default();
        assert!(!vigil.ask(), "nobody is watched");
        let ((good, _), (bad, hangs)) = (threads(), threads());
        vigil.watch(vec![good, bad]);
        assert!(vigil.ask());
        assert!(vigil.ask(), "idle threads go round because they are woken");
        hangs.store(true, Ordering::SeqCst);
        assert!(vigil.ask(), "it had gone round before");
        assert!(!vigil.ask());
        assert!(!vigil.ask());
        hangs.store(false, Ordering::SeqCst);
        assert!(!vigil.ask(), "it has not yet gone round again");
        assert!(vigil.ask());
    }

    #[test]
    fn threads_that_are_no_longer_watched_count_for_nothing() {
        let mut vigil = Vigil::default();
        let ((good, _), (bad, hangs)) = (threads(), threads());
        hangs.store(true, Ordering::SeqCst);
        vigil.watch(vec![bad]);
        assert!(!vigil.ask());
        vigil.watch(vec![good]);
        assert!(vigil.ask());
    }
}
