//! What a part is made of, and the key that this gives it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::{Hasher, Sha256};
use crate::enter;

/// Form of recipes. Changes when their meaning does.
const FORM: u32 = 1;
/// One second after the epoch, because some tools take 0 for "not set".
const SOURCE_DATE_EPOCH: &str = "1";

/// An extracted root and the digest of what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// Digest of the lock and rules that it was extracted by.
    pub key: Sha256,
}

/// A build step.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// Name for people and logs: letters, digits and hyphens.
    pub name: &'a str,
    /// Where the script runs.
    pub root: &'a Root,
    /// What it sees besides the root, read-only, by absolute path inside.
    pub inputs: BTreeMap<String, Source>,
    /// Folders of the store that scripts may share between builds, by absolute path inside. Their content must
    /// never change the outputs.
    pub caches: BTreeMap<String, String>,
    /// The script, for `/bin/sh -eu`. It works in `/build`, which is empty and writable, and puts into `/out`.
    pub script: &'a str,
    /// Environment besides the fixed one (`PATH HOME LC_ALL TZ SOURCE_DATE_EPOCH JOBS`).
    pub env: BTreeMap<String, String>,
    /// What must be in `/out` afterwards, files or folders; anything else there is an error.
    pub outputs: Vec<String>,
}

/// Where an input's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file whose SHA-256 is known.
    File {
        /// On the host.
        host: PathBuf,
        /// Of its bytes.
        sha256: Sha256,
    },
    /// A folder and a digest that stands for its content.
    Dir {
        /// On the host.
        host: PathBuf,
        /// Of its content, or of what determines its content.
        digest: Sha256,
    },
    /// A file with these bytes.
    Text(String),
}

/// Everything that determines the bytes of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    form: u32,
    enter_form: u32,
    name: String,
    root: Sha256,
    script: Sha256,
    env: BTreeMap<String, String>,
    inputs: BTreeMap<String, (String, Sha256)>,
    outputs: Vec<String>,
}

impl Source {
    /// Kind and digest.
    fn recipe(&self) -> (String, Sha256) {
        match self {
            Self::File { sha256, .. } => ("file".to_owned(), *sha256),
            Self::Dir { digest, .. } => ("dir".to_owned(), *digest),
            Self::Text(text) => ("file".to_owned(), Sha256::of(text.as_bytes())),
        }
    }
}

impl Part<'_> {
    /// The list of everything that determines the outputs.
    #[must_use]
    pub fn recipe(&self) -> Recipe {
        let mut outputs = self.outputs.clone();
        outputs.sort();
        Recipe {
            form: FORM,
            enter_form: enter::FORM,
            name: self.name.to_owned(),
            root: self.root.key,
            script: Sha256::of(self.script.as_bytes()),
            env: self.fixed_env(),
            inputs: self
                .inputs
                .iter()
                .map(|(inside, source)| (inside.clone(), source.recipe()))
                .collect(),
            outputs,
        }
    }

    /// The environment without `JOBS`; what is fixed wins.
    pub(super) fn fixed_env(&self) -> BTreeMap<String, String> {
        let fixed = [
            ("PATH", "/usr/bin:/usr/sbin"),
            ("HOME", "/build"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH),
        ];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.env.clone().into_iter().chain(fixed).collect()
    }
}

impl Recipe {
    /// SHA-256 over every field.
    #[must_use]
    pub fn key(&self) -> Sha256 {
        let mut hasher = Hasher::new();
        let mut list = |title: &str, items: &[&[u8]]| {
            hasher.field(title.as_bytes());
            hasher.field(&(items.len() as u64).to_be_bytes());
            for item in items {
                hasher.field(item);
            }
        };
        list(
            "part",
            &[
                &self.form.to_be_bytes(),
                &self.enter_form.to_be_bytes(),
                self.name.as_bytes(),
            ],
        );
        list("root", &[self.root.as_bytes()]);
        list("script", &[self.script.as_bytes()]);
        for (name, value) in &self.env {
            list("env", &[name.as_bytes(), value.as_bytes()]);
        }
        for (inside, (kind, digest)) in &self.inputs {
            list("input", &[inside.as_bytes(), kind.as_bytes(), digest.as_bytes()]);
        }
        for output in &self.outputs {
            list("output", &[output.as_bytes()]);
        }
        hasher.finish()
    }
}
