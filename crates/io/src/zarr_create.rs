//! Making new Zarr arrays, all or nothing.
//!
//! A [`ZarrWriter`] fills a hidden folder beside the target and moves it into place at the end, with the metadata of the groups
//! around it. Until then readers see what was there before; a writer that is dropped unfinished leaves no files behind.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::element::ElementLayout;
use crate::error::{Error, Result};
use crate::npy::temporary_beside;
use crate::region::byte_len;
use crate::zarr::{Place, ZarrArray, write_json};
use crate::zarr_dtype::{fill_value_json, metadata_of_descr};

/// What compresses a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// gzip, levels 0 to 9.
    Gzip {
        /// The level.
        level: u32,
    },
    /// zlib, levels 0 to 9, in format 2 only.
    Zlib {
        /// The level.
        level: u32,
    },
    /// Zstandard, levels −7 to 22; 0 is its default.
    Zstd {
        /// The level.
        level: i32,
    },
    /// Blosc, which shuffles bytes and compresses blocks.
    Blosc {
        /// The compressor inside: `"lz4"`, `"lz4hc"`, `"blosclz"`, `"zstd"`, `"zlib"` or `"snappy"`.
        codec: String,
        /// The level, 0 to 9.
        level: u32,
        /// What is shuffled before compression.
        shuffle: BloscShuffle,
    },
}

/// What Blosc rearranges before it compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BloscShuffle {
    /// Nothing.
    None,
    /// The bytes of elements.
    Byte,
    /// The bits of elements.
    Bit,
}

/// Describes an array to make.
#[derive(Clone, Debug)]
pub struct ZarrSpec {
    /// Its shape.
    pub shape: Vec<u64>,
    /// The shape of a chunk.
    pub chunks: Vec<u64>,
    /// The shape of a shard, a multiple of the chunk's: format 3 only.
    pub shards: Option<Vec<u64>>,
    /// NumPy's type string: booleans, numbers and dates. Files are little-endian.
    pub descr: String,
    /// One element in native byte order.
    pub fill_value: Vec<u8>,
    /// The compressor.
    pub compressor: Option<Compressor>,
    /// The format version, 2 or 3.
    pub format: u8,
    /// Whether an array or group that is already there is replaced.
    pub overwrite: bool,
    /// The attributes, as a JSON object; empty for none.
    pub attributes_json: String,
}

/// An array being written. Regions and chunks are written through [`ZarrWriter::array`].
#[derive(Debug)]
pub struct ZarrWriter {
    array: ZarrArray,
    store: PathBuf,
    name: String,
    format: u8,
    overwrite: bool,
    target: PathBuf,
    /// The folder being filled; `None` once it has been moved.
    temporary: Option<PathBuf>,
}

impl ZarrWriter {
    /// Begins the array `name` of the store in folder `store`; both are made where they are missing.
    pub fn create(store: &Path, name: &str, spec: &ZarrSpec) -> Result<Self> {
        let name = name.trim_matches('/');
        let at = Place { store, name };
        let hidden = |part: &str| part.is_empty() || part.starts_with('.') || part.starts_with("__");
        if !name.is_empty() && name.split('/').any(hidden) {
            return Err(
                at.user("create", "every part of a name must be nonempty and not begin with '.' or '__'")
            );
        }
        let mut metadata = metadata(at, spec)?;
        let target = at.folder();
        check_target(at, &target, spec.overwrite)?;
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            std::fs::create_dir_all(parent).map_err(Error::file(parent, "create"))?;
        }
        let temporary = temporary_beside(&target);
        std::fs::create_dir(&temporary).map_err(Error::file(&target, "create"))?;
        let made = (|| -> Result<ZarrArray> {
            match metadata.as_object_mut().and_then(|document| document.remove("attributes")) {
                Some(attributes) if spec.format == 2 => write_json(&temporary.join(".zattrs"), &attributes)?,
                Some(attributes) => metadata["attributes"] = attributes,
                None => {}
            }
            let file = if spec.format == 2 { ".zarray" } else { "zarr.json" };
            write_json(&temporary.join(file), &metadata)?;
            ZarrArray::open_folder(at, &temporary)
        })();
        match made {
            Ok(array) => Ok(Self {
                array,
                store: store.to_path_buf(),
                name: name.to_string(),
                format: spec.format,
                overwrite: spec.overwrite,
                target,
                temporary: Some(temporary),
            }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&temporary);
                Err(error)
            }
        }
    }

    /// The array, to be written to (and read back).
    pub fn array(&self) -> &ZarrArray {
        &self.array
    }

    /// Moves the array into its place and opens it there. It does not wait for the disk.
    pub fn finish(mut self) -> Result<ZarrArray> {
        let at = Place { store: &self.store, name: &self.name };
        let Some(temporary) = self.temporary.clone() else {
            return Err(Error::Bug("a Zarr writer was finished twice".into()));
        };
        check_target(at, &self.target, self.overwrite)?;
        write_groups(at, self.format)?;
        // A folder cannot be renamed over a full one, so what was there steps aside first and is removed last.
        let old = temporary_beside(&self.target);
        let mut had_old = false;
        if std::fs::rename(&temporary, &self.target).is_err() {
            had_old = self.target.exists();
            if had_old {
                std::fs::rename(&self.target, &old).map_err(Error::file(&self.target, "replace"))?;
            }
            if let Err(error) = std::fs::rename(&temporary, &self.target) {
                if had_old {
                    let _ = std::fs::rename(&old, &self.target);
                }
                return Err(Error::file(&self.target, "create")(error));
            }
        }
        self.temporary = None;
        if had_old {
            std::fs::remove_dir_all(&old).map_err(Error::file(&old, "remove"))?;
        }
        ZarrArray::open(&self.store, &self.name)
    }
}

