//! Publication under every order of what its threads do. In: a builder that publishes and frees, and
//! readers as answering threads and HTTP are. Out: a panic where a reader frees, where something is freed
//! that is held, or where what was replaced piles up. Here are the real calls, in every order on one
//! thread and then on several; `steps` has every order of the loads and stores below them.

mod steps;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ThreadId};

use arc_swap::Cache;

use super::{Published, Publisher};

/// What is published on one thread: it tells in whose turn it was freed.
struct Numbered {
    number: usize,
    scene: Rc<Scene>,
}

#[derive(Default)]
struct Scene {
    turn: Cell<usize>,
    /// What was freed, and in whose turn.
    freed: RefCell<Vec<(usize, usize)>>,
}

impl Drop for Numbered {
    fn drop(&mut self) {
        let freed = (self.number, self.scene.turn.get());
        self.scene.freed.borrow_mut().push(freed);
    }
}

// Who takes part: the refresh thread, two answering threads, and HTTP, which takes one and lets go of it.
const BUILDER: usize = 0;
const WORKERS: [usize; 2] = [1, 2];
const BORROWER: usize = 3;

#[derive(Clone, Copy, PartialEq)]
enum BuilderStep {
    Publish,
    Free,
}

/// An interpreter gets few enough orders for it.
const BUILDER_STEPS: &[BuilderStep] = {
    use BuilderStep::{Free, Publish};
    match cfg!(miri) {
        true => &[Publish, Free],
        false => &[Publish, Publish, Free, Publish, Free],
    }
};
/// How many steps each takes; the last one of a worker is its end.
const STEPS: [usize; 4] = [BUILDER_STEPS.len(), if cfg!(miri) { 2 } else { 3 }, 2, 2];

#[test]
fn in_every_order_of_calls_only_the_builder_frees_and_only_what_nobody_holds() {
    let mut orders = 0;
    each_order(&mut STEPS.clone(), &mut Vec::new(), &mut |order| {
        orders += 1;
        play(order);
    });
    // 12! / (5! 3! 2! 2!)
    assert!(cfg!(miri) || orders == 166_320, "{orders}");
}

/// All orders in which the steps of the several can come.
fn each_order(left: &mut [usize], order: &mut Vec<usize>, seen: &mut impl FnMut(&[usize])) {
    if left.iter().all(|left| *left == 0) {
        return seen(order);
    }
    for who in 0..left.len() {
        if left[who] > 0 {
            left[who] -= 1;
            order.push(who);
            each_order(left, order, seen);
            order.pop();
            left[who] += 1;
        }
    }
}

fn play(order: &[usize]) {
    let scene = Rc::new(Scene::default());
    let published: Published<Numbered> = Arc::default();
    let mut publisher = Publisher::new(Arc::clone(&published));
    let publish = |publisher: &mut Publisher<Numbered>, number| {
        let scene = Rc::clone(&scene);
        publisher.publish(Numbered { number, scene });
    };
    let mut newest = 1;
    publish(&mut publisher, newest);
    // As an answering thread has it.
    let mut caches = WORKERS.map(|_| Some(Cache::new(&*published)));
    let mut borrowed: Option<Arc<Numbered>>;
    // What each has at hand since it looked last.
    let mut held = [None, Some(newest), Some(newest), None];
    let mut taken = [0; 4];
    for who in order.iter().copied() {
        scene.turn.set(who);
        let step = taken[who];
        taken[who] += 1;
        let is_last = taken[who] == STEPS[who];
        let mut still_held = None;
        match who {
            BUILDER if BUILDER_STEPS[step] == BuilderStep::Publish => {
                newest += 1;
                publish(&mut publisher, newest);
            }
            BUILDER => still_held = Some(publisher.free_retired(drop)),
            BORROWER => {
                borrowed = published.load_full().filter(|_| !is_last);
                held[who] = borrowed.as_ref().map(|it| it.number);
            }
            _ if is_last => (caches[who - WORKERS[0]], held[who]) = (None, None),
            _ => {
                let cache = caches[who - WORKERS[0]].as_mut().expect("not its end yet");
                held[who] = cache.load().as_ref().map(|it| it.number);
                assert_eq!(held[who], Some(newest), "a look shows the newest");
            }
        }
        let freed = scene.freed.borrow();
        let is_builders = |(_, turn): &(usize, usize)| *turn == BUILDER;
        assert!(freed.iter().all(is_builders), "{order:?}: {freed:?}");
        let mut old: Vec<usize> = held.into_iter().flatten().collect();
        old.sort_unstable();
        old.dedup();
        let is_freed = |number: &usize| freed.iter().any(|(freed, _)| freed == number);
        assert!(!old.iter().any(is_freed), "{order:?}: {old:?} {freed:?}");
        old.retain(|number| *number != newest);
        assert!(
            still_held.is_none_or(|count| count == old.len()),
            "{order:?}"
        );
    }
    scene.turn.set(BUILDER);
    assert_eq!(publisher.free_retired(drop), 0, "nobody holds any");
    assert_eq!(scene.freed.borrow().len(), newest - 1);
}

/// What is published to several threads: all of it is its number, and it knows who built it.
struct Bound {
    words: [usize; 16],
    builder: ThreadId,
    freed_elsewhere: Arc<AtomicUsize>,
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.words = [usize::MAX; 16];
        if thread::current().id() != self.builder {
            self.freed_elsewhere.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Bound {
    fn check(&self) {
        let number = self.words[0];
        assert!(number != usize::MAX && self.words.iter().all(|word| *word == number));
    }
}

#[test]
fn on_several_threads_only_the_builder_frees_and_little_is_left_to_free() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 20_000 };
    const READERS: usize = 3;
    let published: Published<Bound> = Arc::default();
    let mut publisher = Publisher::new(Arc::clone(&published));
    let freed_elsewhere = Arc::new(AtomicUsize::new(0));
    let bound = |number| Bound {
        words: [number; 16],
        builder: thread::current().id(),
        freed_elsewhere: Arc::clone(&freed_elsewhere),
    };
    publisher.publish(bound(0));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 1..READERS {
            scope.spawn(|| {
                let mut cache = Cache::new(&*published);
                while !is_over.load(Ordering::Relaxed) {
                    cache.load().as_ref().expect("one is published").check();
                    thread::yield_now();
                }
            });
        }
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                published.load_full().expect("one is published").check();
                thread::yield_now();
            }
        });
        for number in 1..=ROUNDS {
            publisher.publish(bound(number));
            // Each has one, and one that it takes up in place of that.
            assert!(publisher.free_retired(drop) <= 2 * READERS);
            thread::yield_now();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(publisher.free_retired(drop), 0, "nobody holds any");
    assert_eq!(freed_elsewhere.load(Ordering::Relaxed), 0);
}
