//! What a row of the option tables says, and where in the command line it belongs. No values here.

/// A command of the command line. Options of a command stand after its name and before the next command's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The program itself: global options.
    Web3signer,
    /// The only mode of this signer.
    Eth2,
    /// Reads an EIP-3076 file into the slashing protection store.
    Import,
    /// Writes the slashing protection store to an EIP-3076 file.
    Export,
    /// Raises low watermarks, sets or removes the high watermark.
    WatermarkRepair,
}

impl Level {
    /// Every level, parents first.
    pub const ALL: [Self; 5] = [
        Self::Web3signer,
        Self::Eth2,
        Self::Import,
        Self::Export,
        Self::WatermarkRepair,
    ];

    /// The word of the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Web3signer => "web3signer",
            Self::Eth2 => "eth2",
            Self::Import => "import",
            Self::Export => "export",
            Self::WatermarkRepair => "watermark-repair",
        }
    }

    /// The command that this one stands behind.
    #[must_use]
    pub fn parent(self) -> Option<Self> {
        match self {
            Self::Web3signer => None,
            Self::Eth2 => Some(Self::Web3signer),
            Self::Import | Self::Export | Self::WatermarkRepair => Some(Self::Eth2),
        }
    }

    /// The commands that may follow this one.
    pub fn children(self) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |level| level.parent() == Some(self))
    }

    /// The command of this name behind this one.
    #[must_use]
    pub fn child(self, name: &str) -> Option<Self> {
        self.children().find(|level| level.name() == name)
    }

    /// The names from the first mode on: empty for global options, `["eth2", "import"]` for an import.
    #[must_use]
    pub fn path(self) -> Vec<&'static str> {
        let mut names = Vec::new();
        let mut level = self;
        while let Some(parent) = level.parent() {
            names.insert(0, level.name());
            level = parent;
        }
        names
    }
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` when named; `--option=false` unsays it. Never takes the next word.
    Switch,
    /// `true` or `false`, which must be given.
    Boolean,
    /// A number from `min` to 2^31-1.
    Int {
        /// The least value.
        min: i64,
    },
    /// A number up to 2^63-1. The ranges of these are checked with the other rules of the configuration.
    Long,
    /// An unsigned 64-bit number.
    Unsigned,
    /// Any text: a host, a URL, a path.
    Text,
    /// As `Text`, never shown.
    Secret,
    /// Texts with commas between; may be given more than once.
    List,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
}

/// What the option does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// What it does upstream.
    Works,
    /// An option of this signer that upstream does not have.
    Own,
    /// Accepted so that command lines keep working; changes nothing, for this reason.
    Nothing(&'static str),
    /// Refused by name, for this reason. The value `false` is not refused: it asks for nothing.
    Refused(&'static str),
}

/// A row of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    /// Where it may stand.
    pub level: Level,
    /// Names with their dashes. The first is the key everywhere in this program.
    pub names: &'static [&'static str],
    /// What its value looks like.
    pub kind: Kind,
    /// The value's name in help and errors.
    pub label: &'static str,
    /// What holds when nobody says otherwise. `None`: not set.
    pub default: Option<&'static str>,
    /// What it does.
    pub effect: Effect,
    /// Not listed in help.
    pub hidden: bool,
    /// One sentence for help.
    pub help: &'static str,
}

impl Opt {
    /// The key under which its value is kept.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// The name that messages use: the longest, as upstream does.
    #[must_use]
    pub fn longest(&self) -> &'static str {
        let mut longest = self.key();
        for name in self.names {
            if name.len() > longest.len() {
                longest = name;
            }
        }
        longest
    }

    /// `WEB3SIGNER_ETH2_NETWORK` and so on, one for each name.
    pub fn variables(&self) -> impl Iterator<Item = String> {
        self.bare_names().map(|name| {
            let mut parts = vec!["web3signer"];
            parts.extend(self.level.path());
            parts.push(name);
            parts.join("_").replace('-', "_").to_uppercase()
        })
    }

    /// `eth2.network` and so on, one for each name.
    pub fn file_keys(&self) -> impl Iterator<Item = String> {
        self.bare_names().map(|name| {
            let mut parts = self.level.path();
            parts.push(name);
            parts.join(".")
        })
    }

    fn bare_names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().map(|name| name.trim_start_matches('-'))
    }
}
