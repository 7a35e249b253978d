//! Reading and writing regions of Zarr arrays, formats 2 and 3, in a folder.
//!
//! The `zarrs` crate does the codecs (blosc, zstd, gzip, zlib, crc32c, transpose, sharding) and the metadata; this module adds
//! strided regions, native byte order, errors that name the chunk, and writes that threads may overlap. Every call works on the
//! calling thread alone, one chunk after the other. Not read here: remote and zipped stores, variable-length data, records,
//! irregular chunk grids. Making new arrays is in [`crate::zarr_create`].

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use zarrs::array::codec::api::{CodecError, CodecOptions};
use zarrs::array::{Array, ArrayBytes, ArrayCreateError, ArrayError, ArraySubset};
use zarrs::filesystem::FilesystemStore;
use zarrs::storage::StorageError;

use crate::element::ElementLayout;
use crate::error::{Error, Family, Result};
use crate::npy::temporary_beside;
use crate::region::{
    AxisPiece, Region, axis_pieces, byte_len, copy_box, fill_box, for_each_chunk, row_major_strides,
};
use crate::zarr_dtype::descr_of_metadata;

/// How many locks keep writers of one chunk apart. Two chunks that share a lock only wait for each other.
const WRITE_LOCKS: usize = 64;

/// An open array. It is shared freely between threads.
pub struct ZarrArray {
    store: PathBuf,
    name: String,
    folder: PathBuf,
    array: Array<FilesystemStore>,
    format: u8,
    descr: String,
    element: ElementLayout,
    fill_value: Vec<u8>,
    shape: Vec<u64>,
    /// What one file holds: the shard where there are shards.
    chunk_shape: Vec<u64>,
    inner_chunk_shape: Option<Vec<u64>>,
    options: CodecOptions,
    write_locks: Vec<Mutex<()>>,
}

