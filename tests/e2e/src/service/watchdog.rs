//! What the watchdog's configuration says in the tests, and a hand that reaches into its enclave.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use simulator::enclave::connect;

use crate::service::artefacts::{REGION, SERVER};
use crate::service::imds::Imds;
use crate::service::moto::Moto;
use crate::{place, probe};

/// A watchdog and what is around it.
pub struct Watching<'a> {
    pub image: &'a Path,
    pub deployment: &'a Value,
    /// Those of the vsock-proxy, as TOML.
    pub routes: &'a str,
    pub moto: &'a Moto,
    pub imds: &'a Imds,
    /// Has `signer.pem`, and `probe.pem` with `probe.key`, by which the watchdog looks at the signer.
    pub dir: &'a Path,
    /// The enclave's, of the simulator.
    pub sockets: &'a Path,
    pub console: &'a Path,
}

impl Watching<'_> {
    /// Sections of the parent's configuration.
    pub fn sections(&self) -> String {
        let run = format!(
            "exec {} run --emulator {} --dir {} {} >>{} 2>&1",
            place("NITRO_SIMULATOR").display(),
            place("NITRO_EMULATOR_DIR").display(),
            self.sockets.display(),
            self.image.display(),
            self.console.display()
        );
        let mut text = self.routes.to_owned();
        write!(
            text,
            "[service]\nserver_name = {SERVER:?}\ntrust = \"{}\"\nclient_certificate = \"{}\"\nclient_key = \"{}\"\naddress = \"HTTPS\"\n\
             [watchdog]\nimds_endpoint = {:?}\nmetrics = \"METRICS\"\n\
             [watchdog.enclave]\nlauncher = \"command\"\nwords = [\"/bin/sh\", \"-c\", {run:?}]\n\
             [watchdog.tables]\nregion = {REGION:?}\ntls = {:?}\nvalidators = {:?}\nweb3signer_uuids = [{}]\n\
             endpoint = {:?}\npage_size = 10\n\
             [watchdog.times]\nprobe_s = 1\nfirst_pause_s = 0.5\nlongest_pause_s = 2\nprobes = 120\n\
             {}",
            self.dir.join("signer.pem").display(),
            self.dir.join("probe.pem").display(),
            self.dir.join("probe.key").display(),
            self.imds.endpoint(),
            self.moto.tls,
            self.moto.validators,
            self.deployment["stacks"][0],
            self.moto.endpoint(),
            toml_of(self.deployment),
        )
        .unwrap();
        text
    }
}

/// `[deployment]` as TOML: JSON's strings and numbers are TOML's, its objects become inline tables.
fn toml_of(deployment: &Value) -> String {
    let mut text = "[deployment]\n".to_owned();
    for (key, value) in deployment.as_object().unwrap() {
        writeln!(text, "{key} = {}", inline(value)).unwrap();
    }
    text
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(k, v)| format!("{k} = {}", inline(v)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// Asks the test image's probe on this port to kill a process of its user, by its program.
pub fn kill(sockets: &Path, port: u32, program: &str) {
    let stream = connect(&sockets.join("vsock.sock"), port).unwrap();
    let killed = probe::told(stream, &format!("kill {program}"));
    assert_eq!(killed, "1", "one process was killed");
}
