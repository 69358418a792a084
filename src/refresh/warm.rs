//! The warm start: the last good records on disk, so that a restart answers before any master has. In:
//! published Snapshots. Out: one file, replaced as a whole, and at the next start a table and a
//! Cluster. A file that is damaged, or of another cluster, must never be believed in any part.
//!
//! ```text
//!   file    MAGIC | packed blocks of the table | packed block of the cluster | head | tail
//!   tail    head_bytes u32 | CRC-32 of the head u32 | FORMAT u32 | MAGIC
//! ```
//!
//! The table stands there as it is served, so that a start costs no more than unpacking it; the
//! cluster is for what comes after: holding, `explain`, and another configuration.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Sender, bounded};
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::restart::told;
use crate::limits::WARM_START_BYTES_MAX;
use crate::mesos::cluster::Cluster;
use crate::mesos::hosts::Hosts;
use crate::mesos::saved;
use crate::records::{Naming, RecordCounts};
use crate::responses::Snapshot;
use crate::responses::saved::{BlockHead, SavedError, SavedTable, pack, unpack, unpack_shards};
use crate::responses::table::{ResponseTable, Shard};
use crate::responses::zone::Answering;

/// Which cluster the records are of, as the configuration names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `Zk` without credentials.
    pub zk: String,
    /// `Masters`, each `host:port`.
    pub masters: Vec<String>,
}

impl Identity {
    /// Lists of masters change; one that is in both tells the cluster.
    fn is_of(&self, other: &Self) -> bool {
        !self.zk.is_empty() && self.zk == other.zk
            || self.masters.iter().any(|it| other.masters.contains(it))
    }
}

/// What stands before the tail.
#[derive(Serialize, Deserialize)]
struct Head {
    identity: Identity,
    /// When a master last confirmed the records, milliseconds since 1970.
    confirmed_ms: u64,
    serial: u32,
    generation: u64,
    published_ms: u64,
    /// A, AAAA, SRV, PTR, CNAME, TXT.
    record_counts: [u64; 6],
    naming: NamingPart,
    table: SavedTable,
    cluster: BlockHead,
}

/// The part of the naming that decides about every name of a table.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct NamingPart {
    domain: String,
    rfc952: bool,
    ip_sources: String,
    soa_mname: String,
    /// Of the static records.
    statics: u32,
}

impl NamingPart {
    fn of(naming: &Naming) -> Self {
        Self {
            domain: naming.domain.to_string(),
            rfc952: naming.rfc952,
            ip_sources: format!("{:?}", naming.ip_sources),
            soa_mname: naming.soa_mname.to_string(),
            statics: naming.statics.fingerprint,
        }
    }
}

/// Why a file is not taken.
#[derive(Debug)]
pub enum WarmError {
    Read(io::Error),
    TooLong,
    NotOurs,
    Format(u32),
    CutShort,
    Surplus,
    Checksum,
    Head,
    Foreign,
    Block(SavedError),
    Cluster,
}

impl fmt::Display for WarmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "it cannot be read: {}", told(error)),
            Self::TooLong => write!(f, "it is longer than {WARM_START_BYTES_MAX} octets"),
            Self::NotOurs => f.write_str("it is no file of Rollcall's"),
            Self::Format(number) => write!(f, "its format is {number}, ours is {FORMAT}"),
            Self::CutShort => f.write_str("it is cut short"),
            Self::Surplus => f.write_str("it holds more than its head tells"),
            Self::Checksum => f.write_str("its checksum is wrong"),
            Self::Head => f.write_str("its head cannot be read"),
            Self::Foreign => f.write_str("it is of another cluster: no master is in both"),
            Self::Block(error) => error.fmt(f),
            Self::Cluster => f.write_str("the cluster in it cannot be read"),
        }
    }
}

/// A file of which all but the table was read and checked.
pub struct WarmFile {
    file: File,
    head: Head,
    /// Packed.
    cluster: Vec<u8>,
}

/// A table to go on with.
pub struct WarmTable {
    pub table: ResponseTable,
    pub serial: u32,
    pub generation: u64,
    pub published_at: SystemTime,
    pub record_counts: RecordCounts,
}

