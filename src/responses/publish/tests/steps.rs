//! Publication as a machine of loads and stores. In: a builder and two readers, each a list of steps on
//! counts, slots and one pointer. Out: every state that any order of the steps can reach, or a panic with
//! what is wrong in one. It never runs the real code: it has the steps of it, and of arc-swap's (a reader
//! notes in a slot what it is about to count, a writer counts for those whose slot it finds), small
//! enough to try them all, which no tool does with arc-swap's own atomics.

use std::collections::HashSet;

/// Tables that are published, the first included.
const TABLES: usize = 4;
const READERS: usize = 2;

type Table = usize;

/// What a reader does next. It always has a table at hand, until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reader {
    /// Answers from the table at hand; looks at the pointer, or ends.
    Answers,
    /// Has seen another pointer than its own; reads it once more, to take it up.
    Loads,
    /// Has read the pointer; notes it in its slot.
    Notes(Table),
    /// Has noted it; reads the pointer again.
    Confirms(Table),
    /// It changed meanwhile; takes the note back, unless a writer has paid for it.
    TakesBack(Table),
    /// It is noted and was still published after that: nobody frees it. Counts itself in.
    Counts(Table),
    /// Clears its slot, unless a writer has paid for it.
    Clears(Table),
    /// A writer has paid as well: gives one of the two back.
    GivesBack(Table),
    /// Has it; lets go of the one at hand.
    Swaps(Table),
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Builder {
    Idle,
    /// Has swapped the pointer; counts one up, to pay the first debt with.
    Prepays(Table),
    /// Looks at the slot of a reader, to pay what it owes.
    Pays(Table, usize),
    /// Has paid it; counts one up for the next.
    PrepaysAgain(Table, usize),
    /// Counts down what was counted for nobody.
    Settles(Table),
    /// Reads the count of a replaced table, by its place.
    Looks(usize),
    /// Has read a count of one; frees it.
    Frees(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    present: Table,
    /// 0: freed, or not there yet.
    counts: [usize; TABLES],
    slots: [Option<Table>; READERS],
    at_hand: [Option<Table>; READERS],
    readers: [Reader; READERS],
    builder: Builder,
    retired: Vec<Table>,
}

/// What is left out, to see that it is missed.
#[derive(Clone, Copy, PartialEq)]
enum Without {
    Nothing,
    /// The writer pays no debts.
    Payment,
    /// The reader does not look again once it has noted a table.
    Confirmation,
    /// The builder frees without a look at the count.
    Count,
    /// The builder keeps nothing: a reader may be the last.
    Retiring,
}

type Step = Result<State, &'static str>;

impl State {
    fn first() -> Self {
        let mut counts = [0; TABLES];
        // The pointer, and each reader.
        counts[0] = 1 + READERS;
        Self {
            present: 0,
            counts,
            slots: [None; READERS],
            at_hand: [Some(0); READERS],
            readers: [Reader::Answers; READERS],
            builder: Builder::Idle,
            retired: Vec::new(),
        }
    }

    fn count_in(&mut self, table: Table) -> Result<(), &'static str> {
        match self.counts[table] {
            0 => Err("a count of what is freed is raised"),
            _ => {
                self.counts[table] += 1;
                Ok(())
            }
        }
    }

    fn count_out(&mut self, table: Table) -> Result<(), &'static str> {
        match self.counts[table] {
            0 => Err("a count of what is freed is lowered"),
            1 => Err("somebody else than the builder frees"),
            _ => {
                self.counts[table] -= 1;
                Ok(())
            }
        }
    }

    /// What a reader can do next: one or two ways.
    fn reader_steps(&self, who: usize, without: Without, reached: &mut Vec<Step>) {
        let mut next = self.clone();
        let step = match self.readers[who] {
            Reader::Ended => return,
            Reader::Answers => {
                let mut ended = self.clone();
                ended.readers[who] = Reader::Ended;
                let at_hand = ended.at_hand[who].take();
                let out = at_hand.map_or(Ok(()), |table| ended.count_out(table));
                reached.push(out.map(|()| ended));
                if self.at_hand[who] != Some(self.present) {
                    next.readers[who] = Reader::Loads;
                }
                Ok(())
            }
            Reader::Loads => {
                next.readers[who] = Reader::Notes(self.present);
                Ok(())
            }
            Reader::Notes(table) => {
                next.slots[who] = Some(table);
                next.readers[who] = match without {
                    Without::Confirmation => Reader::Counts(table),
                    _ => Reader::Confirms(table),
                };
                Ok(())
            }
            Reader::Confirms(table) => {
                next.readers[who] = match table == self.present {
                    true => Reader::Counts(table),
                    false => Reader::TakesBack(table),
                };
                Ok(())
            }
            Reader::TakesBack(table) => {
                // arc-swap then goes another way, on which the writer helps; here it tries again.
                next.readers[who] = match next.slots[who].take() {
                    Some(_) => Reader::Loads,
                    None => Reader::Swaps(table),
                };
                Ok(())
            }
            Reader::Counts(table) => {
                next.readers[who] = Reader::Clears(table);
                next.count_in(table)
            }
            Reader::Clears(table) => {
                next.readers[who] = match next.slots[who].take() {
                    Some(_) => Reader::Swaps(table),
                    None => Reader::GivesBack(table),
                };
                Ok(())
            }
            Reader::GivesBack(table) => {
                next.readers[who] = Reader::Swaps(table);
                next.count_out(table)
            }
            Reader::Swaps(table) => {
                next.readers[who] = Reader::Answers;
                let old = next.at_hand[who].replace(table);
                old.map_or(Ok(()), |old| next.count_out(old))
            }
        };
        reached.push(step.map(|()| next));
    }

    fn builder_steps(&self, without: Without, reached: &mut Vec<Step>) {
        let mut next = self.clone();
        let step = match self.builder {
            Builder::Idle => {
                if !self.retired.is_empty() {
                    let mut looks = self.clone();
                    looks.builder = Builder::Looks(0);
                    reached.push(Ok(looks));
                }
                if self.present + 1 == TABLES {
                    return;
                }
                next.present += 1;
                next.counts[next.present] = 1;
                next.builder = match without {
                    Without::Payment => Builder::Idle,
                    _ => Builder::Prepays(self.present),
                };
                if without == Without::Payment {
                    next.retired.push(self.present);
                }
                Ok(())
            }
            Builder::Prepays(table) => {
                next.builder = Builder::Pays(table, 0);
                next.count_in(table)
            }
            Builder::Pays(table, READERS) => {
                next.builder = Builder::Settles(table);
                Ok(())
            }
            Builder::Pays(table, reader) => {
                next.builder = Builder::Pays(table, reader + 1);
                if self.slots[reader] == Some(table) {
                    next.slots[reader] = None;
                    next.builder = Builder::PrepaysAgain(table, reader);
                }
                Ok(())
            }
            Builder::PrepaysAgain(table, reader) => {
                next.builder = Builder::Pays(table, reader + 1);
                next.count_in(table)
            }
            Builder::Settles(table) => {
                next.builder = Builder::Idle;
                let settled = next.count_out(table);
                match without {
                    // The builder may free, so its own count may go to nothing.
                    Without::Retiring => next.counts[table] -= 1,
                    _ => next.retired.push(table),
                }
                settled
            }
            Builder::Looks(place) => {
                next.builder = match self.retired.get(place) {
                    None => Builder::Idle,
                    Some(table) if self.counts[*table] == 1 || without == Without::Count => {
                        Builder::Frees(place)
                    }
                    Some(_) => Builder::Looks(place + 1),
                };
                Ok(())
            }
            Builder::Frees(place) => {
                let table = next.retired.remove(place);
                next.builder = Builder::Looks(place);
                match next.counts[table] {
                    1 => {
                        next.counts[table] = 0;
                        Ok(())
                    }
                    _ => Err("the builder frees what others count"),
                }
            }
        };
        reached.push(step.map(|()| next));
    }

    /// What holds in every state, whatever came before.
    fn check(&self) -> Result<(), &'static str> {
        if self
            .at_hand
            .iter()
            .flatten()
            .any(|it| self.counts[*it] == 0)
        {
            return Err("a reader has at hand what is freed");
        }
        if self.counts[self.present] == 0 {
            return Err("what is published is freed");
        }
        let is_over = self.readers.iter().all(|it| *it == Reader::Ended);
        let at_rest = is_over && self.builder == Builder::Idle && self.slots == [None; READERS];
        if at_rest && self.retired.iter().any(|it| self.counts[*it] != 1) {
            return Err("a table stays although nobody holds it");
        }
        Ok(())
    }
}

/// How many states there are, or what is wrong in one.
fn explore(without: Without) -> Result<usize, &'static str> {
    let mut known = HashSet::from([State::first()]);
    let mut left = vec![State::first()];
    let mut reached = Vec::new();
    while let Some(state) = left.pop() {
        state.builder_steps(without, &mut reached);
        for who in 0..READERS {
            state.reader_steps(who, without, &mut reached);
        }
        for next in reached.drain(..) {
            let next = next?;
            next.check()?;
            if known.insert(next.clone()) {
                left.push(next);
            }
        }
    }
    Ok(known.len())
}

#[test]
#[cfg_attr(miri, ignore = "there is no memory to look after")]
fn in_every_order_of_steps_nothing_is_freed_that_is_held() {
    let states = explore(Without::Nothing).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(states > 10_000, "{states} states");
}

#[test]
#[cfg_attr(miri, ignore = "there is no memory to look after")]
fn each_part_of_the_protocol_is_missed_where_it_is_left_out() {
    for without in [
        Without::Payment,
        Without::Confirmation,
        Without::Count,
        Without::Retiring,
    ] {
        assert!(explore(without).is_err());
    }
}
