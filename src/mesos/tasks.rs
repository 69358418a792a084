//! The running tasks of a Cluster, in shards by agent. In: tasks as they are read, or one that comes,
//! changes or goes. Out: a collection that shares with its predecessor all that did not change. A
//! change must never cost more than its own shard and two short rows of pointers.

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::cluster::Task;
use crate::limits::{TASK_GROUP_SHARDS, TASK_GROUPS};

/// The running tasks. By agent, because what happens to an agent happens to its tasks.
#[derive(Clone, Debug)]
pub struct Tasks {
    groups: Arc<[Group]>,
    count: usize,
}

/// `TASK_GROUP_SHARDS` shards.
type Group = Arc<[TaskShard]>;
pub type TaskShard = Arc<Shard>;

/// The tasks of some agents.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    /// Sorted by (framework id, task id, ordinal). A master's document may name a task twice.
    tasks: Vec<Arc<Task>>,
    /// A bit for each framework that may have a task here, by the hash of its id.
    frameworks: u64,
}

impl Shard {
    fn from_unsorted(mut tasks: Vec<Arc<Task>>) -> Self {
        tasks.sort_unstable_by(|a, b| a.cmp_key(b).then(a.ordinal.cmp(&b.ordinal)));
        tasks.shrink_to_fit();
        let bits = tasks.iter().map(|task| framework_bit(&task.framework_id));
        Self {
            frameworks: bits.fold(0, |all, bit| all | bit),
            tasks,
        }
    }

    pub fn tasks(&self) -> &[Arc<Task>] {
        &self.tasks
    }

    /// Whether one of these frameworks may have a task here; false is certain.
    pub fn may_have(&self, frameworks: FrameworkSet) -> bool {
        self.frameworks & frameworks.0 != 0
    }

    /// Where the first task of a key stands, or would stand.
    fn place(&self, framework_id: &str, id: &str) -> Result<usize, usize> {
        let key = (framework_id, id);
        let at = self
            .tasks
            .partition_point(|task| (&*task.framework_id, &*task.id) < key);
        match self.tasks.get(at) {
            Some(task) if (&*task.framework_id, &*task.id) == key => Ok(at),
            _ => Err(at),
        }
    }
}

/// A set of frameworks, as far as shards tell them apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameworkSet(u64);

impl<'a> FromIterator<&'a str> for FrameworkSet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(ids: I) -> Self {
        Self(ids.into_iter().fold(0, |all, id| all | framework_bit(id)))
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::from_unsorted(Vec::new())
    }
}

impl Tasks {
    /// Sorts tasks into their shards.
    pub fn from_unsorted(tasks: Vec<Arc<Task>>) -> Self {
        let count = tasks.len();
        let mut rows: Vec<Vec<Arc<Task>>> = Vec::new();
        rows.resize_with(TASK_GROUPS * TASK_GROUP_SHARDS, Vec::new);
        for task in tasks {
            let (group, shard) = shard_of(&task.agent_id);
            rows[group * TASK_GROUP_SHARDS + shard].push(task);
        }
        let empty = TaskShard::default();
        let shards: Vec<TaskShard> = rows
            .into_iter()
            .map(|row| match row.is_empty() {
                true => empty.clone(),
                false => Arc::new(Shard::from_unsorted(row)),
            })
            .collect();
        Self {
            groups: shards.chunks(TASK_GROUP_SHARDS).map(Group::from).collect(),
            count,
        }
    }

    /// See `Cluster::adopt`.
    pub(super) fn adopt(&mut self, old: &Self) {
        let mut changed = self.count != old.count;
        let mut groups = Vec::with_capacity(self.groups.len());
        for (new, old) in self.groups.iter().zip(old.groups.iter()) {
            let shards: Vec<TaskShard> = new
                .iter()
                .zip(old.iter())
                .map(|(new, old)| adopt_shard(new, old))
                .collect();
            let same = shards
                .iter()
                .zip(old.iter())
                .all(|(a, b)| Arc::ptr_eq(a, b));
            changed |= !same;
            groups.push(match same {
                true => old.clone(),
                false => shards.into(),
            });
        }
        self.groups = match changed {
            true => groups.into(),
            false => old.groups.clone(),
        };
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All tasks, in no order that means anything; `Task::ordinal` has the document's.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.shards().flat_map(|shard| shard.tasks.iter())
    }

    pub fn shards(&self) -> impl Iterator<Item = &TaskShard> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// The shard that has an agent's tasks, and others'.
    pub fn shard(&self, agent_id: &str) -> &TaskShard {
        let (group, shard) = shard_of(agent_id);
        &self.groups[group][shard]
    }