impl WarmFile {
    /// Reads the file of a directory; `None`: there is none.
    pub fn open(directory: &Path, identity: &Identity) -> Result<Option<Self>, WarmError> {
        let file = match File::open(directory.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(WarmError::Read(error)),
        };
        Self::from_file(file, identity).map(Some)
    }

    /// The same of an open file. Its table stays where it is until it is unpacked: to have the whole
    /// file in memory first costs a start a fifth of its time.
    pub fn from_file(file: File, identity: &Identity) -> Result<Self, WarmError> {
        let file_bytes = file.metadata().map_err(WarmError::Read)?.len();
        if file_bytes > WARM_START_BYTES_MAX {
            return Err(WarmError::TooLong);
        }
        let begin = (file_bytes as usize).min(MAGIC.len());
        if read_at(&file, 0, begin)? != MAGIC {
            return Err(WarmError::NotOurs);
        }
        let tail_at = file_bytes.checked_sub(TAIL_BYTES as u64);
        let tail_at = tail_at.ok_or(WarmError::CutShort)?;
        let tail = read_at(&file, tail_at, TAIL_BYTES)?;
        let Some(rest) = tail.strip_suffix(MAGIC) else {
            return Err(WarmError::CutShort);
        };
        let (rest, format) = number_at_end(rest)?;
        if format != FORMAT {
            return Err(WarmError::Format(format));
        }
        let (rest, checksum) = number_at_end(rest)?;
        let (_, head_bytes) = number_at_end(rest)?;
        let head_at = tail_at.checked_sub(u64::from(head_bytes));
        let head_at = head_at.ok_or(WarmError::CutShort)?;
        let head = read_at(&file, head_at, head_bytes as usize)?;
        if crc32fast::hash(&head) != checksum {
            return Err(WarmError::Checksum);
        }
        let head: Head = postcard::from_bytes(&head).map_err(|_| WarmError::Head)?;
        let mut at = MAGIC.len() as u64;
        for block in &head.table.blocks {
            pass_block(&mut at, block, head_at)?;
        }
        let cluster_at = pass_block(&mut at, &head.cluster, head_at)?;
        // The cluster is read after the table is served, but a table without it is not.
        let cluster = read_at(&file, cluster_at, head.cluster.packed_bytes as usize)?;
        if crc32fast::hash(&cluster) != head.cluster.checksum {
            return Err(WarmError::Checksum);
        }
        if at != head_at {
            return Err(WarmError::Surplus);
        }
        if !head.identity.is_of(identity) {
            return Err(WarmError::Foreign);
        }
        Ok(Self {
            file,
            head,
            cluster,
        })
    }

    /// How long ago a master confirmed the records. A clock that went back makes them no younger than
    /// now.
    pub fn age(&self) -> Duration {
        let confirmed = UNIX_EPOCH + Duration::from_millis(self.head.confirmed_ms);
        SystemTime::now()
            .duration_since(confirmed)
            .unwrap_or_default()
    }

    /// The SOA serial of the table.
    pub fn serial(&self) -> u32 {
        self.head.serial
    }

    /// The table, where the present naming would give the same names.
    pub fn table(
        &self,
        naming: &Naming,
        answering: &Answering,
    ) -> Result<Option<WarmTable>, WarmError> {
        let head = &self.head;
        if head.naming != NamingPart::of(naming) {
            return Ok(None);
        }
        let shards = unpack_all(&self.file, &head.table)?;
        let table = match ResponseTable::load(&head.table, shards, answering, head.serial) {
            Ok(table) => table,
            // Another version of the program hashes otherwise: the cluster is as good, if slower.
            Err(SavedError::Hash) => return Ok(None),
            Err(error) => return Err(WarmError::Block(error)),
        };
        let [a, aaaa, srv, ptr, cname, txt] = head.record_counts.map(|count| count as usize);
        Ok(Some(WarmTable {
            table,
            serial: head.serial,
            generation: head.generation,
            published_at: UNIX_EPOCH + Duration::from_millis(head.published_ms),
            record_counts: RecordCounts {
                a,
                aaaa,
                srv,
                ptr,
                cname,
                txt,
            },
        }))
    }

