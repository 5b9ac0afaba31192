//! Where and with what a run was made, so that another can be laid beside it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::others::Programs;

/// What Python is asked: the versions of what takes part.
const VERSIONS: &str = "import importlib.metadata as m, platform
names = ['fastapi', 'uvicorn', 'uvloop', 'redis', 'hiredis', 'rq', 'celery', 'boto3', 'yt-dlp']
print('Python', platform.python_version() + ':', ', '.join(n + ' ' + m.version(n) for n in names))";

/// Date, machine and versions, in one paragraph.
///
/// # Errors
/// When the system does not tell.
pub fn told(programs: &Programs) -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = field(&cpu, "model name").unwrap_or("processor of unknown make");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib: f64 = field(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut parts = vec![
        jiff::Zoned::now().strftime("%Y-%m-%d").to_string(),
        format!("{cores} cores ({model})"),
        format!("{:.0} GB", kib * 1024.0 / 1e9),
        format!("Linux {}", kernel.trim()),
        format!("Haul {} ({})", env!("CARGO_PKG_VERSION"), if cfg!(debug_assertions) { "debug" } else { "release" }),
    ];
    parts.push(said("redis-server", &["--version"])?.split(" sha").next().unwrap_or_default().to_owned());
    if let Some(python) = &programs.python {
        parts.push(said(python, &["-c", VERSIONS])?);
    }
    if let Some(packages) = &programs.bullmq {
        let package = packages.join("bullmq/package.json");
        let package: serde_json::Value = serde_json::from_slice(&fs::read(package)?)?;
        parts.push(format!(
            "node {}: bullmq {}",
            said("node", &["--version"])?,
            package["version"].as_str().unwrap_or("?")
        ));
    }
    Ok(parts.join("; "))
}

/// How many wanted a core in the last minute, on average.
#[must_use]
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn said(program: impl AsRef<Path>, arguments: &[&str]) -> Result<String> {
    let program = program.as_ref();
    let output = Command::new(program).args(arguments).output().with_context(|| program.display().to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
