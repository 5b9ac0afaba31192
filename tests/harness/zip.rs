//! What a ZIP holds, as a reader that is not ours finds it: Python's, which knows zip64 and checks every sum.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

const READ: &str = r#"
import hashlib, json, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    print(json.dumps([{
        'name': one.filename, 'size_bytes': one.file_size, 'sha256': hashlib.sha256(archive.read(one)).hexdigest(),
        'modified': one.date_time, 'is_stored': one.compress_type == zipfile.ZIP_STORED,
    } for one in archive.infolist()]))
"#;

/// One file of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Zipped {
    /// What it is called.
    pub name: String,
    /// How large it is.
    pub size_bytes: u64,
    /// Hex, of its bytes.
    pub sha256: String,
    /// Year, month, day, hour, minute, second; of an even second.
    pub modified: [u16; 6],
    /// Are its bytes there as they are?
    pub is_stored: bool,
}

/// The files of a ZIP, in its order, each read to its end.
///
/// # Errors
/// When it is none, or something in it is not as it says.
pub fn read(zip: &Path) -> Result<Vec<Zipped>> {
    let python = crate::tools().join("python3");
    let output = Command::new(python).args(["-c", READ]).arg(zip).stdin(Stdio::null()).output().context("python3")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