    /// The cluster, and the hosts that were looked up for it.
    pub fn cluster(&self) -> Result<(Cluster, Hosts), WarmError> {
        let octets = unpack(&self.head.cluster, &self.cluster).map_err(WarmError::Block)?;
        saved::from_octets(&octets).map_err(|_| WarmError::Cluster)
    }
}

/// Reads and unpacks the blocks of a table on all cores.
fn unpack_all(file: &File, table: &SavedTable) -> Result<Vec<Shard>, WarmError> {
    let mut at = MAGIC.len() as u64;
    let placed = |block| Ok((pass_block(&mut at, block, WARM_START_BYTES_MAX)?, block));
    let blocks: Vec<(u64, &BlockHead)> =
        table.blocks.iter().map(placed).collect::<Result<_, _>>()?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = blocks.len().div_ceil(cores).max(1);
    let unpack_share = |share: &[(u64, &BlockHead)]| {
        let (mut shards, mut packed) = (Vec::new(), Vec::new());
        for (at, head) in share {
            packed.resize(head.packed_bytes as usize, 0);
            file.read_exact_at(&mut packed, *at)
                .map_err(WarmError::Read)?;
            shards.append(&mut unpack_shards(head, &packed).map_err(WarmError::Block)?);
        }
        Ok(shards)
    };
    let parts: Vec<Result<Vec<Shard>, WarmError>> = thread::scope(|scope| {
        let threads: Vec<_> = blocks
            .chunks(share)
            .map(|share| scope.spawn(|| unpack_share(share)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                let panicked = Err(WarmError::Block(SavedError::Packing));
                thread.join().unwrap_or(panicked)
            })
            .collect()
    });
    let mut shards = Vec::new();
    for part in parts {
        shards.append(&mut part?);
    }
    Ok(shards)
}

fn read_at(file: &File, at: u64, bytes: usize) -> Result<Vec<u8>, WarmError> {
    let mut octets = vec![0; bytes];
    file.read_exact_at(&mut octets, at)
        .map_err(WarmError::Read)?;
    Ok(octets)
}

/// Where a block begins; `at` is behind it then, which must not be beyond `end`.
fn pass_block(at: &mut u64, head: &BlockHead, end: u64) -> Result<u64, WarmError> {
    let begin = *at;
    let behind = begin.checked_add(head.packed_bytes);
    *at = behind
        .filter(|behind| *behind <= end)
        .ok_or(WarmError::CutShort)?;
    Ok(begin)
}

fn number_at_end(octets: &[u8]) -> Result<(&[u8], u32), WarmError> {
    let (rest, number) = octets.split_last_chunk::<4>().ok_or(WarmError::CutShort)?;
    Ok((rest, u32::from_le_bytes(*number)))
}

/// What is to be written.
pub struct ToSave {
    pub snapshot: Arc<Snapshot>,
    pub identity: Identity,
    pub confirmed_at: SystemTime,
}

/// Writes the file: beside it first, then in its place, so that a reader sees the old one or the new
/// one. Returns its length. `is_last`: the program ends, and the system may take its time with the
/// disk.
pub fn save(directory: &Path, to_save: &ToSave, is_last: bool) -> io::Result<u64> {
    fs::create_dir_all(directory)?;
    // At the end of the program its thread may be writing, too.
    let beside = directory.join(if is_last {
        FILE_BESIDE_LAST
    } else {
        FILE_BESIDE
    });
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&beside)?;
    let mut out = Counted {
        file: BufWriter::with_capacity(1 << 20, file),
        bytes: 0,
    };
    write(&mut out, to_save)?;
    out.file.flush()?;
    let bytes = out.bytes;
    if !is_last {
        out.file.get_ref().sync_data()?;
    }
    fs::rename(&beside, directory.join(FILE))?;
    if !is_last {
        File::open(directory)?.sync_all()?;
    }
    Ok(bytes)
}