impl std::fmt::Debug for ZarrArray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZarrArray")
            .field("store", &self.store)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ZarrArray {
    /// Opens the array `name` (`""` for an array at the root, `"group/x"` inside groups) of the store in folder `store`.
    pub fn open(store: &Path, name: &str) -> Result<Self> {
        let name = name.trim_matches('/');
        let at = Place { store, name };
        if name.split('/').any(|part| part == "..") {
            return Err(at.user("open", "a name does not leave its store"));
        }
        let folder = std::fs::metadata(store).map_err(Error::file(store, "open"))?;
        if !folder.is_dir() {
            return Err(Error::Unsupported {
                what: format!("the Zarr store '{}', which is a file,", store.display()),
                reason: "stores are folders here; open zipped and remote ones through zarr-python".into(),
            });
        }
        Self::open_folder(at, &at.folder())
    }

    /// Opens the array whose metadata and chunks lie in `folder`, under the name that messages give it.
    pub(crate) fn open_folder(at: Place<'_>, folder: &Path) -> Result<Self> {
        let metadata = read_metadata(at, folder)?;
        let document =
            serde_json::from_value(dates_as_integers(&metadata)).map_err(|error| at.user("open", error))?;
        let storage = FilesystemStore::new(folder).map_err(|error| at.user("open", error))?;
        let (array, options) = without_rayons_pool(at, || {
            (
                Array::new_with_metadata(Arc::new(storage), "/", document),
                CodecOptions::default().with_concurrent_target(1),
            )
        })?;
        let array = array.map_err(|error| at.create_error(error))?;
        let format = if metadata["zarr_format"] == 2 { 2 } else { 3 };
        let shape = array.shape().to_vec();
        let numbers = |value: &Value| -> Option<Vec<u64>> {
            let list: Option<Vec<u64>> = value.as_array()?.iter().map(Value::as_u64).collect();
            list.filter(|list| list.len() == shape.len() && !list.contains(&0))
        };
        let grid = &metadata["chunk_grid"];
        let chunk_shape = match format {
            2 => numbers(&metadata["chunks"]),
            _ if grid["name"] == "regular" => numbers(&grid["configuration"]["chunk_shape"]),
            _ => None,
        };
        let chunk_shape = chunk_shape.ok_or_else(|| Error::Unsupported {
            what: format!("the chunk grid {grid} of {at}"),
            reason: "only regular grids are read".into(),
        })?;
        let codecs = metadata["codecs"].as_array();
        let sharding = codecs.and_then(|list| list.iter().find(|codec| codec["name"] == "sharding_indexed"));
        let inner_chunk_shape = sharding.and_then(|codec| numbers(&codec["configuration"]["chunk_shape"]));
        let type_name = if format == 2 { &metadata["dtype"] } else { &metadata["data_type"] };
        let fixed = descr_of_metadata(type_name)
            .and_then(|descr| {
                Some((ElementLayout::from_descr(&descr).filter(ElementLayout::is_valid)?, descr))
            })
            .filter(|(element, _)| array.data_type().fixed_size() == Some(element.itemsize));
        let (element, descr) = fixed.ok_or_else(|| Error::Unsupported {
            what: format!("the data type {type_name} of {at}"),
            reason: "elements must be booleans, numbers or dates; read it through zarr-python".into(),
        })?;
        let sizes = byte_len(&chunk_shape, element.itemsize).zip(byte_len(&shape, element.itemsize));
        if sizes.is_none() {
            return Err(at.user(
                "open",
                format!("shape {shape:?} in chunks of {chunk_shape:?} exceeds the address space"),
            ));
        }
        let fill_value = array.fill_value().as_ne_bytes().to_vec();
        if fill_value.len() != element.itemsize {
            return Err(at.user("open", format!("a fill value of {} bytes", fill_value.len())));
        }
        Ok(Self {
            store: at.store.to_path_buf(),
            name: at.name.to_string(),
            folder: folder.to_path_buf(),
            array,
            format,
            descr,
            element,
            fill_value,
            shape,
            chunk_shape,
            inner_chunk_shape,
            options,
            write_locks: (0..WRITE_LOCKS).map(|_| Mutex::new(())).collect(),
        })
    }

    /// The shape.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// What one file holds: the shape of a shard, or of a chunk where there are no shards. Regions that follow it are the
    /// cheapest to read, and the only ones to write without reading first.
    pub fn chunk_shape(&self) -> &[u64] {
        &self.chunk_shape
    }

    /// The chunks inside a shard, which can be read one by one.
    pub fn inner_chunk_shape(&self) -> Option<&[u64]> {
        self.inner_chunk_shape.as_deref()
    }

    /// NumPy's type string in native byte order, as regions are: `"<f8"`, `"|b1"`, `"<M8[ns]"`.
    pub fn descr(&self) -> &str {
        &self.descr
    }

    /// The size of an element. Its byte order is always native.
    pub fn element(&self) -> ElementLayout {
        self.element
    }

    /// One element in native byte order, which chunks that do not exist are made of.
    pub fn fill_value(&self) -> &[u8] {
        &self.fill_value
    }

    /// The attributes, as a JSON object.
    pub fn attributes_json(&self) -> String {
        Value::Object(self.array.attributes().clone()).to_string()
    }

    /// The format version, 2 or 3.
    pub fn format(&self) -> u8 {
        self.format
    }

    /// The store's folder.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// The array's path in the store.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Copies the box of `count` elements from `start` on to `out + index·strides` in native byte order.
    ///
    /// # Safety
    /// For every index below `count`, `itemsize` bytes at that place must be writable, and nobody else may use them during the
    /// call. They need not be initialised.
    pub unsafe fn read_region(
        &self,
        start: &[u64],
        count: &[u64],
        out: *mut u8,
        strides: &[isize],
    ) -> Result<()> {
        self.for_each_piece(start, count, strides, |pieces, offset| {
            // SAFETY: the pieces are the part of the region that lies in one chunk, so the caller's promise covers it.
            unsafe { self.read_piece(pieces, out.offset(offset), strides) }
        })
    }

    /// Writes the box of `count` elements from `start` on, taking element `index` from `source + index·strides`.
    ///
    /// Threads may write different boxes at once, also within a chunk: a chunk that is written in part is read, changed and
    /// written back under a lock. The lock is this value's own; other openings of the array and other processes do not know it.
    ///
    /// # Safety
    /// For every index below `count`, `itemsize` initialised bytes at that place must be readable during the call.
    pub unsafe fn write_region(
        &self,
        start: &[u64],
        count: &[u64],
        source: *const u8,
        strides: &[isize],
    ) -> Result<()> {
        self.for_each_piece(start, count, strides, |pieces, offset| {
            // SAFETY: the pieces are the part of the region that lies in one chunk, so the caller's promise covers it.
            unsafe { self.write_piece(pieces, source.offset(offset), strides) }
        })
    }

    /// Writes one chunk (one shard) from packed row-major bytes. At the upper edges only the part inside the array is given.
    pub fn write_chunk(&self, chunk: &[u64], bytes: &[u8]) -> Result<()> {
        let fits = chunk.len() == self.shape.len()
            && (0..chunk.len()).all(|axis| {
                chunk[axis].checked_mul(self.chunk_shape[axis]).is_some_and(|first| first < self.shape[axis])
            });
        if !fits {
            let grid: Vec<u64> =
                self.shape.iter().zip(&self.chunk_shape).map(|(&n, &len)| n.div_ceil(len)).collect();
            return Err(self.at().chunk_error(Some(chunk), "write", format!("the grid has {grid:?} chunks")));
        }
        let start: Vec<u64> = chunk.iter().zip(&self.chunk_shape).map(|(&n, &len)| n * len).collect();
        let count: Vec<u64> =
            (0..chunk.len()).map(|axis| self.chunk_shape[axis].min(self.shape[axis] - start[axis])).collect();
        if byte_len(&count, self.element.itemsize) != Some(bytes.len()) {
            let reason = format!("{} bytes given for a chunk of shape {count:?}", bytes.len());
            return Err(self.at().chunk_error(Some(chunk), "write", reason));
        }
        let strides = row_major_strides(&count, self.element.itemsize);
        // SAFETY: `bytes` is exactly the packed box.
        unsafe { self.write_region(&start, &count, bytes.as_ptr(), &strides) }
    }

    /// Replaces the attributes by a JSON object.
    pub fn set_attributes_json(&mut self, json: &str) -> Result<()> {
        let parsed: serde_json::Map<String, Value> =
            serde_json::from_str(json).map_err(|error| self.at().user("set the attributes of", error))?;
        // The file is changed as a document, so that what this crate does not know in it stays as it is.
        let (file, document) = match self.format {
            2 => (".zattrs", Value::Object(parsed.clone())),
            _ => {
                let mut document = read_metadata(self.at(), &self.folder)?;
                document["attributes"] = Value::Object(parsed.clone());
                ("zarr.json", document)
            }
        };
        write_json(&self.folder.join(file), &document)?;
        *self.array.attributes_mut() = parsed;
        Ok(())
    }

    fn at(&self) -> Place<'_> {
        Place { store: &self.store, name: &self.name }
    }

    /// Calls `visit` for the part of the region in each chunk, with that part's byte offset in the caller's memory.
    fn for_each_piece(
        &self,
        start: &[u64],
        count: &[u64],
        strides: &[isize],
        mut visit: impl FnMut(&[AxisPiece], isize) -> Result<()>,
    ) -> Result<()> {
        let step = vec![1; self.shape.len()];
        let region = Region::new(&self.shape, start, &step, count, strides.len())?;
        if region.is_empty() {
            return Ok(());
        }
        let axes: Vec<_> = (0..start.len())
            .map(|axis| axis_pieces(start[axis], 1, count[axis], self.chunk_shape[axis]))
            .collect();
        for_each_chunk(&axes, |pieces| {
            let offset =
                pieces.iter().zip(strides).map(|(piece, stride)| piece.position as isize * stride).sum();
            visit(pieces, offset)
        })
    }

    /// # Safety
    /// As [`ZarrArray::read_region`], for the box of the pieces' counts at `out`.
    unsafe fn read_piece(&self, pieces: &[AxisPiece], out: *mut u8, strides: &[isize]) -> Result<()> {
        let (chunk, start, count) = split(pieces);
        let itemsize = self.element.itemsize;
        // Inner chunks of a shard are decoded one by one. Elsewhere a part costs as much as the whole.
        if self.inner_chunk_shape.is_some() && count != self.chunk_shape {
            let subset = ArraySubset::new_with_start_shape(start, count.clone())
                .map_err(|error| self.at().chunk_error(Some(&chunk), "read", error))?;
            let part: ArrayBytes<'_> = self
                .array
                .retrieve_chunk_subset_opt(&chunk, &subset, &self.options)
                .map_err(|error| self.at().array_error("read", &chunk, error))?;
            let part = self.fixed(part, &chunk, &count)?;
            let packed = row_major_strides(&count, itemsize);
            // SAFETY: `part` is the packed box, whose length was checked; the caller vouches for the output.
            unsafe { copy_box(part.as_ptr(), &packed, out, strides, &count, itemsize) };
            return Ok(());
        }
        match self.decode_chunk(&chunk)? {
            // SAFETY: the caller's promise, and the fill value is one element.
            None => unsafe { fill_box(&self.fill_value, out, strides, &count) },
            Some(bytes) => {
                let packed = row_major_strides(&self.chunk_shape, itemsize);
                let first: isize = start.iter().zip(&packed).map(|(&n, stride)| n as isize * stride).sum();
                // SAFETY: the piece lies inside the chunk, whose length was checked; the caller vouches for the output.
                unsafe { copy_box(bytes.as_ptr().offset(first), &packed, out, strides, &count, itemsize) };
            }
        }
        Ok(())
    }

    /// # Safety
    /// As [`ZarrArray::write_region`], for the box of the pieces' counts at `source`.
    unsafe fn write_piece(&self, pieces: &[AxisPiece], source: *const u8, strides: &[isize]) -> Result<()> {
        let (chunk, start, count) = split(pieces);
        let itemsize = self.element.itemsize;
        let packed = row_major_strides(&self.chunk_shape, itemsize);
        let covers = |axis: usize| {
            let inside = self.shape[axis] - chunk[axis] * self.chunk_shape[axis];
            start[axis] == 0 && count[axis] == inside.min(self.chunk_shape[axis])
        };
        // The lock is needed for chunks that are read first; taking it always costs nothing beside the encoding.
        let _lock = self.lock(&chunk);
        let old = if (0..count.len()).all(covers) { None } else { self.decode_chunk(&chunk)? };
        let mut bytes = match old {
            Some(bytes) => bytes,
            None => {
                let len = byte_len(&self.chunk_shape, itemsize).unwrap_or(0);
                let mut bytes = Vec::new();
                bytes
                    .try_reserve_exact(len)
                    .map_err(|_| Error::OutOfMemory { bytes: len as u64, what: "a chunk".into() })?;
                bytes.resize(len, 0);
                if count != self.chunk_shape {
                    // SAFETY: the buffer holds one packed chunk.
                    unsafe { fill_box(&self.fill_value, bytes.as_mut_ptr(), &packed, &self.chunk_shape) };
                }
                bytes
            }
        };
        let first: isize = start.iter().zip(&packed).map(|(&n, stride)| n as isize * stride).sum();
        // SAFETY: the piece lies inside the chunk, which `bytes` holds; the caller vouches for the source.
        unsafe { copy_box(source, strides, bytes.as_mut_ptr().offset(first), &packed, &count, itemsize) };
        self.array
            .store_chunk_opt(&chunk, ArrayBytes::new_flen(bytes), &self.options)
            .map_err(|error| self.at().array_error("write", &chunk, error))
    }

    /// A whole chunk in native order, or `None` where it does not exist.
    fn decode_chunk(&self, chunk: &[u64]) -> Result<Option<Vec<u8>>> {
        let decoded: Option<ArrayBytes<'_>> = self
            .array
            .retrieve_chunk_if_exists_opt(chunk, &self.options)
            .map_err(|error| self.at().array_error("read", chunk, error))?;
        decoded.map(|bytes| self.fixed(bytes, chunk, &self.chunk_shape)).transpose()
    }

    /// The bytes of a decoded box, once their length is what `count` elements take.
    fn fixed(&self, bytes: ArrayBytes<'_>, chunk: &[u64], count: &[u64]) -> Result<Vec<u8>> {
        let bytes = bytes.into_fixed().map_err(|error| self.at().chunk_error(Some(chunk), "read", error))?;
        if byte_len(count, self.element.itemsize) != Some(bytes.len()) {
            let reason = format!("{} decoded bytes for {count:?} elements", bytes.len());
            return Err(self.at().chunk_error(Some(chunk), "read", reason));
        }
        Ok(bytes.into_owned())
    }

    fn lock(&self, chunk: &[u64]) -> MutexGuard<'_, ()> {
        let mixed = chunk.iter().fold(0u64, |hash, &n| hash.wrapping_mul(31).wrapping_add(n));
        // A panic under the lock leaves at worst an old chunk in place, so a poisoned lock is as good as another.
        self.write_locks[(mixed % WRITE_LOCKS as u64) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The metadata document of the array in `folder`, of format 3 where both are there, with the attributes of format 2 put in.
fn read_metadata(at: Place<'_>, folder: &Path) -> Result<Value> {
    let read = |name: &str| -> Result<Option<Value>> {
        let path = folder.join(name);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::file(&path, "read")(error)),
        };
        let parsed = serde_json::from_slice::<Value>(&text)
            .map_err(|error| at.user("open", format!("{name}: {error}")));
        parsed.and_then(|value| match value {
            Value::Object(_) => Ok(Some(value)),
            _ => Err(at.user("open", format!("{name} is not a JSON object"))),
        })
    };
    if let Some(document) = read("zarr.json")? {
        if document["node_type"] == "group" {
            return Err(at.user("open", format!("it is a group of: {}", list_names(folder))));
        }
        return Ok(document);
    }
    if let Some(mut document) = read(".zarray")? {
        if let Some(attributes) = read(".zattrs")? {
            document["attributes"] = attributes;
        }
        return Ok(document);
    }
    if folder.join(".zgroup").exists() {
        return Err(at.user("open", format!("it is a group of: {}", list_names(folder))));
    }
    Err(at.user("open", format!("there is no array of this name; the store has: {}", list_names(at.store))))
}

