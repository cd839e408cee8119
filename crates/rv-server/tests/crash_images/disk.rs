//! A disk in memory that knows what a power failure may leave of it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

use super::facts::Random;

/// What the hardware writes as one.
const SECTOR_BYTES: usize = 512;
/// What a file system gives out as one.
const BLOCK_BYTES: usize = 4096;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Arc<[u8]> },
    SetLen(usize),
}

/// A moment at which the power may fail: what is surely on the disk, and what may be.
#[derive(Clone, Debug)]
pub struct CrashPoint {
    durable: Arc<Vec<u8>>,
    pending: Vec<Change>,
}

/// How the disk misbehaves, once `after` operations went well and until `failures` did not.
#[derive(Clone, Debug)]
pub struct Fault {
    pub after: usize,
    pub failures: usize,
    pub kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No room: writes where nothing was written before fail, and so does growing.
    Full,
    /// No room on a file system that writes nothing in place: every write fails.
    FullCopyOnWrite,
    /// Syncs fail. What was to be synced is read back, and never reaches the disk.
    SyncFails,
    /// Nothing works, and nothing can be read.
    Dead,
}

#[derive(Debug, Default)]
struct Disk0 {
    cache: Vec<u8>,
    durable: Arc<Vec<u8>>,
    pending: Vec<Change>,
    points: Vec<CrashPoint>,
    is_recording: bool,
    fault: Option<Fault>,
    /// Picks what a failed sync still brought to the disk.
    seed: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Disk0>>);

impl Disk {
    pub fn recording() -> Self {
        let disk = Self::default();
        disk.lock().is_recording = true;
        disk
    }

    pub fn from_image(image: Vec<u8>) -> Self {
        let disk = Self::recording();
        disk.lock().cache.clone_from(&image);
        disk.lock().durable = Arc::new(image);
        disk
    }

    pub fn break_with(&self, fault: Fault, seed: u64) {
        let mut disk = self.lock();
        disk.fault = Some(fault);
        disk.seed = seed;
    }

    /// Forgets everything since an image, as a disk does whose syncs are not what they say.
    pub fn roll_back(&self, image: Vec<u8>) {
        let mut disk = self.lock();
        disk.pending.clear();
        disk.cache.clone_from(&image);
        disk.durable = Arc::new(image);
    }

    pub fn heal(&self) {
        self.lock().fault = None;
    }

    pub fn is_healthy(&self) -> bool {
        self.lock().fault.is_none()
    }

    /// The moments since the last call, each just before a sync, and at last this one.
    pub fn take_points(&self) -> (Vec<CrashPoint>, CrashPoint) {
        let mut disk = self.lock();
        let now = disk.point();
        (std::mem::take(&mut disk.points), now)
    }

    fn lock(&self) -> MutexGuard<'_, Disk0> {
        self.0
            .lock()
            .expect("no test panics while it holds the disk")
    }
}

impl Disk0 {
    fn point(&self) -> CrashPoint {
        CrashPoint {
            durable: self.durable.clone(),
            pending: self.pending.clone(),
        }
    }

    fn make(&mut self, change: Change) {
        change.apply(&mut self.cache);
        self.pending.push(change);
    }

    /// Whether this operation is to fail. Operations that the fault leaves alone do not count.
    fn fails(&mut self, is_hit: impl Fn(FaultKind) -> bool) -> bool {
        let Some(fault) = &mut self.fault else {
            return false;
        };
        if !is_hit(fault.kind) {
            return false;
        }
        if fault.after > 0 {
            fault.after -= 1;
            return false;
        }
        if fault.failures == 0 {
            self.fault = None;
            return false;
        }
        fault.failures -= 1;
        true
    }

