//! What the embedded store is compared with: frames appended to one file, a sync a batch, and
//! the whole of the live rows written anew when the file is twice their size.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::Store;
use super::rows::Rows;

/// Length, checksum, length of the key.
const FRAME_HEADER_BYTES: usize = 4 + 8 + 4;

#[derive(Debug)]
pub(super) struct LogStore {
    path: PathBuf,
    file: File,
    live: BTreeMap<Vec<u8>, Vec<u8>>,
    live_bytes: u64,
    file_bytes: u64,
    written_bytes: u64,
    syncs: u64,
}

impl LogStore {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(path)?;
        Ok(Self::new(path, file))
    }

    fn new(path: &Path, file: File) -> Self {
        Self {
            path: path.to_path_buf(),
            file,
            live: BTreeMap::new(),
            live_bytes: 0,
            file_bytes: 0,
            written_bytes: 0,
            syncs: 0,
        }
    }

    /// Reads every frame back; the first one that does not verify ends the log.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        let mut reader = BufReader::with_capacity(1 << 20, file.try_clone()?);
        let mut store = Self::new(path, file);
        let mut header = [0_u8; FRAME_HEADER_BYTES];
        while reader.read_exact(&mut header).is_ok() {
            let (length, rest) = header.split_at(4);
            let (checksum, key_bytes) = rest.split_at(8);
            let length = usize::try_from(u32::from_le_bytes(length.try_into()?))?;
            let key_bytes = usize::try_from(u32::from_le_bytes(key_bytes.try_into()?))?;
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            anyhow::ensure!(
                hash(&body).to_le_bytes() == checksum,
                "a frame does not verify"
            );
            let value = body.split_off(key_bytes);
            store.keep(body, value);
        }
        Ok(store)
    }

    /// Live rows.
    pub(super) fn rows(&self) -> usize {
        self.live.len()
    }

    /// Writes the live rows to a new file that takes the place of the old one.
    pub(super) fn snapshot(&mut self) -> anyhow::Result<u64> {
        let path = self.path.with_extension("new");
        let mut writer = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut bytes = 0;
        let mut frame = Vec::new();
        for (key, value) in &self.live {
            frame.clear();
            encode(key, value, &mut frame)?;
            writer.write_all(&frame)?;
            bytes += u64::try_from(frame.len())?;
        }
        writer.into_inner()?.sync_data()?;
        std::fs::rename(&path, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.file_bytes = bytes;
        self.written_bytes += bytes;
        self.syncs += 1;
        Ok(bytes)
    }

    fn keep(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let bytes = |key: usize, value: usize| {
            u64::try_from(FRAME_HEADER_BYTES + key + value).unwrap_or(u64::MAX)
        };
        let key_bytes = key.len();
        self.live_bytes += bytes(key_bytes, value.len());
        self.file_bytes += bytes(key_bytes, value.len());
        if let Some(old) = self.live.insert(key, value) {
            self.live_bytes -= bytes(key_bytes, old.len());
        }
    }
}

impl Store for LogStore {
    fn commit(&mut self, rows: &mut Rows, numbers: &[u64]) -> anyhow::Result<()> {
        let mut frames = Vec::new();
        for number in numbers {
            let (key, value) = rows.row(*number);
            encode(&key, &value, &mut frames)?;
            self.keep(key, value);
        }
        self.file.write_all(&frames)?;
        self.file.sync_data()?;
        self.written_bytes += u64::try_from(frames.len())?;
        self.syncs += 1;
        if self.file_bytes > 2 * self.live_bytes {
            self.snapshot()?;
        }
        Ok(())
    }

    fn take_written_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.written_bytes)
    }

    fn take_syncs(&mut self) -> u64 {
        std::mem::take(&mut self.syncs)
    }
}

fn encode(key: &[u8], value: &[u8], frames: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut body = Vec::with_capacity(key.len() + value.len());
    body.extend(key);
    body.extend(value);
    frames.extend(u32::try_from(body.len())?.to_le_bytes());
    frames.extend(hash(&body).to_le_bytes());
    frames.extend(u32::try_from(key.len())?.to_le_bytes());
    frames.extend(body);
    Ok(())
}

/// FNV-1a over words of 8 bytes: enough for a comparison.
fn hash(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |hash, chunk| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