/// Runs `work` where `zarrs` asks rayon for a number of threads and is told one.
///
/// Asked anywhere else, rayon would start its global pool, one thread a processor, beside the caller's own pool. Reading and writing
/// do not ask: they are given their options.
fn without_rayons_pool<T: Send>(at: Place<'_>, work: impl FnOnce() -> T + Send) -> Result<T> {
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| at.error(Family::Resource, None, "open", error))?;
    Ok(pool.install(work))
}

/// Writes a small file whole or not at all.
pub(crate) fn write_json(path: &Path, document: &Value) -> Result<()> {
    let temporary = temporary_beside(path);
    let written = std::fs::write(&temporary, format!("{document:#}\n"))
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(Error::file(path, "write"));
    if written.is_err() {
        let _ = std::fs::remove_file(temporary);
    }
    written
}

/// The document as `zarrs` shall see it: it does not know the dates of format 2, which are stored as integers of 8 bytes.
fn dates_as_integers(metadata: &Value) -> Value {
    let mut document = metadata.clone();
    let descr = document["dtype"].as_str().unwrap_or_default();
    if document["zarr_format"] == 2 && matches!(descr.get(1..3), Some("M8" | "m8")) {
        document["dtype"] = Value::from(format!("{}i8", &descr[..1]));
        if document["fill_value"] == "NaT" {
            document["fill_value"] = Value::from(i64::MIN);
        }
    }
    document
}