fn write(out: &mut Counted, to_save: &ToSave) -> io::Result<()> {
    let snapshot = &to_save.snapshot;
    let world = &snapshot.world;
    out.write(MAGIC)?;
    let table = snapshot.table.save(|packed| out.write(packed))?;
    let octets = saved::to_octets(&world.cluster, &world.hosts).map_err(io::Error::other)?;
    let (cluster, packed) = pack(&octets);
    out.write(&packed)?;
    let counts = snapshot.record_counts;
    let head = Head {
        identity: to_save.identity.clone(),
        confirmed_ms: unix_ms(to_save.confirmed_at),
        serial: snapshot.serial,
        generation: snapshot.generation,
        published_ms: unix_ms(snapshot.published_at),
        record_counts: [
            counts.a,
            counts.aaaa,
            counts.srv,
            counts.ptr,
            counts.cname,
            counts.txt,
        ]
        .map(|count| count as u64),
        naming: NamingPart::of(&world.naming),
        table,
        cluster,
    };
    let head = postcard::to_stdvec(&head).map_err(io::Error::other)?;
    out.write(&head)?;
    out.write(&(head.len() as u32).to_le_bytes())?;
    out.write(&crc32fast::hash(&head).to_le_bytes())?;
    out.write(&FORMAT.to_le_bytes())?;
    out.write(MAGIC)
}

/// A file, and how much was written.
struct Counted {
    file: BufWriter<File>,
    bytes: u64,
}

impl Counted {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.bytes += octets.len() as u64;
        self.file.write_all(octets)
    }
}

fn unix_ms(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// The thread that writes, so that publishing never waits for a disk.
pub struct Keeper {
    jobs: Sender<ToSave>,
    directory: PathBuf,
    thread: JoinHandle<()>,
}

impl Keeper {
    pub fn start(directory: PathBuf) -> io::Result<Self> {
        let (jobs, to_do) = bounded::<ToSave>(0);
        let at = directory.clone();
        let thread = std::thread::Builder::new()
            .name("warm-start".to_owned())
            .spawn(move || {
                if let Err(failure) = crate::sys::priority::give_way() {
                    debug!("the warm start's thread keeps its priority: {failure}");
                }
                let mut last_error = String::new();
                for job in to_do {
                    let begin = Instant::now();
                    match save(&at, &job, false) {
                        Ok(bytes) => {
                            last_error.clear();
                            let took_ms = begin.elapsed().as_millis();
                            debug!("kept {bytes} octets for a warm start ({took_ms} ms)");
                            // Written too often, a large file would wear out the disk.
                            std::thread::sleep(pause_after(bytes));
                        }
                        Err(error) => {
                            let text = told(&error);
                            if text != last_error {
                                let at = at.display();
                                warn!("cannot keep records in {at} for a warm start: {text}");
                                last_error = text;
                            }
                        }
                    }
                }
            })?;
        Ok(Self {
            jobs,
            directory,
            thread,
        })
    }

    /// Has it written, unless the thread is busy or pauses; then the caller tries again later.
    pub fn offer(&self, job: ToSave) -> bool {
        self.jobs.try_send(job).is_ok()
    }

    /// Writes here and now, at the end of the program.
    pub fn save_last(self, job: &ToSave) {
        if let Err(error) = save(&self.directory, job, true) {
            let at = self.directory.display();
            let error = told(&error);
            warn!("cannot keep records in {at} for a warm start: {error}");
        }
        // The thread pauses, or writes what is older; the rename of the newer file came after.
        drop(self.thread);
    }
}

/// So long that the disk is written at a quarter of a megabyte a second, averaged.
fn pause_after(bytes: u64) -> Duration {
    Duration::from_micros(bytes * 4)
}

const MAGIC: &[u8; 8] = b"ROLLCALL";
/// Three numbers and the magic word.
const TAIL_BYTES: usize = 3 * 4 + MAGIC.len();
/// Another number with each change of the format.
const FORMAT: u32 = 3;
const FILE: &str = "warm-start";
const FILE_BESIDE: &str = "warm-start.new";
const FILE_BESIDE_LAST: &str = "warm-start.last";
/// Names of tasks are nobody else's affair.
const FILE_MODE: u32 = 0o600;