impl Drop for ZarrWriter {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // Nothing can be done about a failure here, and the name says that the folder is partial.
            let _ = std::fs::remove_dir_all(temporary);
        }
    }
}

const NODE_FILES: [&str; 3] = ["zarr.json", ".zarray", ".zgroup"];

/// Refuses a target that may not be replaced: another array without leave, a folder or file that is no Zarr node.
fn check_target(at: Place<'_>, target: &Path, overwrite: bool) -> Result<()> {
    let mut above = at.store.to_path_buf();
    for part in at.name.split('/').filter(|part| !part.is_empty()) {
        if is_array(&above) {
            return Err(at.user("create", format!("'{}' is an array, not a group", above.display())));
        }
        above.push(part);
    }
    let Ok(mut entries) = std::fs::read_dir(target) else {
        if target.exists() {
            return Err(at.user("create", "a file of this name exists"));
        }
        return Ok(());
    };
    if entries.next().is_none() {
        return Ok(());
    }
    if !NODE_FILES.iter().any(|file| target.join(file).exists()) {
        return Err(at.user("create", "a folder of this name exists that is no Zarr array or group"));
    }
    if !overwrite {
        return Err(at.user("create", "it exists; allow overwriting, or choose another name"));
    }
    Ok(())
}

fn is_array(folder: &Path) -> bool {
    let v3 = || {
        let text = std::fs::read(folder.join("zarr.json")).ok()?;
        let metadata: Value = serde_json::from_slice(&text).ok()?;
        Some(metadata["node_type"] == "array")
    };
    folder.join(".zarray").exists() || v3().unwrap_or(false)
}

/// Makes groups of the folders above the array that are none yet.
fn write_groups(at: Place<'_>, format: u8) -> Result<()> {
    let mut folder = at.store.to_path_buf();
    for part in at.name.split('/').filter(|part| !part.is_empty()) {
        if !NODE_FILES.iter().any(|file| folder.join(file).exists()) {
            let (file, metadata) = match format {
                2 => (".zgroup", json!({"zarr_format": 2})),
                _ => ("zarr.json", json!({"zarr_format": 3, "node_type": "group", "attributes": {}})),
            };
            write_json(&folder.join(file), &metadata)?;
        }
        folder.push(part);
    }
    Ok(())
}

