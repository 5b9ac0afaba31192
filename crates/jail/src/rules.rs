//! What confines a program, as plain data: made by the worker alone, and put on by two who add nothing, the launcher
//! ([`apply`](crate::apply)) and the forked child of a warm extractor (`server.py`).

use std::path::PathBuf;

use seccompiler::{BpfProgram, sock_filter};
use serde::{Deserialize, Serialize};

/// Everything that confines a program beside its limits and namespaces. Rights are those of Landlock, as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// What it sees: a path, and the rights to it and to all below it. What is not there is left out.
    pub files: Vec<(PathBuf, u64)>,
    /// The rights that it has nowhere else.
    pub handled_files: u64,
    /// The same of TCP; 0: Landlock knows none here.
    pub handled_ports: u64,
    /// What is kept within: signals, abstract sockets.
    pub scopes: u64,
    /// The TCP port that it may connect to.
    pub port: Option<u16>,
    /// It keeps none of the capabilities that the worker may have.
    pub gives_up_capabilities: bool,
    /// Filters of system calls, all of which hold.
    pub filters: Vec<Filter>,
}

/// A filter of system calls (`seccomp(2)`): instructions of eight bytes each, in hexadecimal digits, which every reader of
/// JSON can take apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter(String);

impl Filter {
    /// This one, as text.
    #[must_use]
    pub fn of(program: &BpfProgram) -> Self {
        let instruction = |one: &sock_filter| {
            let [c0, c1] = one.code.to_ne_bytes();
            let [k0, k1, k2, k3] = one.k.to_ne_bytes();
            [c0, c1, one.jt, one.jf, k0, k1, k2, k3]
        };
        let mut text = String::with_capacity(program.len() * 16);
        for byte in program.iter().flat_map(instruction) {
            let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
            text.extend([digit(byte >> 4), digit(byte & 0xf)]);
        }
        Self(text)
    }

    /// The instructions; `None`: these are none.
    pub(crate) fn program(&self) -> Option<BpfProgram> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
        let (pairs, odd) = self.0.as_bytes().as_chunks::<2>();
        let bytes = pairs.iter().map(byte).collect::<Option<Vec<_>>>()?;
        let (instructions, rest) = bytes.as_chunks::<8>();
        let instruction = |[c0, c1, jt, jf, k0, k1, k2, k3]: &[u8; 8]| sock_filter {
            code: u16::from_ne_bytes([*c0, *c1]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes([*k0, *k1, *k2, *k3]),
        };
        (odd.is_empty() && rest.is_empty()).then(|| instructions.iter().map(instruction).collect())
    }
}
