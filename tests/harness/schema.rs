//! What the description of the API says of a value, by the validator that check-jsonschema brings: a schema of OpenAPI 3.1 is
//! one of JSON Schema 2020-12.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

const SCRIPT: &str = "import sys, json\nfrom jsonschema import Draft202012Validator as V\n\
    asked = json.load(sys.stdin)\nV.check_schema(asked['schema'])\n\
    faults = V(asked['schema'], format_checker=V.FORMAT_CHECKER).iter_errors(asked['value'])\n\
    print(json.dumps([f'{fault.json_path}: {fault.message}' for fault in faults]))";

/// What is wrong with a value by a schema of this document.
///
/// # Errors
/// When the schema is none, or there is no validator.
pub fn faults(document: &Value, schema: &Value, value: &Value) -> Result<Vec<String>> {
    let mut schema = schema.clone();
    // where its references lead
    schema.as_object_mut().context("a schema")?.insert("components".to_owned(), document["components"].clone());
    let mut python = Command::new(crate::checks())
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("tests/run installs the validator")?;
    let asked = serde_json::to_vec(&json!({ "schema": schema, "value": value }))?;
    python.stdin.take().context("a pipe")?.write_all(&asked)?;
    let output = python.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