fn split(pieces: &[AxisPiece]) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
    let chunk = pieces.iter().map(|piece| piece.chunk).collect();
    let start = pieces.iter().map(|piece| piece.start).collect();
    (chunk, start, pieces.iter().map(|piece| piece.count).collect())
}

/// Which array an error is about.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub store: &'a Path,
    pub name: &'a str,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "array '{}' in Zarr store '{}'", self.name, self.store.display())
    }
}

impl Place<'_> {
    pub fn folder(&self) -> PathBuf {
        if self.name.is_empty() { self.store.to_path_buf() } else { self.store.join(self.name) }
    }

    pub fn error(
        &self,
        family: Family,
        chunk: Option<&[u64]>,
        action: &'static str,
        reason: impl ToString,
    ) -> Error {
        Error::Zarr {
            store: self.store.to_path_buf(),
            array: self.name.to_string(),
            chunk: chunk.map(<[u64]>::to_vec),
            action,
            reason: reason.to_string(),
            family,
        }
    }

    pub fn user(&self, action: &'static str, reason: impl ToString) -> Error {
        self.error(Family::User, None, action, reason)
    }

    pub fn chunk_error(&self, chunk: Option<&[u64]>, action: &'static str, reason: impl ToString) -> Error {
        self.error(Family::User, chunk, action, reason)
    }

    pub fn storage(&self, action: &'static str, chunk: Option<&[u64]>, error: StorageError) -> Error {
        let family = if matches!(error, StorageError::IOError(_)) { Family::Resource } else { Family::User };
        self.error(family, chunk, action, error)
    }

    fn array_error(&self, action: &'static str, chunk: &[u64], error: ArrayError) -> Error {
        let family = match &error {
            ArrayError::StorageError(StorageError::IOError(_))
            | ArrayError::CodecError(CodecError::StorageError(StorageError::IOError(_))) => Family::Resource,
            _ => Family::User,
        };
        self.error(family, Some(chunk), action, error)
    }

    pub fn create_error(&self, error: ArrayCreateError) -> Error {
        match error {
            ArrayCreateError::StorageError(error) => self.storage("open", None, error),
            ArrayCreateError::DataTypeCreateError(_)
            | ArrayCreateError::CodecsCreateError(_)
            | ArrayCreateError::StorageTransformersCreateError(_)
            | ArrayCreateError::ChunkGridCreateError(_)
            | ArrayCreateError::ChunkKeyEncodingCreateError(_)
            | ArrayCreateError::AdditionalFieldUnsupportedError(_) => {
                self.error(Family::Unsupported, None, "open", error)
            }
            other => self.user("open", other),
        }
    }
}

/// The names of the arrays and groups in a folder, a dozen at most, for messages.
fn list_names(folder: &Path) -> String {
    let has_metadata =
        |folder: &Path| ["zarr.json", ".zarray", ".zgroup"].iter().any(|file| folder.join(file).exists());
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok());
    let mut names: Vec<String> = entries
        .filter(|entry| has_metadata(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    if names.is_empty() {
        return "nothing".into();
    }
    names.sort_unstable();
    names.truncate(12);
    names.join(", ")
}