    /// The shards that differ by their pointers, old and new, each with its number.
    pub fn differing<'a>(
        &'a self,
        old: &'a Self,
    ) -> impl Iterator<Item = (usize, &'a TaskShard, &'a TaskShard)> {
        let groups = old.groups.iter().zip(self.groups.iter()).enumerate();
        groups
            .filter(|(_, (old, new))| !Arc::ptr_eq(old, new))
            .flat_map(|(group, (old, new))| {
                let shards = old.iter().zip(new.iter()).enumerate();
                shards.map(move |(shard, (old, new))| (group * TASK_GROUP_SHARDS + shard, old, new))
            })
            .filter(|(_, old, new)| !Arc::ptr_eq(old, new))
    }

    /// The number of the shard that has an agent's tasks, as `shards` and `differing` count.
    pub fn shard_number(agent_id: &str) -> usize {
        let (group, shard) = shard_of(agent_id);
        group * TASK_GROUP_SHARDS + shard
    }

    pub fn find(&self, agent_id: &str, framework_id: &str, id: &str) -> Option<&Arc<Task>> {
        let shard = self.shard(agent_id);
        let place = shard.place(framework_id, id).ok()?;
        let same_agent = |task: &&Arc<Task>| {
            (&*task.framework_id, &*task.id) == (framework_id, id) && *task.agent_id == *agent_id
        };
        shard.tasks[place..]
            .iter()
            .take_while(|task| (&*task.framework_id, &*task.id) == (framework_id, id))
            .find(same_agent)
    }

    /// Adds a task, in place of one of the same agent, framework and id where there is one.
    pub fn insert(&mut self, task: Arc<Task>) {
        let shard = self.shard_mut(&task.agent_id);
        shard.frameworks |= framework_bit(&task.framework_id);
        let (mut place, mut found) = match shard.place(&task.framework_id, &task.id) {
            Ok(place) => (place, true),
            Err(place) => (place, false),
        };
        while found && shard.tasks[place].agent_id != task.agent_id {
            place += 1;
            found = shard
                .tasks
                .get(place)
                .is_some_and(|next| next.cmp_key(&task) == Ordering::Equal);
        }
        if found {
            shard.tasks[place] = task;
        } else {
            shard.tasks.insert(place, task);
            self.count += 1;
        }
    }

    /// Takes a task out.
    pub fn remove(&mut self, agent_id: &str, framework_id: &str, id: &str) -> Option<Arc<Task>> {
        let task = self.find(agent_id, framework_id, id)?.clone();
        let shard = self.shard_mut(agent_id);
        let place = shard
            .tasks
            .iter()
            .position(|other| Arc::ptr_eq(other, &task))?;
        shard.tasks.remove(place);
        self.count -= 1;
        Some(task)
    }

    /// The agent's shard, for this collection alone.
    fn shard_mut(&mut self, agent_id: &str) -> &mut Shard {
        let (group, shard) = shard_of(agent_id);
        let group = &mut Arc::make_mut(&mut self.groups)[group];
        Arc::make_mut(&mut Arc::make_mut(group)[shard])
    }
}

/// The old shard where all is equal, else the new one with the old tasks that are equal.
fn adopt_shard(new: &TaskShard, old: &TaskShard) -> TaskShard {
    let (new_tasks, old_tasks) = (&new.tasks, &old.tasks);
    if new_tasks.len() == old_tasks.len()
        && new_tasks.iter().zip(old_tasks).all(|(new, old)| new == old)
    {
        return old.clone();
    }
    let mut rest = &old_tasks[..];
    let tasks = new_tasks
        .iter()
        .map(|task| {
            while let [first, behind @ ..] = rest {
                match first.cmp_key(task) {
                    Ordering::Less => rest = behind,
                    Ordering::Greater => break,
                    Ordering::Equal => {
                        rest = behind;
                        if first == task {
                            return first.clone();
                        }
                    }
                }
            }
            task.clone()
        })
        .collect();
    Arc::new(Shard {
        tasks,
        frameworks: new.frameworks,
    })
}

/// Group and shard of an agent's tasks. The hash is the same in every run: shards are compared
/// between two Clusters.
fn shard_of(agent_id: &str) -> (usize, usize) {
    // The upper bits are the better mixed ones.
    let hash = hash_of(agent_id) >> 32;
    (
        hash as usize % TASK_GROUPS,
        hash as usize / TASK_GROUPS % TASK_GROUP_SHARDS,
    )
}

fn framework_bit(framework_id: &str) -> u64 {
    1 << (hash_of(framework_id) >> 58)
}

fn hash_of(text: &str) -> u64 {
    foldhash::fast::FixedState::with_seed(0).hash_one(text)
}