    fn is_fresh(&self, offset: usize, len: usize) -> bool {
        let first = offset / BLOCK_BYTES * BLOCK_BYTES;
        let last = (offset + len).div_ceil(BLOCK_BYTES) * BLOCK_BYTES;
        let blocks = self
            .cache
            .get(first..last.min(self.cache.len()))
            .unwrap_or_default();
        blocks
            .chunks(BLOCK_BYTES)
            .any(|block| block.iter().all(|byte| *byte == 0))
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => {
                let end = offset + data.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(data);
            }
            Self::SetLen(len) => image.resize(*len, 0),
        }
    }

    /// Leaves some sectors of a write, by chance.
    fn apply_torn(&self, image: &mut Vec<u8>, random: &mut Random) {
        let Self::Write { offset, data } = self else {
            return self.apply(image);
        };
        for (index, sector) in data.chunks(SECTOR_BYTES).enumerate() {
            if random.below(2) == 0 {
                let offset = offset + index * SECTOR_BYTES;
                Self::Write {
                    offset,
                    data: sector.into(),
                }
                .apply(image);
            }
        }
    }
}

impl CrashPoint {
    /// Up to `prefixes` images in which the changes up to one survived, always with none and all
    /// of them; `subsets` in which any did, and as many in which one of those is torn.
    pub fn images(&self, prefixes: usize, subsets: usize, random: &mut Random) -> Vec<Vec<u8>> {
        let count = self.pending.len();
        let mut cuts: Vec<usize> = (0..=count).collect();
        while cuts.len() > prefixes.max(2) {
            cuts.remove(1 + random.below(cuts.len() - 2));
        }
        let mut images: Vec<Vec<u8>> = cuts
            .iter()
            .map(|cut| self.image(|index, _| index < *cut, None, random))
            .collect();
        if count > 1 {
            for _ in 0..subsets {
                let any = |_, random: &mut Random| random.below(2) == 0;
                images.push(self.image(any, None, random));
                let torn = random.below(count);
                images.push(self.image(any, Some(torn), random));
            }
        }
        images
    }

    fn image(
        &self,
        survives: impl Fn(usize, &mut Random) -> bool,
        torn: Option<usize>,
        random: &mut Random,
    ) -> Vec<u8> {
        let mut image = Vec::clone(&self.durable);
        for (index, change) in self.pending.iter().enumerate() {
            if torn == Some(index) {
                change.apply_torn(&mut image, random);
            } else if survives(index, random) {
                change.apply(&mut image);
            }
        }
        image
    }
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("the disk is small")
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        u64::try_from(self.lock().cache.len()).map_err(io::Error::other)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut disk = self.lock();
        if disk.fails(|kind| kind == FaultKind::Dead) {
            return Err(io::Error::other("the disk is dead"));
        }
        let offset = position(offset);
        let bytes = disk.cache.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.lock();
        let len = position(len);
        let grows = len > disk.cache.len();
        if disk.fails(|kind| match kind {
            FaultKind::Full => grows,
            FaultKind::FullCopyOnWrite | FaultKind::Dead => true,
            FaultKind::SyncFails => false,
        }) {
            return Err(full());
        }
        disk.make(Change::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.lock();
        if disk.is_recording {
            let point = disk.point();
            disk.points.push(point);
        }
        let fails = disk.fails(|kind| matches!(kind, FaultKind::SyncFails | FaultKind::Dead));
        let mut durable = Vec::clone(&disk.durable);
        let mut random = Random(disk.seed);
        for change in std::mem::take(&mut disk.pending) {
            if !fails || random.below(2) == 0 {
                change.apply(&mut durable);
            }
        }
        disk.seed = random.next();
        disk.durable = Arc::new(durable);
        if fails {
            Err(io::Error::other("the sync failed"))
        } else {
            Ok(())
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.lock();
        let offset = position(offset);
        let is_fresh = disk.is_fresh(offset, data.len());
        if disk.fails(|kind| match kind {
            FaultKind::Full => is_fresh,
            FaultKind::FullCopyOnWrite | FaultKind::Dead => true,
            FaultKind::SyncFails => false,
        }) {
            return Err(full());
        }
        disk.make(Change::Write {
            offset,
            data: data.into(),
        });
        Ok(())
    }
}