/// The array's metadata document. Bad arguments are refused here, in our words.
fn metadata(at: Place<'_>, spec: &ZarrSpec) -> Result<Value> {
    let fail = |reason: String| at.user("create", reason);
    let element = ElementLayout::from_descr(&spec.descr).filter(ElementLayout::is_valid);
    let unsupported = || Error::Unsupported {
        what: format!("dtype {} in {at}", spec.descr),
        reason: "elements must be booleans, numbers or dates; write it through zarr-python".into(),
    };
    let (data_type, element) = metadata_of_descr(&spec.descr).zip(element).ok_or_else(unsupported)?;
    let fill_value = fill_value_json(&spec.descr, &spec.fill_value)
        .filter(|_| spec.fill_value.len() == element.itemsize)
        .ok_or_else(|| fail(format!("a fill value of {} bytes for {}", spec.fill_value.len(), spec.descr)))?;
    let stored = spec.shards.as_ref().unwrap_or(&spec.chunks);
    for (what, lengths) in [("chunks", &spec.chunks), ("shards", stored)] {
        if lengths.len() != spec.shape.len() || lengths.contains(&0) {
            return Err(fail(format!("{what} of shape {lengths:?} for an array of shape {:?}", spec.shape)));
        }
    }
    if stored.iter().zip(&spec.chunks).any(|(shard, chunk)| shard % chunk != 0) {
        return Err(fail(format!(
            "shards of {stored:?} are not whole numbers of chunks of {:?}",
            spec.chunks
        )));
    }
    if byte_len(stored, element.itemsize).zip(byte_len(&spec.shape, element.itemsize)).is_none() {
        return Err(fail(format!(
            "shape {:?} in chunks of {stored:?} exceeds the address space",
            spec.shape
        )));
    }
    let attributes: Value = match spec.attributes_json.as_str() {
        "" => json!({}),
        text => serde_json::from_str(text)
            .map_err(|error| fail(format!("the attributes are no JSON: {error}")))?,
    };
    if !attributes.is_object() {
        return Err(fail("the attributes are no JSON object".into()));
    }
    Ok(match spec.format {
        2 if spec.shards.is_some() => return Err(fail("format 2 has no shards; use format 3".into())),
        2 => json!({
            "zarr_format": 2, "shape": spec.shape, "chunks": spec.chunks, "dtype": little_endian(&spec.descr),
            "compressor": spec.compressor.as_ref().map(|one| compressor_v2(at, one)).transpose()?,
            "fill_value": fill_value, "order": "C", "filters": null, "dimension_separator": ".",
            "attributes": attributes,
        }),
        3 => {
            let mut codecs = vec![json!({"name": "bytes", "configuration": {"endian": "little"}})];
            if let Some(one) = &spec.compressor {
                codecs.push(compressor_v3(at, one, element.itemsize)?);
            }
            if spec.shards.is_some() {
                let index =
                    json!([{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]);
                codecs = vec![json!({"name": "sharding_indexed", "configuration": {
                    "chunk_shape": spec.chunks, "codecs": codecs, "index_codecs": index, "index_location": "end",
                }})];
            }
            json!({
                "zarr_format": 3, "node_type": "array", "shape": spec.shape, "data_type": data_type,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored}},
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                "fill_value": fill_value, "codecs": codecs, "attributes": attributes,
            })
        }
        other => return Err(fail(format!("format {other} is unknown; choose 2 or 3"))),
    })
}

fn little_endian(descr: &str) -> String {
    match descr.strip_prefix(['<', '>', '=']) {
        Some(rest) => format!("<{rest}"),
        None => descr.to_string(),
    }
}

const BLOSC_CODECS: [&str; 6] = ["lz4", "lz4hc", "blosclz", "zstd", "zlib", "snappy"];

fn check_compressor(at: Place<'_>, compressor: &Compressor) -> Result<()> {
    let level_fits = match compressor {
        Compressor::Gzip { level } | Compressor::Zlib { level } | Compressor::Blosc { level, .. } => {
            *level <= 9
        }
        Compressor::Zstd { level } => (-7..=22).contains(level),
    };
    if !level_fits {
        return Err(at.user("create", format!("the level of {compressor:?}: 0 to 9, zstd −7 to 22")));
    }
    match compressor {
        Compressor::Blosc { codec, .. } if !BLOSC_CODECS.contains(&codec.as_str()) => {
            Err(at.user("create", format!("blosc has no codec '{codec}'; choose from {BLOSC_CODECS:?}")))
        }
        _ => Ok(()),
    }
}

fn compressor_v2(at: Place<'_>, compressor: &Compressor) -> Result<Value> {
    check_compressor(at, compressor)?;
    Ok(match compressor {
        Compressor::Gzip { level } => json!({"id": "gzip", "level": level}),
        Compressor::Zlib { level } => json!({"id": "zlib", "level": level}),
        Compressor::Zstd { level } => json!({"id": "zstd", "level": level, "checksum": false}),
        Compressor::Blosc { codec, level, shuffle } => {
            json!({"id": "blosc", "cname": codec, "clevel": level, "shuffle": *shuffle as u8, "blocksize": 0})
        }
    })
}

fn compressor_v3(at: Place<'_>, compressor: &Compressor, itemsize: usize) -> Result<Value> {
    check_compressor(at, compressor)?;
    let (name, configuration) = match compressor {
        Compressor::Gzip { level } => ("gzip", json!({"level": level})),
        Compressor::Zlib { .. } => {
            return Err(at.user("create", "format 3 has no zlib; use gzip, or format 2"));
        }
        Compressor::Zstd { level } => ("zstd", json!({"level": level, "checksum": false})),
        Compressor::Blosc { codec, level, shuffle } => {
            let shuffle = match shuffle {
                BloscShuffle::None => "noshuffle",
                BloscShuffle::Byte => "shuffle",
                BloscShuffle::Bit => "bitshuffle",
            };
            let configuration = json!({"cname": codec, "clevel": level, "shuffle": shuffle, "typesize": itemsize, "blocksize": 0});
            ("blosc", configuration)
        }
    };
    Ok(json!({"name": name, "configuration": configuration}))
}
